"""`run --mapped`: which files the processes of the tree had mapped as code, or why that is not known."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenground import sidecar
from evenground.sidecar import linux, mapped
from evenground.sidecar.mapped import Mapped, code_files, process_code_files

Call = Callable[..., Any]
Key = tuple[int, int]
ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "/library.so"
# Maps files as code (or only to be read), as a loader does; each word names one.
MAPS = """
import mmap
held = []
def load(name, rights=mmap.PROT_READ | mmap.PROT_EXEC):
    with open(name, "rb") as file:
        held.append(mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=rights))
"""
ODD = [b"two  blanks ", b"a line's\nend", b"a\\012b", b"\xff\xfe", "ü".encode(), b"x (deleted)x"]
SECOND_NS = 1_000_000_000
# Longer than any two looks are apart.
SEEN_S = 1.2


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert (
        list(content) == ["schema", "files", "looks", "processes", "missing"]
        and content["schema"] == 1
    )
    assert content["files"] == sorted(set(content["files"]))
    assert content["files"] or content["missing"], "an empty list has a reason"
    return content


@pytest.fixture
def look(measure: Call, tmp_path: Path) -> Call:
    """Measures a command and gives what its file says."""

    def run(command: list[str], *options: str, status: int = 0) -> dict[str, Any]:
        got = measure(command, "--mapped", str(tmp_path / "mapped.json"), *options)
        assert got.status == status, got.stderr
        return read(tmp_path / "mapped.json")

    return run


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A file that can be mapped."""
    path = tmp_path / "library.so"
    path.write_bytes(bytes(8192))
    return path


@pytest.mark.parametrize("options", [[], ["--no-pss", "--no-cgroup"]])
def test_programs_and_libraries_of_the_whole_tree_are_named(
    options: list[str], look: Call, python: Call, library: Path
) -> None:
    text = f"{MAPS}\nif not os.fork():\n    load({str(library)!r})\ntime.sleep({SEEN_S})"
    found = look(["sh", "-c", '"$@"; true', "sh", *python(text)], *options)
    programs = [os.path.realpath(program) for program in ("/bin/sh", sys.executable)]
    assert {*programs, str(library)} <= set(found["files"])
    assert any("/libc.so" in name or "musl" in name for name in found["files"])
    assert all(name.startswith("/") for name in found["files"])
    assert (found["processes"], found["missing"]) == (3, None) and found["looks"] >= 2


def test_a_name_may_hold_any_bytes(look: Call, python: Call, tmp_path: Path) -> None:
    paths = [os.fsencode(tmp_path) + b"/" + name for name in ODD]
    for path in paths:
        Path(os.fsdecode(path)).write_bytes(bytes(4096))
    found = look(python(f"{MAPS}\nfor path in {paths!r}: load(path)\ntime.sleep({SEEN_S})"))
    names = {file.encode("utf-8", "surrogateescape") for file in found["files"]}
    # The one name that the kernel writes as it writes another: there is no telling which it was.
    assert {path.replace(b"\\012", b"\n") for path in paths} <= names


