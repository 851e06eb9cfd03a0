"""Which of the processes below a tracer are the engine's, and which of those run Python."""

from __future__ import annotations

from pathlib import Path

from evenground.sidecar import linux


def engine_processes(above: int) -> list[int]:
    """Return the engine's processes below the process `above`, parents before children."""
    top = linux.read_stat(above)
    if top is None:
        return []
    engine: list[int] = []
    waiting = [above]
    while waiting:
        pid = waiting.pop(0)
        waiting += linux.children(pid)
        try:
            stat = linux.read_stat(pid)
        except PermissionError:
            # Another user's, hidden by `hidepid`: no tracer may look at it either.
            continue
        # The sidecar starts the engine in a new session. All others share that of `above`.
        if stat is None or stat.session == top.session:
            continue
        # The sidecar's guardian stays a copy of it; the engine soon becomes another program.
        if stat.parent in engine or _runs_other_program(pid, stat.parent):
            engine.append(pid)
    return engine


def _runs_other_program(pid: int, parent: int) -> bool:
    command, of_parent = _command_line(pid), _command_line(parent)
    # A process that has just ended has no command line: it is no other program for that.
    return bool(command and of_parent) and command != of_parent


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def command_name(pid: int, tid: int) -> str:
    """Return the name of a thread as ps shows it; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/task/{tid}/comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def program_name(pid: int) -> str:
    """Return the file name of a process's program, or its name; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return command_name(pid, pid)


def runs_python(pid: int) -> bool:
    """Return whether a process runs Python, by its program or a library that it loaded."""
    if program_name(pid).startswith("python"):
        return True
    try:
        return "/libpython3" in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        # Its libraries may not be read; if its program may not either, the name has decided.
        return False
