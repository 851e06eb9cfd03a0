"""Lists of CPUs as the kernel writes them: `0-3,8`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

MAX_CPUS = 2**16
"""A list that names more is none: of the kernel's own choice there are 8192 at most."""
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def parse_cpus(text: str) -> frozenset[int]:
    """The CPUs of a list; ValueError where it is none."""
    cpus: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{text}' is no list of CPUs, such as 0-3,8")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < MAX_CPUS:
            raise ValueError(f"'{text}' is no list of CPUs: {part.strip()} is no range of them")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def list_text(cpus: Iterable[int]) -> str:
    """The list of these CPUs; empty for none."""
    numbered = enumerate(sorted(set(cpus)))
    # Neighbours differ from their place in the row by the same number.
    runs = [[cpu for _, cpu in run] for _, run in groupby(numbered, lambda pair: pair[1] - pair[0])]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