def test_what_is_only_read_and_memory_are_no_files_of_code(
    look: Call, python: Call, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").write_bytes(bytes(4096))
    (tmp_path / "gone").write_bytes(bytes(4096))
    text = f"""{MAPS}
both = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
load({str(library)!r})
load({str(tmp_path / "data")!r}, mmap.PROT_READ)
load({str(tmp_path / "gone")!r})
os.unlink({str(tmp_path / "gone")!r})
held.append(mmap.mmap(-1, 4096, flags=mmap.MAP_SHARED, prot=both))
memory = os.memfd_create("compiled.so")
os.truncate(memory, 4096)
held.append(mmap.mmap(memory, 4096, prot=both))
time.sleep({SEEN_S})
"""
    found = set(look(python(text))["files"])
    assert {str(library), str(tmp_path / "gone")} <= found
    assert str(tmp_path / "data") not in found
    assert not [
        name for name in found if name.startswith(("/memfd:", "/dev/")) or "(deleted)" in name
    ]


def line(name: str, rights: str = "r-xp") -> bytes:
    return f"7f00-7f01 {rights} 00002000 fe:00 260386      {name}\n".encode()


@pytest.mark.parametrize(
    "name",
    [
        *(
            "/memfd:jit",
            "/memfd:a b (deleted)",
            "/dev/zero",
            "/dev/zero (deleted)",
            "/[aio] (deleted)",
        ),
        *(
            "/SYSV00012af0",
            "/SYSV00012af0 (deleted)",
            "/anon_hugepage (deleted)",
            "/dev/shm/jit (deleted)",
        ),
        *("", "[vdso]", "[heap]", "anon_inode:[perf_event]", "[anon:jit]"),
    ],
)
def test_memory_of_any_name_is_no_file(name: str) -> None:
    assert code_files(line(name)) == set()


@pytest.mark.parametrize(
    "name", ["/dev/shm/env/lib.so", "/dev/shmem.so", "/a/memfd:x", "/SYSV1", "/a r-xp 0", "/a\\b"]
)
def test_a_file_of_any_name_is_one(name: str) -> None:
    assert code_files(line(name)) == {name.encode()}


def test_only_what_may_be_executed_counts() -> None:
    rights = ["r--p", "rw-p", "---p", "rw-s", "--xp", "r-xs", "rwxp", "r-xp"]
    maps = b"".join(line(f"/{number}", one) for number, one in enumerate(rights))
    assert code_files(maps) == {b"/4", b"/5", b"/6", b"/7"}
    assert code_files(b"") == set() and code_files(line("/a (deleted)") * 2) == {b"/a"}


@pytest.mark.parametrize(
    ("command", "status", "missing"),
    [(["true"], 0, mapped.TOO_SHORT), (["no-such-command"], 127, mapped.NOT_STARTED)],
)
def test_nothing_seen_has_its_reason(
    command: list[str], status: int, missing: str, look: Call
) -> None:
    found = look(command, status=status)
    assert (found["files"], found["processes"], found["missing"]) == ([], 0, missing)


def test_rows_that_come_rarely_do_not_delay_the_first_looks(look: Call) -> None:
    found = look(["sleep", "0.6"], "--rate-hz", "1")
    assert os.path.realpath(str(shutil.which("sleep"))) in found["files"] and found["looks"] >= 2


def test_what_is_loaded_later_is_seen(look: Call, python: Call, library: Path) -> None:
    found = look(python(f"{MAPS}\ntime.sleep(1.0)\nload({str(library)!r})\ntime.sleep({SEEN_S})"))
    assert str(library) in found["files"] and found["processes"] == 1


def test_a_process_whose_first_thread_has_ended_is_looked_at(
    look: Call, python: Call, library: Path
) -> None:
    text = f"""{MAPS}
import ctypes, threading
def go_on():
    time.sleep(0.3)
    load({str(library)!r})
    time.sleep({SEEN_S})
    os._exit(0)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(93 if os.uname().machine == "aarch64" else 60, 0)
"""
    found = look(python(text))
    assert str(library) in found["files"] and found["missing"] is None


def test_without_the_option_no_file_is_made_and_no_thread_looks(
    measure: Call, python: Call, tmp_path: Path
) -> None:
    threads = python("time.sleep(0.2)\nprint(len(os.listdir(f'/proc/{os.getppid()}/task')))")
    options = ["--no-gpu", "--no-pss"]
    assert measure(threads, *options).stdout == "1\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samples.csv", "samples.json"]
    assert measure(threads, *options, "--mapped", str(tmp_path / "m.json")).stdout == "2\n"


def test_from_python(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("samples", "header", "mapped")}
    sidecar.run(["sleep", "0.5"], gpu=False, **files)
    assert read(tmp_path / "mapped")["missing"] is None


