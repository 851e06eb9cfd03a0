"""Whole-machine readings as the thesis's tool UnixStats took them: CPU since boot, used memory."""

from __future__ import annotations

import os
from collections.abc import Callable

from evenground.sidecar.columns import MACHINE_PERIOD_S, Missing
from evenground.sidecar.procfile import KeptFile

MACHINE_PERIOD_NS = round(MACHINE_PERIOD_S * 1e9)


def cpu_since_boot_pct(stat: bytes) -> float:
    """(user + system) * 100 / (user + system + idle) from the first line of /proc/stat, in percent.

    This is UnixStats's formula, fields 2, 4 and 5 of the line `cpu`: a mean since boot, which
    hardly moves however busy the machine is now; kept to show that. Raises ValueError without such
    a line.
    """
    fields = stat.split(None, 5)
    if len(fields) < 5 or fields[0] != b"cpu":
        raise ValueError("/proc/stat does not begin with the machine's CPU times")
    used = int(fields[1]) + int(fields[3])
    total = used + int(fields[4])
    if total <= 0:
        raise ValueError("/proc/stat counts no time (as gVisor's)")
    return used * 100 / total


def machine_used_bytes(meminfo: bytes) -> int:
    """MemTotal - MemAvailable of /proc/meminfo in bytes: `used` of `free` since procps-ng 4.0.

    Raises ValueError if one of them is missing.
    """
    return _total(meminfo) - _entry(meminfo, b"MemAvailable")


def free_used_bytes(meminfo: bytes) -> int:
    """MemTotal - MemFree - Buffers - Cached - SReclaimable in bytes, `used` of an older `free`.

    That is procps-ng 3.3.10 to 3.3.17; Ubuntu 20.04 and 22.04 have these, so probably the thesis's
    machine. Raises ValueError if one of them is missing.
    """
    used = _total(meminfo)
    for name in (b"MemFree", b"Buffers", b"Cached", b"SReclaimable"):
        used -= _entry(meminfo, name)
    return used


def _total(meminfo: bytes) -> int:
    total = _entry(meminfo, b"MemTotal")
    if total <= 0:
        raise ValueError("/proc/meminfo knows no memory")
    return total


def _entry(meminfo: bytes, name: bytes) -> int:
    """One line of /proc/meminfo in bytes; ValueError if it is missing."""
    # With a line's end in front, `Cached` is not found within `SwapCached`.
    _, _, rest = (b"\n" + meminfo).partition(b"\n" + name + b":")
    words = rest.split(None, 1)
    if not words:
        raise ValueError(f"/proc/meminfo has no {name.decode()}")
    return int(words[0]) * 1024


class Machine:
    """Rereads both files at most ten times a second; a failing value is None, its reason noted."""

    def __init__(self, missing: Missing, proc: str = "/proc") -> None:
        self._missing = missing
        self._proc = proc
        self._files: dict[str, KeptFile] = {}
        self._read_ns = -MACHINE_PERIOD_NS

    def read(self, now_ns: int) -> list[float | None]:
        """The three values in the order of the columns; all None while they are not due."""
        # A tenth of tolerance: rows at ten a second are never a whole period apart to the
        # nanosecond.
        if now_ns - self._read_ns < 0.9 * MACHINE_PERIOD_NS:
            return [None, None, None]
        self._read_ns = now_ns
        # All values stand in the first lines; the line that is cut is never one of them.
        stat = self._content("stat", 256)
        meminfo = self._content("meminfo", 1024)
        return [
            self._value("cpu_since_boot_pct", stat, cpu_since_boot_pct),
            self._value("machine_used_bytes", meminfo, machine_used_bytes),
            self._value("free_used_bytes", meminfo, free_used_bytes),
        ]

    def _content(self, name: str, size: int) -> bytes | OSError:
        try:
            if name not in self._files:
                self._files[name] = KeptFile(f"{self._proc}/{name}", keep=True)
            return self._files[name].read(size)
        except OSError as error:
            return error

    def _value(
        self, column: str, content: bytes | OSError, compute: Callable[[bytes], float]
    ) -> float | None:
        try:
            if isinstance(content, OSError):
                raise content
            return compute(content)
        except (OSError, ValueError) as error:
            self._missing.note(column, reason(error))
            return None


def reason(error: Exception) -> str:
    """An error as the reason of an empty cell, without errno numbers and paths of this machine."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
