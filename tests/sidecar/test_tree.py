"""Reading /proc: odd names, processes that vanish, process ids given anew, few descriptors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evenground.sidecar import linux
from evenground.sidecar.ledger import Usage
from evenground.sidecar.tree import Process, Tree, is_gone

Python = Callable[..., list[str]]
Wait = Callable[..., None]


def stat_line(name: str) -> bytes:
    fields = ["S", "4", "5", "6", *["0"] * 7, "150", "50", "20", "5", *["0"] * 4, "777", "0", "0"]
    return f"12 ({name}) {' '.join(fields)}\n".encode()


@pytest.mark.parametrize("name", ["plain", "a b", "a) R 1 2 (b", ")))", "((", " ", "é)\n("])
def test_stat_is_read_whatever_the_name(name: str) -> None:
    stat = linux.parse_stat(stat_line(name))
    assert (stat.state, stat.parent, stat.session, stat.start) == (b"S", 4, 6, 777)
    assert (stat.own_ns, stat.waited_ns) == (200 * linux.TICK_NS, 25 * linux.TICK_NS)


def test_a_real_process_with_brackets_and_blanks_in_its_name(
    tmp_path: Path, wait_for: Wait
) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "30"]) as child:
        tree = Tree([os.getpid()])
        try:
            wait_for(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "a) S 1 (b\n")
            assert tree.read(time.monotonic_ns()).processes == 1
            assert list(tree.known) == [child.pid]
        finally:
            child.kill()


@pytest.mark.parametrize("keep", [True, False])
def test_a_process_that_has_ended_is_gone(keep: bool) -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        process = Process(child.pid, keep, exact_clock=True)
        assert process.read()
        child.kill()
    with pytest.raises(OSError, match=r"Errno (2|3|22)\b") as error:
        process.read()
    assert is_gone(error.value)
    process.close()


@pytest.mark.parametrize("keep", [True, False])
def test_opening_a_process_that_does_not_exist(keep: bool) -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        Process(child.pid, keep, exact_clock=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_another_process_under_the_same_pid_is_not_taken_for_the_old_one() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        process = Process(child.pid, keep=False, exact_clock=True)
        process.key = (child.pid, process.key[1] - 1)
        with pytest.raises(ProcessLookupError):
            process.read()
        child.kill()


def test_a_pid_given_anew_by_the_kernel_starts_a_new_account() -> None:
    control = Path("/proc/sys/kernel/ns_last_pid")
    if not os.access(control, os.W_OK) or os.getuid() != 0:
        pytest.skip("choosing the next process id needs root")
    tree = Tree([os.getpid()])
    with subprocess.Popen(["sleep", "30"]) as first:
        tree.read(time.monotonic_ns())
        known = tree.known[first.pid]
        first.kill()
    for _ in range(50):
        control.write_text(str(first.pid - 1))
        with subprocess.Popen(["sleep", "30"]) as second:
            if second.pid == first.pid:
                assert second.pid in linux.children(os.getpid())
                tree.read(time.monotonic_ns())
                assert tree.known[second.pid] is not known
            second.kill()
        if second.pid == first.pid:
            break
    if second.pid != first.pid:
        pytest.skip("other processes took the process id every time")


def test_zombies_keep_their_cpu_but_are_not_counted_as_processes(python: Python) -> None:
    with subprocess.Popen(python("burn(0.1)")) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        tree = Tree([os.getpid()])
        usage = tree.read(time.monotonic_ns())
        assert usage.processes == 0 and usage.rss_bytes == 0
        assert usage.cpu_ns and usage.cpu_ns >= 100_000_000
        child.wait()
        assert (tree.read(time.monotonic_ns()).cpu_ns or 0) >= usage.cpu_ns


def test_without_descriptors_to_spare_files_are_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenground.sidecar.tree._file_limit", lambda: 66)
    tree = Tree([os.getpid()])
    children = [subprocess.Popen(["sleep", "30"]) for _ in range(3)]
    assert tree.read(time.monotonic_ns()).processes == 3
    assert sorted(process.kept for process in tree.known.values()) == [False, False, True]
    for child in children:
        child.kill()
        child.wait()
    assert tree.read(time.monotonic_ns()).processes == 0


@pytest.mark.parametrize("exact", [True, False])
def test_clock_and_ticks_agree(exact: bool, python: Python) -> None:
    with subprocess.Popen(
        python("burn(0.3); print(flush=True); time.sleep(9)"), stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline()
        process = Process(child.pid, keep=True, exact_clock=exact)
        assert process.read() > 1_000_000
        assert (
            isinstance(process.usage, Usage) and 280_000_000 <= process.usage.own_ns <= 450_000_000
        )
        process.close()
        child.kill()


def test_both_ways_of_finding_children_agree() -> None:
    with subprocess.Popen(["sleep", "30"]) as one, subprocess.Popen(["sleep", "30"]) as two:
        found = linux.children(os.getpid())
        assert {one.pid, two.pid} <= set(found)
        assert sorted(linux.children_by_scan(os.getpid())) == sorted(found)
        one.kill()
        two.kill()


def test_children_of_other_threads_are_found() -> None:
    text = "import subprocess, threading\nt = threading.Thread(target=subprocess.run, args=(['sleep', '30'],))\n"
    text += "t.start(); import time; time.sleep(0.2); print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline()
        grandchildren = linux.children(child.pid)
        assert len(grandchildren) == 1
        child.kill()
        os.kill(grandchildren[0], 9)


def test_new_processes_are_found_without_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    tree, now = Tree([os.getpid()], walk_every_ns=10**18), time.monotonic_ns()
    tree.newest_pid_tells = True
    assert tree.read(now).processes == 0
    monkeypatch.setattr(tree, "_walk", lambda: pytest.fail("a full walk is not needed"))
    with subprocess.Popen(["sh", "-c", "sleep 30; :"]) as child:
        until = time.monotonic() + 5
        while tree.read(now).processes < 2 and time.monotonic() < until:
            time.sleep(0.01)
        shell, sleep = tree.known
        assert shell == child.pid and linux.children(shell) == [sleep]
        os.kill(sleep, 9)
    assert tree.read(now).processes == 0


def test_a_fork_that_shows_its_pid_before_its_process_is_found_a_reading_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree, now = Tree([os.getpid()], walk_every_ns=10**18), time.monotonic_ns()
    tree.newest_pid_tells = True
    tree.read(now)
    with subprocess.Popen(["sleep", "30"]) as child, monkeypatch.context() as patch:
        patch.setattr("evenground.sidecar.linux.leads_a_process", lambda pid: False)
        assert tree.read(now).processes == 0
        patch.undo()
        assert tree.read(now).processes == 1
        child.kill()


@pytest.mark.parametrize(
    "newest", [[500, 20], [500, 5000], [500, 500]], ids=["wrapped", "many", "stuck"]
)
def test_when_the_newest_pid_does_not_tell_a_walk_does(
    newest: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, now = Tree([os.getpid()], walk_every_ns=10**18), time.monotonic_ns()
    tree.newest_pid_tells = newest[1] != 500
    monkeypatch.setattr(tree, "newest_pid", lambda: newest[0])
    tree._newest = tree._newest_before = newest[0]
    tree.read(now)
    monkeypatch.setattr(tree, "newest_pid", lambda: newest[1])
    with subprocess.Popen(["sleep", "30"]) as child:
        assert tree.read(now).processes == 1
        child.kill()
