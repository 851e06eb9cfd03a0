"""How a part of a run's record is judged: the size of a fault, or why it is not known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple, Protocol

from pydantic import Field

from evenground.validation import one_line

# Types of a record's values. A record may come from other people: impossible values are refused
# when it is read.
Count = Annotated[int, Field(ge=0, lt=2**63)]
YesOrNo = Annotated[bool, Field(strict=True)]
Reason = Annotated[str, Field(max_length=1000)]
# How many items of a list are shown, and how many characters from the end of a long text: the end
# of a path has the file's name.
MAX_ITEMS, MAX_CHARACTERS = 3, 200
# What runs should have in common -> the values that a run has for it.
Compared = Mapping[str, Sequence[str]]
NOT_RECORDED = "not recorded, as in runs before there was a record of them"
# Only search paths are recorded in their order, all other lists are sorted.
REORDERED = "the same folders in another order"


class Judged(NamedTuple):
    """The size of a fault, 0 for none and None if it is not known, and a description of it."""

    size: float | None
    text: str = ""


class Record(Protocol):
    """A part of a run's record."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Name of a value that is not known -> the reason."""


def unless_missing(record: Record, needed: Collection[str], size: float, text: str) -> Judged:
    """Judge a fault of which a size of 0 counts only if all values in `needed` are known."""
    if size == 0 and any(name in record.missing for name in needed):
        return Judged(None, text)
    return Judged(size, text)


def reasons(record: Record | None, names: Collection[str] | None = None) -> str:
    """Why values of a record are not known, each reason once; only those in `names`, if given."""
    if record is None:
        return NOT_RECORDED
    of_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in record.missing.items():
        if names is None or name in names:
            of_reason[reason].append(name)
    return "; ".join(f"{', '.join(values)}: {reason}" for reason, values in of_reason.items())


def differences(names: Iterable[str], runs: Sequence[Compared]) -> list[str]:
    """Describe each of `names` whose values are not the same in all runs in which it is known."""
    texts: list[str] = []
    for name in names:
        known = [run[name] for run in runs if name in run]
        if len(set(map(tuple, known))) > 1:
            texts.append(f"{name}: {_difference(known)}")
    return texts


def _difference(of_runs: Sequence[Sequence[str]]) -> str:
    """The values that only some of the runs have, and how many runs have them."""
    counts: Counter[str] = Counter()
    for values in of_runs:
        counts.update(values)
    partly: list[str] = []
    for value, n in counts.items():
        if n == 1:
            partly.append(f"{shown(value)} (1 run)")
        elif n < len(of_runs):
            partly.append(f"{shown(value)} ({n} runs)")
    return first(partly) or REORDERED


def pairs(values: Mapping[str, str]) -> list[str]:
    """Names and their values, sorted, for a comparison."""
    return [f"{name} {value}" for name, value in sorted(values.items())]


def first(items: Sequence[str]) -> str:
    """The first few items, and how many more there are."""
    text = ", ".join(items[:MAX_ITEMS])
    if len(items) > MAX_ITEMS:
        text += f" and {len(items) - MAX_ITEMS} more"
    return text


def shown(text: str) -> str:
    """A path, or another text of a record, in one line and not too long."""
    line = one_line(text[-MAX_CHARACTERS:])
    if len(text) > MAX_CHARACTERS:
        return f"…{line}"
    return line
