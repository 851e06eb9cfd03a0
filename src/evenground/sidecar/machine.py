"""Readings of the whole machine, as the thesis's tool UnixStats took them: since-boot CPU, used memory."""

from __future__ import annotations

import os
from collections.abc import Callable

from evenground.sidecar.columns import MACHINE_PERIOD_S, Missing
from evenground.sidecar.procfile import KeptFile

MACHINE_PERIOD_NS = round(MACHINE_PERIOD_S * 1e9)


def cpu_since_boot_pct(stat: bytes) -> float:
    """(user + system) * 100 / (user + system + idle) from the first line of /proc/stat, in percent.

    This is UnixStats's formula, fields 2, 4 and 5 of the line `cpu`: a mean since boot, which hardly
    moves however busy the machine is now; kept to show that. ValueError where the file has no such line.
    """
    fields = stat.split(None, 5)
    if len(fields) < 5 or fields[0] != b"cpu":
        raise ValueError("/proc/stat does not begin with the machine's CPU times")
    user, system, idle = int(fields[1]), int(fields[3]), int(fields[4])
    total = user + system + idle
    if total <= 0:
        raise ValueError("/proc/stat counts no time (as gVisor's)")
    return (user + system) * 100 / total


def machine_used_bytes(meminfo: bytes) -> int:
    """MemTotal - MemAvailable of /proc/meminfo in bytes: `used` of `free` since procps-ng 4.0.

    ValueError where one is not given.
    """
    return _total(meminfo) - _of(meminfo, b"MemAvailable")


def free_used_bytes(meminfo: bytes) -> int:
    """MemTotal - MemFree - Buffers - Cached - SReclaimable in bytes, what an older `free` prints as `used`.

    That is procps-ng 3.3.10 to 3.3.17; Ubuntu 20.04 and 22.04 have these, so probably the thesis's
    machine. ValueError where one is not given.
    """
    free = sum(_of(meminfo, name) for name in (b"MemFree", b"Buffers", b"Cached", b"SReclaimable"))
    return _total(meminfo) - free


def _total(meminfo: bytes) -> int:
    total = _of(meminfo, b"MemTotal")
    if total <= 0:
        raise ValueError("/proc/meminfo knows no memory")
    return total


def _of(meminfo: bytes, name: bytes) -> int:
    """One line of /proc/meminfo in bytes; ValueError when it is not there."""
    _, found, rest = (b"\n" + meminfo).partition(b"\n" + name + b":")
    words = rest.split(None, 1)
    if not found or not words:
        raise ValueError(f"/proc/meminfo has no {name.decode()}")
    return int(words[0]) * 1024


VALUES: dict[str, tuple[str, Callable[[bytes], float]]] = {
    "cpu_since_boot_pct": ("stat", cpu_since_boot_pct),
    "machine_used_bytes": ("meminfo", machine_used_bytes),
    "free_used_bytes": ("meminfo", free_used_bytes),
}
_SIZES = {"stat": 256, "meminfo": 1024}


class Machine:
    """Rereads both files at most ten times a second; a value that cannot be had is None, its reason noted."""

    def __init__(self, missing: Missing, proc: str = "/proc") -> None:
        self._missing, self._proc = missing, proc
        self._files: dict[str, KeptFile] = {}
        self._read_ns = -MACHINE_PERIOD_NS

    def read(self, now_ns: int) -> list[float | None]:
        """The three values in the order of VALUES; None in all where they are not due yet."""
        # A tenth of tolerance: rows at ten a second are never a whole period apart to the nanosecond.
        if now_ns - self._read_ns < 0.9 * MACHINE_PERIOD_NS:
            return [None] * len(VALUES)
        self._read_ns = now_ns
        contents = {name: self._content(name) for name in _SIZES}
        return [self._value(column, contents[name], of) for column, (name, of) in VALUES.items()]

    def _value(
        self, column: str, content: bytes | OSError, of: Callable[[bytes], float]
    ) -> float | None:
        try:
            if isinstance(content, OSError):
                raise content
            return of(content)
        except (OSError, ValueError) as error:
            self._missing.note(column, reason(error))
            return None

    def _content(self, name: str) -> bytes | OSError:
        try:
            if name not in self._files:
                self._files[name] = KeptFile(f"{self._proc}/{name}", keep=True)
            # All values stand in the first lines; the cut last line is never one of them.
            return self._files[name].read(_SIZES[name])
        except OSError as error:
            return error


def reason(error: Exception) -> str:
    """An error as the reason of an empty cell, without errno numbers and paths of this machine."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
