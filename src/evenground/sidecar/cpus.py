"""Lists of CPUs as the kernel writes them: `0-3,8`."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Kernels are built for 8192 CPUs at most: a larger number is a mistake, and its range would fill
# memory.
MAX_CPUS = 2**16
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


def cpu_list(text: str) -> frozenset[int]:
    """Parse a list of CPUs; raises ValueError if it is malformed."""
    cpus: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{text}' is no list of CPUs, such as 0-3,8")
        first = int(match[1])
        last = int(match[2] or first)
        if not first <= last < MAX_CPUS:
            raise ValueError(f"'{text}' is no list of CPUs: {part.strip()} is no range of them")
        cpus.update(range(first, last + 1))
    return frozenset(cpus)


def list_text(cpus: Iterable[int]) -> str:
    """Write CPUs as such a list; empty text for none."""
    chosen = set(cpus)
    firsts = sorted(cpu for cpu in chosen if cpu - 1 not in chosen)
    lasts = sorted(cpu for cpu in chosen if cpu + 1 not in chosen)
    texts = []
    for first, last in zip(firsts, lasts, strict=True):
        texts.append(f"{first}-{last}" if first < last else str(first))
    return ",".join(texts)
