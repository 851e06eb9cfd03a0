"""A cgroup v2 leaf for the command: the kernel's exact account of its whole process tree."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from evenground.sidecar.machine import reason
from evenground.sidecar.mounts import read_mounts
from evenground.sidecar.procfile import KeptFile

REMOVE_S = 1.0
_PAUSE_S = 0.005


class Leaf:
    """One leaf below this process's cgroup; everything the command starts is counted in it."""

    def __init__(self, folder: Path) -> None:
        """Make the folder; raises OSError or ValueError if that fails or CPU is not counted."""
        folder.mkdir()
        self._folder = folder
        try:
            self._procs = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            self._stat = KeptFile(str(folder / "cpu.stat"), keep=True)
            self.cpu_ns()
        except (OSError, ValueError):
            self.remove()
            raise

    def enter(self) -> bool:
        """Move the calling process, a fresh child, into it; False if the kernel refuses."""
        try:
            os.write(self._procs, b"0")  # 0 stands for the writing process
        except OSError:
            return False
        return True

    def cpu_ns(self) -> int:
        """CPU of everything that ever ran in it, up to this moment, in steps of a microsecond.

        Raises OSError, or ValueError if cpu.stat does not begin with `usage_usec`.
        """
        name, value, _ = self._stat.read(64).split(None, 2)
        if name != b"usage_usec":
            raise ValueError("cpu.stat does not begin with usage_usec")
        return int(value) * 1000

    def peak_bytes(self) -> int | None:
        """Most memory charged at once, page cache included; None without the memory controller."""
        try:
            return int((self._folder / "memory.peak").read_text())
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """Send SIGKILL to everything in it; does nothing on kernels before 5.14."""
        with contextlib.suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Remove it and what the command made below it; leave it if it does not get empty."""
        until = time.monotonic() + REMOVE_S
        while not _removed(self._folder) and time.monotonic() < until:
            time.sleep(_PAUSE_S)


def _removed(folder: Path) -> bool:
    """Try to remove a cgroup and those below it; the kernel refuses while one is in use."""
    inner: list[Path] = []
    with contextlib.suppress(OSError):  # one may vanish while they are listed
        inner = sorted(folder.rglob("*/"), reverse=True)  # the innermost first
    for path in inner + [folder]:
        with contextlib.suppress(OSError):
            path.rmdir()
    return not folder.exists()


def make_leaf() -> Leaf | str:
    """Make a leaf below this process's cgroup; text with the reason if that is impossible."""
    try:
        here = own_cgroup(Path("/proc/self"))
        if here is None:
            return "this machine has no cgroup v2"
        return Leaf(here / f"sidecar-{os.getpid()}-{time.monotonic_ns()}")
    except (OSError, ValueError) as error:
        return f"it cannot be made: {reason(error)}"


def own_cgroup(process: Path) -> Path | None:
    """Folder of the cgroup v2 of a process, by its folder in /proc (cgroups(7)).

    None if it has none, or version 2 is not mounted. Raises OSError or ValueError.
    """
    # Names in this file may hold any bytes.
    lines = os.fsdecode((process / "cgroup").read_bytes()).splitlines()
    paths = [line.removeprefix("0::") for line in lines if line.startswith("0::")]
    mounts = [mount for mount in read_mounts(process / "mountinfo") if mount.kind == "cgroup2"]
    if not paths or not mounts:
        return None
    return Path(mounts[0].point, *mounts[0].inside(paths[0]))
