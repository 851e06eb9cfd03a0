"""Signals, exit codes and ends: the command must not notice the sidecar, and must not outlive it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.columns import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., Any]

HANDLER = """
import signal
def stop(number, frame):
    os.write(1, b"got %d\\n" % number)
    sys.exit(7)
for number in map(int, sys.argv[2:]): signal.signal(number, stop)
open(sys.argv[1], "w").close()
time.sleep(30)
"""
# A command with a child, a grandchild in its own session, and an orphan; each writes its pid.
FAMILY = """
def note():
    with open(sys.argv[1], "a") as file: file.write(f"{os.getpid()}\\n")
def sleep():
    note()
    if len(sys.argv) > 2:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
if not os.fork(): sleep()
if not os.fork():
    os.setsid()
    if not os.fork(): sleep()
    os._exit(0)
os.wait()
sleep()
"""


@pytest.fixture
def family(start: Call, python: Call, tmp_path: Path, wait_for: Call) -> Call:
    """Starts the family under a sidecar and returns it with the pids, once all three are there."""

    def starter(*options: str, stubborn: bool = False) -> tuple[Any, list[int]]:
        file = tmp_path / "pids"
        file.touch()
        running = start(python(FAMILY, file, *["stubborn"] * stubborn), *options)
        wait_for(lambda: len(file.read_text().splitlines()) == 3)
        time.sleep(0.15)
        return running, [int(line) for line in file.read_text().split()]

    return starter


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_commands_handler(
    number: int, start: Call, python: Call, tmp_path: Path, wait_for: Call
) -> None:
    ready = tmp_path / "ready"
    running = start(python(HANDLER, ready, int(number)))
    wait_for(ready.exists)
    running.process.send_signal(number)
    got = running.done()
    assert (got.status, got.stdout) == (7, f"got {int(number)}\n")
    assert got.summary["exit_code"] == 7 and got.summary["signal"] is None


def test_an_ignored_hangup_stays_ignored(
    start: Call, python: Call, tmp_path: Path, wait_for: Call
) -> None:
    ready = tmp_path / "ready"
    text = "import signal; open(sys.argv[1], 'w').close(); time.sleep(0.5)\n"
    text += "print(signal.getsignal(1) is signal.SIG_IGN)"
    running = start(
        python(text, ready), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    wait_for(ready.exists)
    running.process.send_signal(signal.SIGHUP)
    assert running.done().stdout == "True\n"


def take_terminal() -> None:
    """Let the terminal on standard input be the session's own."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal, the user's and the command's; skips where none can be had."""
    try:
        ends = pty.openpty()
    except OSError as error:
        pytest.skip(f"there is no terminal to be had here: {error.strerror}")
    try:
        probe = {"stdin": ends[1], "start_new_session": True, "preexec_fn": take_terminal}
        subprocess.run(["true"], check=True, **probe)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"a terminal cannot be made a session's own here: {error}")
    else:
        yield ends
    finally:
        os.close(ends[0])
        os.close(ends[1])


def test_ctrl_c_in_a_terminal_reaches_the_whole_group(
    start: Call, python: Call, tmp_path: Path, wait_for: Call, terminal: tuple[int, int]
) -> None:
    outside, inside = terminal
    ready = tmp_path / "ready"
    text = "child = os.fork()\n" + HANDLER.replace('"w"', '"a"').replace(
        'open(sys.argv[1], "a").close()', 'open(sys.argv[1], "a").write("x")'
    )
    running = start(
        python(text, ready, int(signal.SIGINT)),
        stdin=inside,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    wait_for(lambda: ready.exists() and ready.read_text() == "xx")
    os.write(outside, b"\x03")
    assert running.done().stdout == "got 2\ngot 2\n"


def test_the_command_has_the_callers_mask_limits_and_streams(measure: Call, python: Call) -> None:
    text = (
        "import resource, signal\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []), resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "print(open('/proc/self/timerslack_ns').read().strip())\n"
        "print(os.getpgid(0) == os.getpid() == os.getsid(0))\n"
        "print('to stderr', file=sys.stderr)"
    )
    got = measure(python(text))
    own_slack = Path("/proc/self/timerslack_ns").read_text().strip()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert got.stdout == f"set() {limits}\n{own_slack}\nTrue\n"
    assert got.stderr == "to stderr\n"


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_exit_codes_are_passed_on(code: int, measure: Call) -> None:
    got = measure(["sh", "-c", f"exit {code}"])
    assert got.status == got.summary["exit_code"] == code


def test_a_command_killed_by_a_signal(measure: Call) -> None:
    got = measure(["sh", "-c", "kill -SEGV $$"])
    assert got.status == 128 + signal.SIGSEGV
    assert got.summary["exit_code"] is None and got.summary["signal"] == signal.SIGSEGV


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [("no-such-program-here", 127, "command not found"), ("/dev/null", 126, "Permission denied")],
)
def test_a_command_that_cannot_start(command: str, status: int, reason: str, measure: Call) -> None:
    got = measure([command])
    assert got.status == got.summary["exit_code"] == status
    assert got.stderr == f"sidecar: {command}: {reason}\n"
    assert got.summary["not_started"] == f"{command}: {reason}"
    assert got.rows == []


