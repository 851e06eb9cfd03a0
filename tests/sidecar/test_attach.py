"""`sidecar attach`: processes that somebody else started, and rows as UnixStats wrote them."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenground import sidecar
from evenground.sidecar.attachment import find
from evenground.sidecar.columns import COLUMNS
from evenground.sidecar.tree import Tree
from evenground.sidecar.unixstats import UnixStats

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def attach(tmp_path: Path) -> Call:
    """Runs `sidecar attach` to its end: attach(*options) -> (process, rows, header)."""

    def run(
        *options: str,
    ) -> tuple[subprocess.CompletedProcess[str], list[dict[str, str]], dict[str, Any]]:
        words = [
            sys.executable,
            "-m",
            "evenground.sidecar",
            "attach",
            "--samples",
            str(tmp_path / "a.csv"),
        ]
        env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(
            [*words, *options], env=env, capture_output=True, text=True, timeout=30
        )
        if not (tmp_path / "a.csv").exists():
            return done, [], {}
        with (tmp_path / "a.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return done, rows, json.loads((tmp_path / "a.json").read_text())

    return run


@pytest.fixture
def load(python: Call) -> Iterator[Call]:
    """Starts a program that prints one line when it is ready, and ends it at last."""
    started: list[subprocess.Popen[bytes]] = []

    def starter(text: str, *words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(python(text, *words), stdout=subprocess.PIPE))
        assert started[-1].stdout is not None and started[-1].stdout.readline()
        return started[-1]

    yield starter
    for process in started:
        process.kill()
        with process:
            pass


HALF = """
burn(0.3)
if not os.fork():
    while True: time.sleep(1)
print(flush=True)
end = time.time() + float(sys.argv[1])
while time.time() < end:
    burn(0.02)
    time.sleep(0.02)
