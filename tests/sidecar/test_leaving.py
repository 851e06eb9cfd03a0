"""A command that leaves the cgroup in which its CPU is counted: every row is right, or is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenground.sidecar.account import LEFT, CpuAccount

Call = Callable[..., Any]
# Beside one hundredth: what runs between two lines of a log, and between a row's two readings.
TOLERANCE_S = 0.02

LOGGED = """
def log(cpu_s, name):
    # Uses CPU, and writes down the kernel's own account of it: monotonic time and CPU of this process.
    with open(os.path.join(sys.argv[1], name), "a", buffering=1) as file:
        def note(): file.write(f"{time.monotonic_ns()} {time.process_time_ns()}\\n")
        note()
        end = time.process_time() + cpu_s
        while time.process_time() < end:
            burn(0.01)
            note()
def move(folder):
    with open(folder + "/cgroup.procs", "w") as file: file.write("0")
here = sys.argv[2] + "/" + open("/proc/self/cgroup").read().rpartition("0::/")[2].strip()
elsewhere = sys.argv[3]
"""
LOADS = {
    "at the start": "move(elsewhere); log(1.6, 'a')",
    "in the middle": "log(0.8, 'a'); move(elsewhere); log(0.8, 'a')",
    "at the end": "log(1.5, 'a'); move(elsewhere); log(0.3, 'a')",
    "there and back": "log(0.4, 'a'); move(elsewhere); log(0.8, 'a'); move(here); log(0.6, 'a')",
    "there and back between two rows": """
for _ in range(25):
    log(0.02, 'a')
    move(elsewhere)
    log(0.03, 'a')
    move(here)
""",
    "a child alone": """
child = os.fork()
if not child:
    log(0.3, 'b')
    move(elsewhere)
    log(0.7, 'b')
    os._exit(0)
log(1.2, 'a')
os.waitpid(child, 0)
""",
    "short children": """
for k in range(40):
    child = os.fork()
    if not child:
        move(elsewhere)
        log(0.03, f'c{k}')
        os._exit(0)
    os.waitpid(child, 0)
""",
    "a cgroup that is removed": """
log(0.5, 'a')
move(elsewhere)
os.rmdir(here)
log(1.2, 'a')
""",
}


@pytest.fixture
def groups(parent: Path) -> Iterator[tuple[Path, Path]]:
    """The folder in which sidecars make their cgroups, and another cgroup in it."""
    elsewhere = parent / f"elsewhere-{os.getpid()}"
    elsewhere.mkdir()
    yield parent, elsewhere
    elsewhere.rmdir()


def kernels_cpu_s(logs: Path, at_ns: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the kernel told the processes of their CPU, together, at these monotonic times."""
    total_s = np.zeros(len(at_ns))
    for file in logs.iterdir():
        t_ns, cpu_ns = np.loadtxt(file, ndmin=2).T
        total_s += np.interp(at_ns, t_ns, cpu_ns, left=0.0) / 1e9
    return total_s


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS.keys())
def test_cpu_outside_of_the_cgroup_is_counted_or_missing(
    load: str, measure: Call, python: Call, groups: tuple[Path, Path], tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    got = measure(python(LOGGED + load, logs, *groups))
    assert got.status == 0, got.stderr
    known = [row for row in got.rows if row["cpu_s"]]
    expected_s = kernels_cpu_s(logs, np.array([float(row["t_mono_ns"]) for row in known]))
    measured_s = np.array([float(row["cpu_s"]) for row in known])
    # What the interpreter used before its first line of the log is in the rows alone.
    start_s = got.summary["cpu_s"] - kernels_cpu_s(logs, np.array([np.inf]))[0]
    tolerance_s = 0.01 * expected_s + TOLERANCE_S
    assert (measured_s <= expected_s + start_s + tolerance_s).all()
    assert (measured_s >= expected_s - tolerance_s).all()
    assert measured_s[-1] == pytest.approx(got.summary["cpu_s"], rel=0.01, abs=0.005)
    assert (np.diff(measured_s) >= 0).all()
    assert got.header["cpu_source"] == "cgroup and processes"
    assert got.summary["cgroup_cpu_s"] is None and got.summary["cgroup_peak_bytes"] is None
    assert any("CPU is not the cgroup's alone" in text for text in got.summary["not_seen"])
    missing = len(got.rows) - len(known)
    assert got.summary["empty_cells"].get("cpu_s", 0) == missing <= 11
    assert not missing or "cgroup" in got.header["missing"]["cpu_s"]


@pytest.mark.slow
def test_a_command_that_stays_is_counted_by_its_cgroup_alone(
    measure: Call, python: Call, groups: tuple[Path, Path]
) -> None:
    text = """
for _ in range(30):
    if not os.fork():
        burn(0.02)
        os._exit(0)
while True:
    try: os.wait()
    except ChildProcessError: break
burn(0.7)
"""
    got = measure(python(text), "--rate-hz", "50")
    assert got.header["cpu_source"] == "cgroup" and got.summary["not_seen"] == []
    assert len(got.column("cpu_s")) == len(got.rows)


class FakeTree:
    """A tree whose clocks are told."""

    clocks = True

    def __init__(self, *cpu_ns: int) -> None:
        self._told = list(cpu_ns)

    def read_cpu_ns(self) -> int:
        return self._told.pop(0)


class FakeLeaf:
    """A cgroup whose account is told; an error is raised."""

    def __init__(self, *cpu_ns: int | Exception) -> None:
        self._told = list(cpu_ns)

    def cpu_ns(self) -> int:
        value = self._told.pop(0)
        if isinstance(value, Exception):
            raise value
        return value


def account(tree: FakeTree, leaf: FakeLeaf | None, before_ns: int = 0) -> CpuAccount:
    return CpuAccount(tree, leaf, before_ns)  # type: ignore[arg-type]


def test_less_than_the_clocks_differ_by_is_no_leaving() -> None:
    second, tree = 10**9, FakeTree(0, 0)
    checked = account(FakeTree(second + 5_999_000, second + 6_001_000), FakeLeaf(second, second))
    assert checked.check() is None and checked.source == "cgroup"
    assert checked.check() == second + 6_001_000
    assert checked.left == LEFT and checked.source == "cgroup and processes"
    assert checked.check() is None, "once is enough"
    assert account(tree, None).source == "processes" and tree.clocks


def test_the_larger_of_two_accounts_that_never_say_too_much_is_taken() -> None:
    tree = FakeTree()
    counted = account(tree, FakeLeaf(100, 100, 300), before_ns=7)
    assert not tree.clocks, "nobody asks the clocks while the cgroup has everything"
    assert counted.cpu_ns(None) == 107
    assert counted.cpu_ns(200) == 200
    assert counted.cpu_ns(200) == 307


def test_a_cgroup_that_cannot_be_read_leaves_one_row_without_a_value() -> None:
    tree = FakeTree()
    counted = account(tree, FakeLeaf(OSError(19, "No such device"), OSError(19, "No such device")))
    with pytest.raises(OSError, match="No such device"):
        counted.cpu_ns(None)
    assert tree.clocks and counted.left
    assert counted.cpu_ns(42) == 42
