"""What the kernel says of threads: real processes that wait, and the names of their system calls."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evenground.explain import kernel
from evenground.explain.kernel import NOT_PERMITTED, Recorder, Recording, waits_of
from evenground.explain.processes import engine_processes, runs_python
from evenground.explain.syscalls import syscall_name
from explain.made import ORDINARY, as_user

SHELL = "sleep 5; exit"


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    """A shell in a session of its own, as an engine is, that waits for a sleep."""
    with subprocess.Popen(["sh", "-c", SHELL], start_new_session=True) as process:
        time.sleep(0.3)
        yield process
        os.killpg(process.pid, 9)


def test_system_calls_have_names_on_both_processors() -> None:
    assert [syscall_name(number, "x86_64") for number in ("61", "202", "230")] == [
        "wait4",
        "futex",
        "clock_nanosleep",
    ]
    assert [syscall_name(number, "aarch64") for number in ("260", "98", "115")] == [
        "wait4",
        "futex",
        "clock_nanosleep",
    ]
    assert syscall_name("9999", "x86_64") == syscall_name("9999", "mips") == "system call 9999"


def test_the_engine_is_what_has_a_session_of_its_own(shell: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["sleep", "5"]) as ours:
        found = engine_processes(os.getpid())
        ours.kill()
    assert found[0] == shell.pid and len(found) == 2 and ours.pid not in found


def test_a_fork_of_the_sidecar_is_none_of_the_engines() -> None:
    """Its guardian is one for good, and the engine for a moment."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(0.5)
        os._exit(0)
    time.sleep(0.2)
    found = engine_processes(os.getpid())
    os.waitpid(pid, 0)
    assert found == []


def test_a_guardian_that_has_just_ended_is_none_of_the_engines() -> None:
    """It is listed until the sidecar waits for it, without a command line but still named python."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    found = engine_processes(os.getpid())
    os.waitpid(pid, 0)
    assert found == []


def test_a_shell_and_its_child_wait_in_their_system_calls(shell: subprocess.Popen[bytes]) -> None:
    (waits,) = waits_of(shell.pid)
    assert (waits.call, waits.state) == ("wait4", "S")
    (sleep,) = waits_of(engine_processes(os.getpid())[1])
    assert (sleep.process, sleep.thread, sleep.call) == ("sleep", "sleep", "clock_nanosleep")
    assert waits_of(2**22 + 1) == []


def test_python_is_known_by_its_program() -> None:
    assert runs_python(os.getpid())
    with subprocess.Popen(["sleep", "5"]) as other:
        found = runs_python(other.pid)
        other.kill()
    assert not found


def test_what_may_not_be_looked_at_says_so() -> None:
    if os.geteuid() != 0:
        pytest.skip(
            "only root can look at another user's process and then not: needs a user to become"
        )
    look = (
        "import os, sys; sys.path.insert(0, 'src'); from evenground.explain.kernel import waits_of;"
        " [wait] = waits_of(os.getppid()); print(wait.state, wait.channel, wait.call)"
    )
    as_user("ordinary")
    script = f'"$@" {sys.executable} -c "{look}"; exit'
    done = subprocess.run(["sh", "-c", script, "sh", *ORDINARY], capture_output=True, text=True)
    assert done.stdout.startswith(f"S 0 {NOT_PERMITTED}: /proc/PID/syscall: "), done.stderr


def test_what_a_thread_goes_on_doing_is_one_stretch(
    shell: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    recorder = Recorder(os.getpid())
    time.sleep(0.5)
    recording = recorder.stop()
    assert len(recording.ticks_ns) >= 5
    by_name = {stretch.wait.process: stretch for stretch in recording.stretches}
    assert len(recording.stretches) == 2, "the shell and its sleep, from the first tick to the last"
    assert (by_name["sleep"].first, by_name["sleep"].last) == (0, len(recording.ticks_ns) - 1)
    recording.write(tmp_path / "kernel.json")
    assert Recording.read(tmp_path / "kernel.json") == recording


def test_moments_at_which_the_engine_computes_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the CPU time of a process that uses a core for itself, as a loaded machine may not give it."""
    monkeypatch.setattr(kernel, "_cpu_ns", lambda pids: dict.fromkeys(pids, time.monotonic_ns()))
    with subprocess.Popen(["sleep", "5"], start_new_session=True) as process:
        recorder = Recorder(os.getpid())
        time.sleep(0.5)
        recording = recorder.stop()
        process.kill()
    # At the first look there is no use of the CPU yet.
    assert len(recording.ticks_ns) == 1


def test_a_wait_that_changes_begins_another_stretch() -> None:
    recorder = Recorder(os.getpid())
    recorder.stop()
    script = "read line; sleep 5"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        time.sleep(0.2)
        recorder.look([process.pid])
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
        time.sleep(0.2)
        recorder.look([process.pid])
        found = [*recorder._closed, *recorder._open.values()]
        os.killpg(process.pid, 9)
    assert [(stretch.wait.call, stretch.first, stretch.last) for stretch in found] == [
        ("read", 0, 0),
        ("wait4", 1, 1),
    ]
