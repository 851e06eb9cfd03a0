"""How a part of a run's record is judged: the size of a fault, and why one is not known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

NOT_RECORDED = "not recorded, as in runs before there was a record of them"


class Judged(NamedTuple):
    """How large a fault is, 0 for none and None where it is not known, and what was seen."""

    size: float | None
    words: str = ""


class Record(Protocol):
    """A part of a run's record."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Value that is not known -> the reason."""


def unless_missing(record: Record, needed: Collection[str], size: float, words: str) -> Judged:
    """Nothing found is no finding only where all that was needed is known."""
    known = size > 0 or not any(name in record.missing for name in needed)
    return Judged(size if known else None, words)


def reasons(record: Record | None, of: Collection[str] | None = None) -> str:
    """Why values of a record are not known, each reason once with its values; `of` these, None for all."""
    if record is None:
        return NOT_RECORDED
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in record.missing.items():
        if of is None or name in of:
            names[reason].append(name)
    return "; ".join(f"{', '.join(values)}: {reason}" for reason, values in names.items())