@pytest.mark.parametrize("stubborn", [False, True])
def test_the_time_limit_ends_the_whole_tree(stubborn: bool, family: Call, alive: Call) -> None:
    running, pids = family("--time-limit-s", "0.8", "--grace-s", "0.3", stubborn=stubborn)
    got = running.done()
    assert got.status == 124 and got.summary["timed_out"] is True
    assert got.summary["signal"] == (signal.SIGKILL if stubborn else signal.SIGTERM)
    assert not any(map(alive, pids))
    seconds = (got.summary["exited_unix_ns"] - got.summary["launched_unix_ns"]) / 1e9
    assert 0.8 <= seconds < 2.5


def test_what_outlives_the_command_is_ended(measure: Call, tmp_path: Path, alive: Call) -> None:
    file = tmp_path / "pid"
    got = measure(["sh", "-c", f"setsid sleep 60 & echo $! > {file}; sleep 0.2; exit 4"])
    assert got.status == 4 and got.summary["survivors"] == 1
    assert not alive(int(file.read_text()))


def test_kill_9_of_the_sidecar_leaves_nothing_behind(
    family: Call, alive: Call, wait_for: Call
) -> None:
    running, pids = family(stubborn=True)
    assert all(map(alive, pids))
    running.process.kill()
    wait_for(lambda: not any(map(alive, pids)))
    assert len((running.folder / "samples.csv").read_text().splitlines()) > 1


def test_the_guardian_is_gone_after_a_normal_end(start: Call, alive: Call, wait_for: Call) -> None:
    running = start(["sleep", "0.5"])
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    wait_for(lambda: len(children.read_text().split()) == 2)
    pids = [int(pid) for pid in children.read_text().split()]
    assert running.done().status == 0
    assert not any(map(alive, pids))


def test_the_command_ends_when_the_caller_of_the_library_is_killed(
    start: Call, python: Call, tmp_path: Path, alive: Call, wait_for: Call
) -> None:
    file = tmp_path / "pids"
    file.touch()
    command = python(FAMILY, file)
    inner = (
        f"samples=Path({str(tmp_path / 'in.csv')!r}), header=Path({str(tmp_path / 'in.json')!r})"
    )
    text = f"from pathlib import Path; from evenground import sidecar; sidecar.run({command!r}, {inner})"
    caller = start([sys.executable, "-c", text])
    wait_for(lambda: len(file.read_text().splitlines()) == 3)
    caller.process.kill()
    wait_for(lambda: not any(alive(int(pid)) for pid in file.read_text().split()))


def test_output_that_cannot_be_written_starts_nothing(start: Call, tmp_path: Path) -> None:
    (tmp_path / "samples.csv").mkdir()
    running = start(["touch", str(tmp_path / "started")])
    out, err = running.process.communicate(timeout=20)
    assert running.process.returncode == 125 and out == ""
    assert err.startswith("sidecar: Is a directory (") and err.count("\n") == 1
    assert not (tmp_path / "started").exists()


def test_a_full_disk_does_not_stop_the_command(start: Call, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    (tmp_path / "samples.csv").symlink_to("/dev/full")
    running = start(["sh", "-c", f"sleep 0.3; touch {tmp_path / 'finished'}"])
    assert running.process.wait(20) == 125
    assert "No space left" in running.process.communicate()[1]


def test_a_note_that_nobody_can_read_does_not_stop_the_command(start: Call, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    script = "import evenground.sidecar.recording as r, evenground.sidecar.launch as l\n"
    script += "l.hurry = lambda: 'slack'\nfrom evenground.sidecar.cli import main; main()"
    words = ["run", "--samples", str(tmp_path / "s.csv"), "--", "touch", str(tmp_path / "finished")]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", script, *words], stderr=writer, env=env)
    os.close(writer)
    assert done.returncode == 0 and (tmp_path / "finished").exists()
    assert json.loads((tmp_path / "s.json").read_text())["scheduling"] == "slack"


def test_the_header_of_a_killed_sidecar_says_how_it_measured(
    start: Call, tmp_path: Path, wait_for: Call
) -> None:
    running = start(["sleep", "30"])
    wait_for((tmp_path / "samples.json").exists)
    wait_for(lambda: '"cpu_source":' in (tmp_path / "samples.json").read_text())
    running.process.kill()
    header = json.loads((tmp_path / "samples.json").read_text())
    assert header["summary"] is None and header["slot_zero_mono_ns"] and header["scheduling"]


@pytest.mark.slow
def test_kill_9_of_the_sidecar_loses_at_most_a_second_of_rows(
    start: Call, tmp_path: Path, wait_for: Call
) -> None:
    running = start(["sleep", "30"], "--rate-hz", "20")
    wait_for((tmp_path / "samples.csv").exists)
    wait_for(lambda: len((tmp_path / "samples.csv").read_text().splitlines()) > 1)
    time.sleep(2.6)
    running.process.kill()
    killed_ns = time.time_ns()
    last = (tmp_path / "samples.csv").read_text().splitlines()[-1]
    assert last.count(",") == len(COLUMNS) - 1, "whole lines only"
    assert killed_ns - int(last.split(",")[0]) < 1.1e9