def test_an_older_file_is_replaced_and_a_killed_sidecar_leaves_the_reason(
    start: Call, wait_for: Call, tmp_path: Path
) -> None:
    path = tmp_path / "m.json"
    path.write_text("older")
    running = start(["sleep", "30"], "--mapped", str(path))
    wait_for(lambda: (tmp_path / "samples.csv").exists() and path.read_text() != "older")
    running.process.kill()
    running.process.wait()
    assert read(path)["missing"] == mapped.CUT


def test_a_file_that_cannot_be_made_is_one_line_and_nothing_is_started(
    measure: Call, tmp_path: Path
) -> None:
    words = [
        sys.executable,
        "-m",
        "evenground.sidecar",
        "run",
        "--samples",
        "s.csv",
        "--mapped",
        "none/m",
    ]
    done = subprocess.run(
        [*words, "--", "touch", "ran"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 125 and not (tmp_path / "ran").exists()
    assert len(done.stderr.splitlines()) == 1 and "No such file or directory" in done.stderr


def test_without_room_for_a_thread_the_reason_is_that(as_nobody: Any) -> None:
    options = ["--no-gpu", "--mapped", "m.json"]
    got = as_nobody(
        [as_nobody.python, "-c", "import time; time.sleep(0.4)"], *options, limit="--nproc=3"
    )
    assert got.status == 0
    found = read(as_nobody.folder / "m.json")
    assert found["missing"] == "no thread to read them: can't start new thread"


def test_another_users_process_is_a_reason_and_the_others_are_read(
    as_nobody: Any, as_root: str
) -> None:
    got = as_nobody(["sh", "-c", f"{as_root} 1200; true"], "--mapped", "m.json")
    assert got.status == 0
    found = read(as_nobody.folder / "m.json")
    assert found["missing"] == "processes whose map could not be read (Permission denied): 1"
    assert found["processes"] == 1 and os.path.realpath("/bin/sh") in found["files"]


@pytest.mark.parametrize("hides", [1, 2])
def test_a_process_that_hides_is_a_reason(
    hides: int, as_nobody: Any, as_root: str, may_mount: None
) -> None:
    mount = f"mount -t proc -o hidepid={hides} proc /proc"
    got = as_nobody(["sh", "-c", f"{as_root} 1200; true"], "--mapped", "m.json", mount=mount)
    assert got.status == 0
    found = read(as_nobody.folder / "m.json")
    assert "hidepid" in found["missing"] and os.path.realpath("/bin/sh") in found["files"]


@pytest.fixture
def sleeping(wait_for: Call) -> Iterator[Key]:
    """A process, by its number and start time."""
    with subprocess.Popen(["sleep", "30"]) as child:
        stat = linux.read_stat(child.pid)
        assert stat
        # Popen returns a moment before the program is in the new process's memory.
        wait_for(lambda: process_code_files(Path(f"/proc/{child.pid}")))
        yield child.pid, stat.start
        child.kill()


def started(keys: list[Key]) -> Mapped:
    """One that knows these processes, and whose clock began now; its thread does not run."""
    one = Mapped(SECOND_NS // 10)
    one._zero_ns = time.monotonic_ns()
    one.know(keys)
    return one


def test_the_first_looks_come_early_then_one_a_second(sleeping: Key) -> None:
    one = started([sleeping])
    due_s = [(one._look() - one._zero_ns) / 1e9 for _ in range(5)]
    assert due_s[:3] == [0.2, 0.4, 0.8]
    assert min(due_s[3:]) >= 1.0, "a second after the look began"


def test_looks_that_cost_more_than_the_budget_come_less_often(
    sleeping: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(folder: Path) -> set[bytes]:
        until = time.thread_time_ns() + 15_000_000
        while time.thread_time_ns() < until:
            pass
        return {b"/slow"}

    monkeypatch.setattr(mapped, "process_code_files", slow)
    one = started([sleeping])
    after_ns = one._look() - one._zero_ns
    assert after_ns >= (15_000_000 - mapped.CREDIT_NS) / mapped.BUDGET
    assert one.content()["files"] == ["/slow"]


def test_a_map_is_read_again_when_there_is_other_code_or_after_a_while(
    sleeping: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, reads = [b"1", b"1", b"2", b"2", None, None], []

    def count(folder: Path) -> set[bytes]:
        reads.append(len(sizes))
        return {b"/a"}

    monkeypatch.setattr(mapped, "code_size", lambda folder: sizes.pop(0))
    monkeypatch.setattr(mapped, "process_code_files", count)
    one = started([sleeping])
    while sizes:
        one._look_at(sleeping, SECOND_NS)
    assert reads == [5, 3, 1, 0], "where its size is not known, each time"
    sizes += [b"2", b"2", b"2"]
    for second in (1, 30, 31):
        one._look_at(sleeping, second * SECOND_NS)
    assert reads[4:] == [2, 0]


def test_the_size_of_code_tells_of_a_file_that_is_mapped(python: Call, library: Path) -> None:
    text = f"{MAPS}\nprint(1, flush=True)\ninput()\nload({str(library)!r})\nprint(2, flush=True)\ninput()"
    with subprocess.Popen(
        python(text), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin and child.stdout
        folder = Path(f"/proc/{child.pid}")
        child.stdout.readline()
        before, files = mapped.code_size(folder), process_code_files(folder)
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        after = process_code_files(folder)
        assert before is None or mapped.code_size(folder) != before
        assert files is not None and after is not None and after - files == {os.fsencode(library)}
        child.kill()


def test_a_process_that_is_gone_or_another_is_not_seen(sleeping: Key) -> None:
    pid, start = sleeping
    one = started([(pid, start + 1)])
    one._look()
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    one.know([sleeping, (2**22 + 1, 0)])
    one._look()
    assert one.content() == {
        "schema": 1,
        "files": [],
        "looks": 2,
        "processes": 0,
        "missing": mapped.NOT_STARTED,
    }


def test_what_one_process_refuses_is_told_until_it_no_longer_does(
    sleeping: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def refused(folder: Path) -> set[bytes]:
            raise MemoryError("no memory")

        patch.setattr(mapped, "process_code_files", refused)
        one = started([sleeping])
        one._look()
        assert one.content()["missing"] == "processes whose map could not be read (no memory): 1"
    one._look()
    assert one.content()["missing"] is None and one.content()["processes"] == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_one_that_hides_behind_its_absence_is_told_and_one_that_is_gone_is_not(
    is_there: bool, sleeping: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "process_code_files", lambda folder: None)
    monkeypatch.setattr(linux, "read_stat", lambda pid: None)
    monkeypatch.setattr(linux, "leads_a_process", lambda pid: is_there)
    one = started([sleeping])
    one._look()
    told = f"processes whose map could not be read ({mapped.HIDES}): 1"
    assert one.content()["missing"] == (told if is_there else mapped.NOT_STARTED)


def test_processes_without_a_file_of_code_have_that_reason(
    sleeping: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "process_code_files", lambda folder: set())
    one = started([sleeping])
    one._look()
    assert (one.content()["processes"], one.content()["missing"]) == (1, mapped.NO_FILE)


def test_a_machine_without_maps_has_that_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str, flags: int) -> int:
        raise FileNotFoundError(2, "No such file or directory", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        missing = started([]).content()["missing"]
    assert missing == "/proc/PID/maps: No such file or directory"


def test_a_look_waits_for_a_row_where_rows_come_often(sleeping: Key, wait_for: Call) -> None:
    often, rarely = Mapped(SECOND_NS // 10), Mapped(SECOND_NS)
    assert often._patience_ns == 1.5 * SECOND_NS / 10 and rarely._patience_ns == 0
    often.know([sleeping])
    often._patience_ns = 60 * SECOND_NS
    often.start(time.monotonic_ns())
    time.sleep(0.15)
    assert often.content()["looks"] == 0
    often.row_done(time.monotonic_ns())
    wait_for(lambda: often.content()["looks"] == 1)
    often.stop()
    assert often.content()["missing"] is None
