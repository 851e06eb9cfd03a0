"""What the caller gives the command, odd names and streams: nothing is added, nothing written by half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.attachment import find
from evenground.sidecar.process import callers_environment

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]
SIDECAR = [sys.executable, "-m", "evenground.sidecar"]


def call(
    words: list[bytes | str], folder: Path, env: dict[str, str] | None = None, **keywords: Any
) -> subprocess.CompletedProcess[bytes]:
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | keywords
    env = {**(os.environ if env is None else env), "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run([*SIDECAR, *words], cwd=folder, env=env, timeout=30, **keywords)


@pytest.mark.parametrize(
    "locale", [{}, {"LANG": "C"}, {"LC_ALL": "C"}, {"LC_CTYPE": "POSIX", "A": "x=y\n"}]
)
def test_the_environment_is_exactly_the_callers(locale: dict[str, str], tmp_path: Path) -> None:
    done = call(["run", "--samples", "s.csv", "--", "/usr/bin/env", "-0"], tmp_path, locale)
    expected = {f"{name}={value}" for name, value in locale.items()} | {
        f"PYTHONPATH={ROOT / 'src'}"
    }
    assert set(done.stdout.decode().rstrip("\0").split("\0")) == expected


def test_an_environment_that_cannot_be_read_is_as_python_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert callers_environment() == dict(os.environb)


def test_an_ignored_end_of_children_stays_ignored(measure: Call, python: Call) -> None:
    text = "import signal\nprint(signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN)\nsys.exit(5)"
    got = measure(python(text), preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert (got.stdout, got.status) == ("True\n", 5)


def test_a_name_that_is_no_text_is_not_found(tmp_path: Path) -> None:
    done = call(["run", "--samples", "s.csv", "--", b"nosuch\xff"], tmp_path)
    assert done.returncode == 127
    assert done.stderr.decode().splitlines()[-1] == "sidecar: nosuch\\xff: command not found"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json"]


def test_files_and_arguments_that_are_no_text_are_taken_as_they_are(tmp_path: Path) -> None:
    done = call(["run", "--samples", b"s\xff.csv", "--", "printf", "%s", b"\xfe"], tmp_path)
    assert (done.returncode, done.stdout) == (0, b"\xfe")
    assert sorted(bytes(path.name, "utf-8", "surrogateescape") for path in tmp_path.iterdir()) == [
        b"s\xff.csv",
        b"s\xff.json",
    ]


@pytest.mark.parametrize("name", ["", ".", "/", "..", "folder/"])
def test_what_names_no_file_is_refused(name: str, tmp_path: Path) -> None:
    done = call(["run", "--samples", name, "--", "touch", "ran"], tmp_path)
    assert done.returncode == 2 and f"'{name}' names no file" in done.stderr.decode()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        ["--header", "./s.csv"],
        ["--header", "link"],
        ["--header", "s.marks.csv"],
        ["--mark-file", "s.csv"],
        ["--mark-file", "s.json.part"],
        ["--mapped", "s.csv"],
        ["--mapped", "m", "--mark-file", "m.part"],
    ],
)
def test_files_that_name_each_other_are_refused(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("s.csv")
    done = call(["run", "--samples", "s.csv", *options, "--", "touch", "ran"], tmp_path)
    assert done.returncode == 2 and "are the same file" in done.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def closing(*numbers: int) -> Callable[[], None]:
    """What closes standard streams in the child, as `2>&-` does."""

    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


SHOWN = "for fd in 0 1 2 3; do [ -e /proc/$$/fd/$fd ] && echo $fd; done > $0; true"


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 1, 2)])
def test_closed_streams_stay_closed_and_no_file_takes_their_place(
    closed: tuple[int, ...], tmp_path: Path
) -> None:
    words = ["run", "--samples", "s.csv", "--", "sh", "-c", SHOWN, "open"]
    done = call(words, tmp_path, stdout=None, stderr=None, preexec_fn=closing(*closed))
    assert done.returncode == 0
    # The shell opens its output as 1 again; anything else that was closed is still.
    shown = set(map(int, (tmp_path / "open").read_text().split()))
    assert shown.isdisjoint(set(closed) - {1})
    assert (tmp_path / "s.csv").read_text().startswith("t_unix_ns,")


def test_without_standard_error_nothing_is_said_on_standard_output(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "20"]) as process:
        words = ["attach", "--pid", str(process.pid), "--format", "csv", "--duration-s", "0.3"]
        done = call([*words], tmp_path, stderr=None, preexec_fn=closing(2))
        process.kill()
    first, *rows = done.stdout.decode().splitlines()
    assert first == "time(s);cpu;ram;gpu;graphic ram" and rows
    assert all(row.count(";") == 4 and "sidecar" not in row for row in rows)


def test_a_full_standard_error_does_not_change_the_status(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        assert (
            call(["run", "--samples", "s.csv", "--", "nosuch"], tmp_path, stderr=full).returncode
            == 127
        )
        assert (
            call(["run", "--samples", "s.csv", "--", "true"], tmp_path, stderr=full).returncode == 0
        )


def test_a_full_standard_output_is_said_and_the_files_are_whole(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full, subprocess.Popen(["sleep", "20"]) as process:
        words = ["attach", "--pid", str(process.pid), "--samples", "s.csv", "--format", "csv"]
        done = call([*words, "--duration-s", "0.3"], tmp_path, stdout=full)
        process.kill()
    assert done.returncode == 125
    assert done.stderr.decode().endswith(
        "standard output cannot be written: No space left on device\n"
    )
    assert '"ended": "unread"' in (tmp_path / "s.json").read_text()


def test_a_header_that_cannot_be_written_leaves_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").mkdir()
    done = call(["run", "--samples", "s.csv", "--", "touch", "ran"], tmp_path)
    assert done.returncode == 125 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s.json.part").exists() and not (tmp_path / "ran").exists()


@pytest.fixture
def named(tmp_path: Path) -> Callable[[str, str], subprocess.Popen[bytes]]:
    """Starts a copy of a program under another name."""

    def start(name: str, content: str) -> subprocess.Popen[bytes]:
        program = tmp_path / name
        program.write_bytes(
            Path("/bin/sleep").read_bytes() if content == "sleep" else content.encode()
        )
        program.chmod(0o755)
        return subprocess.Popen(
            [str(program), "20", f"/logs/{'evenground-train-a'}"][: 3 - (content == "sleep")]
        )

    return start


@pytest.mark.parametrize("content", ["sleep", "#!/bin/sh\nwhile sleep 0.1; do :; done\n"])
def test_a_long_name_finds_its_own_process_or_none(
    content: str, named: Callable[[str, str], subprocess.Popen[bytes]], wait_for: Call
) -> None:
    with named("evenground-train-b", content) as process:
        comm = Path(f"/proc/{process.pid}/comm")
        wait_for(lambda: comm.read_text() == "evenground-trai\n")
        assert find("evenground-train-b") == [process.pid]
        assert find("evenground-train-a") == [] and find("evenground-trai") == []
        process.kill()


def test_a_name_of_just_fifteen_bytes_is_found(
    named: Callable[[str, str], subprocess.Popen[bytes]],
) -> None:
    with named("evenground-trai", "sleep") as process:
        assert find("evenground-trai") == [process.pid] and find("evenground-train") == []
        process.kill()
