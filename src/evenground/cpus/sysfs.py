"""One value of a file below /sys or /proc, or the reason why it cannot be read."""

from __future__ import annotations

import os
import re
from pathlib import Path

from evenground.sidecar.cpus import cpu_list

# The folder that holds /sys and /proc; tests make one of their own.
SYSTEM = Path("/")
CPUS = "sys/devices/system/cpu"
# Characters of a file's content that are quoted in a reason.
MAX_SHOWN = 60
# Fifteen digits: the sum over all CPUs still fits into 63 bits, which readers of records require.
_NUMBER = re.compile(r"-?[0-9]{1,15}")


class Unknown(Exception):
    """A value that cannot be read; the text is the reason, in one line."""


class Absent(Unknown):
    """The file does not exist: this kernel or this processor has no such value."""


def cpu_folder(cpu: int, system: Path = SYSTEM) -> Path:
    """The kernel's folder for one CPU, which is a hardware thread."""
    return system / CPUS / f"cpu{cpu}"


def read_text(path: Path) -> str:
    """Return a file's content without surrounding white space; raises Absent or Unknown."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        raise Absent(f"there is no {shown(path)}") from None
    # A CPU that goes offline meanwhile gives ENODEV, a file for root only EACCES.
    except OSError as error:
        raise Unknown(f"{shown(path)} cannot be read: {error.strerror or error}") from None


def read_number(path: Path) -> int:
    """Return the integer that a file holds; raises Absent or Unknown."""
    text = read_text(path)
    if not _NUMBER.fullmatch(text):
        raise Unknown(f"{shown(path)} holds no number: {text[:MAX_SHOWN]!r}")
    return int(text)


def read_cpus(path: Path) -> frozenset[int]:
    """Return the CPUs that a file lists, at least one; raises Absent or Unknown."""
    text = read_text(path)
    try:
        return cpu_list(text)
    except ValueError:
        raise Unknown(f"{shown(path)} is no list of CPUs: {text[:MAX_SHOWN]!r}") from None


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False also where this user may not look."""
    # Unlike Path.exists, which raises PermissionError there.
    return os.access(path, os.F_OK)


def shown(path: Path) -> str:
    """The last three parts of a path, which identify a file below /sys."""
    return "/".join(path.parts[-3:])
