"""A cgroup v2 leaf of the command's own: the kernel's exact account of its whole tree."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path, PurePosixPath

from evenground.sidecar.procfile import KeptFile

REMOVE_S = 1.0
_PAUSE_S = 0.005


class Leaf:
    """One leaf below this process's own cgroup; whatever the command starts is counted in it."""

    def __init__(self, folder: Path) -> None:
        """Make the folder; OSError where this process may not, or where CPU is not accounted in it."""
        folder.mkdir()
        self._folder = folder
        self._procs = -1
        try:
            self._procs = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            self._stat = KeptFile(str(folder / "cpu.stat"), keep=True)
            self.cpu_ns()
        except (OSError, ValueError):
            self.remove()
            raise

    def enter(self) -> bool:
        """Move the calling process, a fresh child, into it; whether the kernel let it."""
        try:
            os.write(self._procs, b"0")
        except OSError:
            return False
        return True

    def cpu_ns(self) -> int:
        """CPU of everything that ever ran in it, to the microsecond, up to this moment.

        `usage_usec` is the first line of cpu.stat; ValueError where it is not.
        """
        name, value, _ = self._stat.read(64).split(None, 2)
        if name != b"usage_usec":
            raise ValueError("cpu.stat does not begin with usage_usec")
        return int(value) * 1000

    def peak_bytes(self) -> int | None:
        """Most memory that was charged at once, page cache too; None without the memory controller."""
        try:
            return int((self._folder / "memory.peak").read_text())
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """SIGKILL to everything in it; kernels before 5.14 cannot."""
        with contextlib.suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove it with what the command made below it; one that is not empty in time is left behind."""
        if self._procs >= 0:
            os.close(self._procs)
            self._procs = -1
        self.remove_folder()

    def remove_folder(self) -> None:
        """`remove` for a process that has not got the descriptors (the guardian closes all)."""
        until = time.monotonic() + REMOVE_S
        while not _removed(self._folder) and time.monotonic() < until:
            time.sleep(_PAUSE_S)


def _removed(folder: Path) -> bool:
    """Try to remove a cgroup and those that the command made below it; the kernel keeps one in use."""
    inner: list[Path] = []
    with contextlib.suppress(OSError):  # one may vanish while they are listed
        inner = sorted(folder.rglob("*/"), reverse=True)
    for one in inner:
        with contextlib.suppress(OSError):
            one.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def make_leaf() -> Leaf | str:
    """A leaf below this process's cgroup; as text the reason why there is none."""
    try:
        here = own_cgroup(_text("/proc/self/mountinfo"), _text("/proc/self/cgroup"))
        if here is None:
            return "this machine has no cgroup v2"
        return Leaf(here / f"sidecar-{os.getpid()}-{time.monotonic_ns()}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"it cannot be made: {reason}"


_OCTAL = re.compile(r"\\([0-7]{3})")
"""How the kernel writes blanks and backslashes in mountinfo (proc_pid_mountinfo(5))."""


def _sign(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))


def _text(path: str) -> str:
    """A file of /proc as text; names in it may hold any bytes."""
    return os.fsdecode(Path(path).read_bytes())


def own_cgroup(mountinfo: str, cgroup: str) -> Path | None:
    """Folder of this process's cgroup v2, from the texts of the two files of /proc/self (cgroups(7))."""
    path = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), None)
    if path is None:
        return None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            root, mount = before.split(" ")[3:5]
            inside = PurePosixPath(path)
            if inside.is_relative_to(root):
                inside = inside.relative_to(root)
            return Path(_OCTAL.sub(_sign, mount)) / str(inside).strip("/")
    return None