os.kill(0, 15)
"""


def test_until_the_process_ends(attach: Call, load: Call) -> None:
    process = load("import signal\nos.setsid()\n" + HALF, "1.0")
    done, rows, header = attach("--pid", str(process.pid))
    assert done.returncode == 0
    summary = header["summary"]
    assert (summary["ended"], summary["pids"]) == ("exited", [process.pid])
    cpu = [float(row["cpu_s"]) for row in rows if row["cpu_s"]]
    assert cpu[0] == 0 and cpu == sorted(cpu), "CPU from before is not this measurement's"
    assert 0.3 < cpu[-1] < 0.65
    assert max(int(row["processes"]) for row in rows) == 2 and rows[-1]["processes"] == "0"
    assert header["mode"] == "attach" and header["cpu_source"] == "processes"
    assert "orphan" in header["not_seen"] and "orphan" in done.stderr


def test_for_a_fixed_time(attach: Call, load: Call) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    began = time.monotonic()
    done, rows, header = attach("--pid", str(process.pid), "--duration-s", "0.75")
    assert time.monotonic() - began < 5
    assert header["summary"]["ended"] == "duration" and done.returncode == 0
    assert 8 <= len(rows) <= 9
    assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_measuring_not_the_process(
    number: int, load: Call, tmp_path: Path
) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    words = ["attach", "--pid", str(process.pid), "--samples", str(tmp_path / "a.csv")]
    with subprocess.Popen(
        [sys.executable, "-m", "evenground.sidecar", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    ) as measuring:
        until = time.monotonic() + 10
        while (
            not (tmp_path / "a.csv").exists()
            or len((tmp_path / "a.csv").read_text().splitlines()) < 2
        ):
            assert time.monotonic() < until
            time.sleep(0.02)
        measuring.send_signal(number)
        assert measuring.wait(10) == 0
    assert json.loads((tmp_path / "a.json").read_text())["summary"]["ended"] == "signal"
    assert process.poll() is None


def test_a_hangup_that_the_caller_ignores_does_not_end_it(
    load: Call, tmp_path: Path, wait_for: Call
) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    words = [
        "attach",
        "--pid",
        str(process.pid),
        "--samples",
        str(tmp_path / "a.csv"),
        "--duration",
        "1",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "evenground.sidecar", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    ) as measuring:
        wait_for(
            lambda: (
                (tmp_path / "a.csv").exists() and (tmp_path / "a.csv").read_text().count("\n") > 1
            )
        )
        measuring.send_signal(signal.SIGHUP)
        assert measuring.wait(10) == 0
    assert json.loads((tmp_path / "a.json").read_text())["summary"]["ended"] == "duration"


def test_nobody_who_reads_the_rows_is_an_end_and_no_traceback(load: Call) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    words = f"{sys.executable} -m evenground.sidecar attach --pid {process.pid} --format csv | head -n 1"
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "time(s);cpu;ram;gpu;graphic ram\n")
    assert done.stderr.startswith("sidecar: unread after") and done.stderr.count("\n") == 1


def test_a_parent_and_its_child_named_in_any_order_count_once(attach: Call, load: Call) -> None:
    text = (
        "child = os.fork()\nif not child: time.sleep(60)\nprint(child, flush=True)\ntime.sleep(60)"
    )
    process = load(text)
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().strip()
    _, rows, header = attach("--pid", child, "--pid", str(process.pid), "--duration-s", "0.3")
    assert header["summary"]["pids"] == [process.pid, int(child)]
    assert {row["processes"] for row in rows} == {"2"}
    os.kill(int(child), signal.SIGKILL)


def test_a_root_whose_number_is_given_anew_is_not_taken_again(load: Call) -> None:
    first, second = (load("print(flush=True)\ntime.sleep(60)") for _ in range(2))
    tree = Tree([first.pid, second.pid], members=True, walk_every_ns=0)
    assert tree.read(time.monotonic_ns()).processes == 2
    tree._forget(tree.known[first.pid])  # as if it had ended and another had its number
    assert tree.read(time.monotonic_ns()).processes == 1


def test_children_of_a_known_orphan_are_found_by_a_walk(wait_for: Call) -> None:
    text = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: subprocess.Popen(['sleep', '60']))\n"
    text = "import subprocess\n" + text + "if os.fork():\n    time.sleep(1)\n    os._exit(0)\n"
    text += "print(os.getpid(), flush=True)\nwhile True: time.sleep(1)"
    with subprocess.Popen(
        [sys.executable, "-c", "import os, sys, time\n" + text], stdout=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        orphan = int(one.stdout.readline())
        tree = Tree([one.pid], members=True, walk_every_ns=0)
        assert tree.read(time.monotonic_ns()).processes == 2
        wait_for(lambda: tree.read(time.monotonic_ns()).processes == 1)
        os.kill(orphan, signal.SIGUSR1)
        wait_for(lambda: tree.read(time.monotonic_ns()).processes == 2)
        for pid in list(tree.known):
            os.kill(pid, signal.SIGKILL)


def test_by_name_all_of_that_name_but_not_children_twice(tmp_path: Path, attach: Call) -> None:
    program = tmp_path / "a b) (c"
    program.symlink_to("/bin/sleep")
    with (
        subprocess.Popen([str(program), "30"]) as one,
        subprocess.Popen([str(program), "30"]) as two,
    ):
        done, rows, header = attach("--name", "a b) (c", "--duration-s", "0.3")
        one.kill()
        two.kill()
    assert header["summary"]["pids"] == sorted([one.pid, two.pid])
    assert {row["processes"] for row in rows[:3]} == {"2"} and done.returncode == 0


def test_a_named_process_below_a_named_process_is_part_of_its_tree(
    tmp_path: Path, wait_for: Call
) -> None:
    program = tmp_path / "nested_name"
    program.symlink_to("/bin/sh")
    with subprocess.Popen(
        [str(program), "-c", f"{program} -c 'sleep 30; :'; :"], start_new_session=True
    ) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        wait_for(lambda: children.read_text().split())
        try:
            wait_for(lambda: len(find("nested_name")) == 2)
            roots = find("nested_name")
            assert roots[0] == outer.pid
            tree = Tree(roots, members=True)
            # Both shells and the sleep of the inner one.
            wait_for(lambda: tree.read(time.monotonic_ns()).processes == 3)
        finally:
            os.killpg(outer.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--name", "no such name"], "no process is named 'no such name'"),
        (["--pid", "4194305"], "no process with the id 4194305"),
    ],
)
def test_nothing_to_attach_to(options: list[str], complaint: str, attach: Call) -> None:
    done, rows, _ = attach(*options, "--wait-s", "0.1")
    assert (done.returncode, done.stdout, rows) == (127, "", [])
    assert done.stderr == f"sidecar: {complaint}: start it first, or wait for it with --wait-s\n"


@pytest.mark.slow
def test_waiting_for_a_process_to_appear(tmp_path: Path, attach: Call) -> None:
    program = tmp_path / "late_comer"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen(["sh", "-c", f"sleep 0.7; exec {program} 0.6"]):
        _, rows, header = attach("--name", "late_comer", "--wait-s", "10")
    assert header["summary"]["ended"] == "exited" and 5 <= len(rows) <= 10


def test_csv_is_that_of_unixstats(attach: Call, load: Call) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    done, rows, _ = attach(
        "--pid", str(process.pid), "--duration-s", "0.4", "--format", "csv", "--no-gpu"
    )
    header, *lines = done.stdout.splitlines()
    assert header == "time(s);cpu;ram;gpu;graphic ram"
    assert 4 <= len(lines) <= len(rows)
    for line in lines:
        assert re.fullmatch(r"\d+(,\d+)?;\d+(,\d+)?;\d+(,\d+)?;;", line), line
    times = [float(line.split(";")[0].replace(",", ".")) for line in lines]
    assert times[:4] == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.05)


def made_row(**values: float | None) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {"t_mono_ns": 5 * 10**9} | values


def test_unixstats_values_are_its_estimators_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenground.sidecar.unixstats.MEMORY_BYTES", 16 * 2**30)
    show = UnixStats()
    row = made_row(cpu_since_boot_pct=4.31735, free_used_bytes=2**30, gpu_util_pct=3.0)
    of_card = {"vram_used_bytes": 2**33, "vram_tree_bytes": 399.05 * 2**20}
    assert show.line(row | of_card) == "0;4,31735;6,25;3;5"
    assert show.line(row | {"cpu_since_boot_pct": None}) is None


def test_unixstats_memory_of_the_card_stands_until_the_next_reading_and_not_longer() -> None:
    show = UnixStats()
    row = made_row(cpu_since_boot_pct=4.0)
    printed = []
    for tenths, tree_bytes in (
        (0, None),
        (1, 79.81 * 2**20),
        (2, None),
        (12, 0),
        (20, None),
        (38, None),
    ):
        at_ns = 5 * 10**9 + tenths * 10**8
        printed.append(show.line(row | {"t_mono_ns": at_ns, "vram_tree_bytes": tree_bytes}))
    assert [line.split(";")[-1] for line in printed if line] == ["", "1", "1", "0", "0", ""]


def test_from_python(tmp_path: Path, load: Call) -> None:
    process = load("print(flush=True)\ntime.sleep(60)")
    summary = sidecar.attach(
        process.pid,
        samples=tmp_path / "s.csv",
        header=tmp_path / "s.json",
        duration_s=0.3,
        gpu=False,
    )
    assert (summary.ended, summary.pids) == ("duration", [process.pid])
    with pytest.raises(sidecar.SidecarError, match=r"status 127 .*no process with the id 4194305"):
        sidecar.attach(4194305, samples=tmp_path / "s.csv", header=tmp_path / "s.json")
