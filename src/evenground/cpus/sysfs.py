"""One value of a file below /sys or /proc, or the reason why it cannot be had."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

SYSTEM = Path("/")
"""The folder that /sys and /proc lie in; tests make one of their own."""
CPUS = "sys/devices/system/cpu"
# Of the kernel's own choice 8192 at most; a list that names more is none.
MAX_CPUS = 2**16
MAX_SHOWN = 60
# Fifteen digits: the sum over all CPUs still fits into 63 bits, as readers of records want.
_NUMBER = re.compile(r"-?[0-9]{1,15}")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class Unknown(Exception):
    """A value that cannot be had; its text is the reason, one line."""


class Absent(Unknown):
    """There is no such file: the kernel or the processor has no such thing."""


def cpu_folder(cpu: int, system: Path = SYSTEM) -> Path:
    """Folder of one CPU of the kernel's, which is a hardware thread."""
    return system / CPUS / f"cpu{cpu}"


def read_text(path: Path) -> str:
    """Content of a file without white space around it; Absent or Unknown where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        raise Absent(f"there is no {shown(path)}") from None
    # A CPU that goes off-line meanwhile answers ENODEV, a file of root's EACCES.
    except OSError as error:
        raise Unknown(f"{shown(path)} cannot be read: {error.strerror or error}") from None


def read_number(path: Path) -> int:
    """The one whole number in a file; Absent or Unknown where there is none."""
    text = read_text(path)
    if not _NUMBER.fullmatch(text):
        raise Unknown(f"{shown(path)} holds no number: {plain(text)!r}")
    return int(text)


def read_count(path: Path) -> int:
    """The number in a file that counts or measures; Unknown where it is negative."""
    number = read_number(path)
    if number < 0:
        raise Unknown(f"{shown(path)} is negative: {number}")
    return number


def read_cpus(path: Path) -> frozenset[int]:
    """The CPUs that a file lists; Absent or Unknown where it lists none."""
    text = read_text(path)
    cpus = parse_cpus(text)
    if not cpus:
        raise Unknown(f"{shown(path)} is no list of CPUs: {plain(text)!r}")
    return cpus


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list as the kernel writes it, `0-3,8`; none where it is no such list."""
    cpus: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            return frozenset()
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < MAX_CPUS:
            return frozenset()
        cpus |= set(range(first, last + 1))
    return frozenset(cpus)


def list_text(cpus: Iterable[int]) -> str:
    """CPUs as the kernel lists them: `0-3,8`."""
    numbers = sorted(set(cpus))
    if not numbers:
        return ""
    ends = [(left, right) for left, right in pairwise(numbers) if right != left + 1]
    firsts = [numbers[0], *(right for _, right in ends)]
    lasts = [*(left for left, _ in ends), numbers[-1]]
    ranges = zip(firsts, lasts, strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def has_folder(path: Path) -> bool:
    """Whether a folder is there and may be looked into."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def has_file(path: Path) -> bool:
    """Whether a file is there and may be seen."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def shown(path: Path) -> str:
    """The end of a path, which says enough of a file below /sys."""
    return "/".join(path.parts[-3:])


def plain(text: str) -> str:
    """A text of a file's on one line, cut where it is long."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:MAX_SHOWN]
