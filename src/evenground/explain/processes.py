"""Which of the processes below a tracer are the engine's, and which of those run Python."""

from __future__ import annotations

from pathlib import Path

from evenground.sidecar import linux


def engine_processes(above: int) -> list[int]:
    """The engine's processes below the process `above`, parents before children.

    The sidecar starts the engine in a session of its own, while everything between `above` and the
    sidecar shares that of `above`.
    """
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
        except PermissionError:  # `hidepid`, of another user's: no tracer may look at it either
            continue
        if (
            stat
            and stat.session != top.session
            and (stat.parent in engine or _is_itself(pid, stat.parent))
        ):
            engine.append(pid)
    return engine


def _is_itself(pid: int, parent: int) -> bool:
    """Whether a child of the sidecar has become another program: its guardian never does, the engine soon."""
    return _command_line(pid) != _command_line(parent)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def command_name(pid: int, tid: int | None = None) -> str:
    """The name of a process, or of one of its threads, as ps shows it; empty when it is gone."""
    folder = Path("/proc", str(pid), *(["task", str(tid)] if tid else []))
    try:
        return (folder / "comm").read_text(errors="replace").rstrip("\n")
    except OSError:
        return ""


def program_name(pid: int) -> str:
    """The file name of the program that a process runs, else its name; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return command_name(pid)


def runs_python(pid: int) -> bool:
    """Whether a process is a Python interpreter, by the program that it runs or a library it has loaded."""
    try:
        if Path(f"/proc/{pid}/exe").readlink().name.startswith("python"):
            return True
        return "/libpython3" in Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        # What may not be looked at is told by its name; its tracer then says what is not permitted.
        return command_name(pid).startswith("python")
