"""Readings of the whole machine, as the thesis's tool UnixStats took them: since-boot CPU, used memory."""

from __future__ import annotations

import os

from evenground.sidecar.columns import Missing
from evenground.sidecar.tree import KeptFile


def cpu_since_boot_pct(stat: bytes) -> float:
    """(user + system) * 100 / (user + system + idle) from the first line of /proc/stat, in percent.

    This is UnixStats's formula, fields 2, 4 and 5 of the line `cpu`: a mean since boot, which hardly
    moves however busy the machine is now; kept to show that. ValueError where the file has no such line.
    """
    fields = stat.split(None, 5)
    if len(fields) < 5 or fields[0] != b"cpu":
        raise ValueError("/proc/stat does not begin with the machine's CPU times")
    user, system, idle = int(fields[1]), int(fields[3]), int(fields[4])
    return (user + system) * 100 / (user + system + idle)


def machine_used_bytes(meminfo: bytes) -> int:
    """MemTotal - MemAvailable of /proc/meminfo in bytes; ValueError where one is not given.

    `free` prints this as `used` since procps-ng 4.0; 3.3.10 to 3.3.17 (Ubuntu 20.04 and 22.04, so
    probably the thesis's) printed MemTotal - MemFree - Buffers - Cached - SReclaimable.
    """
    values = dict(line.split(b":", 1) for line in meminfo.splitlines() if b":" in line)
    if b"MemTotal" not in values or b"MemAvailable" not in values:
        raise ValueError("/proc/meminfo has no MemTotal or no MemAvailable")
    return (int(values[b"MemTotal"].split()[0]) - int(values[b"MemAvailable"].split()[0])) * 1024


class Machine:
    """Rereads the two files; a value that cannot be had becomes None with its reason noted."""

    def __init__(self, missing: Missing, proc: str = "/proc") -> None:
        self._missing, self._proc = missing, proc
        self._files: dict[str, KeptFile] = {}

    def cpu_since_boot_pct(self) -> float | None:
        """See the function of this name."""
        try:
            return cpu_since_boot_pct(self._read("stat"))
        except (OSError, ValueError) as error:
            self._missing.note("cpu_since_boot_pct", reason(error))
            return None

    def machine_used_bytes(self) -> int | None:
        """See the function of this name."""
        try:
            return machine_used_bytes(self._read("meminfo"))
        except (OSError, ValueError) as error:
            self._missing.note("machine_used_bytes", reason(error))
            return None

    def _read(self, name: str) -> bytes:
        if name not in self._files:
            self._files[name] = KeptFile(f"{self._proc}/{name}", keep=True)
        # Both values stand in the first lines; the cut last line is never one of them.
        return self._files[name].read(256)


def reason(error: OSError | ValueError) -> str:
    """An error as the reason of an empty cell, without errno numbers and paths of this machine."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
