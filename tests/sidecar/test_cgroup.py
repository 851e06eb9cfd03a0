"""The command's own cgroup: finding it, counting in it, and leaving none behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.cgroup import Leaf, make_leaf, own_cgroup

Call = Callable[..., Any]
HYBRID = (
    "30 1 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs rw\n"
    "31 30 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 30 0:27 / /sys/fs/cgroup/uni\\040fied rw shared:9 - cgroup2 cgroup2 rw\n"
)
# In a container without a cgroup namespace, the mount shows a part of the tree as its root.
CONTAINER = "40 1 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "expected"),
    [
        (HYBRID, "4:memory:/x\n0::/user.slice/a\n", "/sys/fs/cgroup/uni fied/user.slice/a"),
        (HYBRID, "0::/\n", "/sys/fs/cgroup/uni fied"),
        (HYBRID.replace("uni", "\udcff"), "0::/\udcfe\n", "/sys/fs/cgroup/\udcff fied/\udcfe"),
        (CONTAINER, "0::/docker/abc/inner\n", "/sys/fs/cgroup/inner"),
        (CONTAINER, "0::/docker/abc\n", "/sys/fs/cgroup"),
        (CONTAINER, "0::/docker/abcdef\n", "/sys/fs/cgroup/docker/abcdef"),
        (HYBRID, "4:memory:/x\n", None),
        ("31 30 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw\n", "0::/\n", None),
    ],
)
def test_the_own_cgroup_is_found_where_it_is_mounted(
    mountinfo: str, cgroup: str, expected: str | None, tmp_path: Path
) -> None:
    (tmp_path / "mountinfo").write_bytes(os.fsencode(mountinfo))
    (tmp_path / "cgroup").write_bytes(os.fsencode(cgroup))
    assert own_cgroup(tmp_path) == (None if expected is None else Path(expected))


def made_leaf(folder: Path, **files: str) -> Leaf:
    """A leaf over ordinary files, as a kernel with the memory controller would show it."""
    mkdir = Path.mkdir

    def filled(path: Path) -> None:
        mkdir(path)
        (path / "cgroup.procs").touch()
        for name, text in files.items():
            (path / name.replace("_", ".", 1)).write_text(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "mkdir", filled)
        return Leaf(folder / "leaf")


def test_cpu_and_peak_are_the_kernels_own(tmp_path: Path) -> None:
    leaf = made_leaf(tmp_path, cpu_stat="usage_usec 1234567\nuser_usec 1\n", memory_peak="4096\n")
    assert leaf.cpu_ns() == 1_234_567_000
    assert leaf.peak_bytes() == 4096


def test_without_the_memory_controller_the_peak_is_missing_not_zero(tmp_path: Path) -> None:
    assert made_leaf(tmp_path, cpu_stat="usage_usec 1\nuser_usec 1\n").peak_bytes() is None


def test_a_cgroup_that_does_not_account_cpu_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="usage_usec"):
        made_leaf(tmp_path, cpu_stat="nr_periods 0\n throttled 1\n")


def test_where_none_may_be_made_the_reason_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("evenground.sidecar.cgroup.own_cgroup", lambda *_: tmp_path / "not there")
    assert make_leaf() == "it cannot be made: No such file or directory"
    monkeypatch.setattr("evenground.sidecar.cgroup.own_cgroup", lambda *_: None)
    assert make_leaf() == "this machine has no cgroup v2"


def leaves(parent: Path, pid: int) -> list[Path]:
    return list(parent.glob(f"sidecar-{pid}-*"))


@pytest.mark.slow
def test_children_that_nobody_waits_for_are_in_the_account(
    measure: Call, python: Call, parent: Path
) -> None:
    text = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    text += "for _ in range(20):\n    if not os.fork():\n        burn(0.02)\n        os._exit(0)\ntime.sleep(1.2)"
    got = measure(python(text))
    assert got.header["cpu_source"] == "cgroup" and got.header["no_cgroup"] is None
    assert got.summary["cgroup_cpu_s"] >= 0.4
    assert got.column("cpu_s")[-1] == pytest.approx(got.summary["cgroup_cpu_s"], rel=0.002)


def test_the_leaf_is_there_while_the_command_runs_and_gone_after(
    start: Call, wait_for: Call, parent: Path
) -> None:
    running = start(["sleep", "0.5"])
    wait_for(lambda: leaves(parent, running.process.pid))
    assert running.done().status == 0
    assert not leaves(parent, running.process.pid)


def test_cgroups_that_the_command_made_go_with_it(measure: Call, parent: Path) -> None:
    text = 'here=$(grep -o "sidecar-.*" /proc/self/cgroup | head -n 1); mkdir -p "$0/$here/a/b"; echo $here'
    got = measure(["sh", "-c", text, str(parent)])
    assert got.status == 0 and got.stdout.startswith("sidecar-")
    assert not (parent / got.stdout.strip()).exists()


def test_kill_9_of_the_sidecar_ends_what_had_left_its_session_and_its_parents_at_once(
    start: Call, python: Call, parent: Path, tmp_path: Path, alive: Call, wait_for: Call
) -> None:
    text = """
import signal
def leave(depth):
    if os.fork(): os._exit(0)
    os.setsid()
    if depth: leave(depth - 1)
with open(sys.argv[1] + ".part", "w") as file: pass
sidecar = os.getppid()
if not os.fork():
    leave(2)
    with open(sys.argv[1], "w") as file: file.write(str(os.getpid()))
    os.kill(sidecar, signal.SIGKILL)
time.sleep(60)
"""
    mark = tmp_path / "pid"
    running = start(python(text, mark), "--rate-hz", "0.5")
    assert running.process.wait(20) == -9
    wait_for(lambda: not alive(int(mark.read_text())))
    wait_for(lambda: not leaves(parent, running.process.pid))


def test_a_user_without_rights_is_told_once_and_measured_all_the_same(as_nobody: Any) -> None:
    got = as_nobody(["sleep", "1.3"])
    assert (got.status, got.stdout, len(got.notes)) == (0, "", 1)
    assert "no SCHED_FIFO for this user" in got.notes[0] and "no cgroup of its own" in got.notes[0]
    assert (
        got.header["scheduling"] in ("slice", "slack") and got.header["cpu_source"] == "processes"
    )
    assert [lack in got.notes[0] for lack in got.header["lacks"]] == [True, True]
    assert len(got.rows) > 10 and all(row["cpu_s"] and row["rss_bytes"] for row in got.rows)
    assert got.column("pss_bytes"), "a user may read the PSS of own processes"
    assert got.summary["not_seen"] == []


def test_the_leaf_is_removed_when_its_processes_take_a_moment_to_end(parent: Path) -> None:
    leaf = make_leaf()
    assert isinstance(leaf, Leaf)
    pid = os.fork()
    if pid == 0:
        entered = leaf.enter()
        time.sleep(0.2)
        os._exit(0 if entered else 1)
    time.sleep(0.1)
    leaf.remove()
    assert os.waitpid(pid, 0)[1] == 0, "it was in the cgroup"
    assert not leaves(parent, os.getpid())
