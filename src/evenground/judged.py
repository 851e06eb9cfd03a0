"""How a part of a run's record is judged: the size of a fault, and why one is not known."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

# Of a list the first few are told, and of a long text its end: of a path that has the file.
SHOWN, MAX_CHARACTERS = 3, 200
SAME_PARTS = "the same in another order"
Compared = Mapping[str, Sequence[str]]
"""What runs should have in common -> the parts of it that a run has."""
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


def differences(
    names: Iterable[str], runs: Sequence[Compared], reordered: str = SAME_PARTS
) -> list[str]:
    """In words, each of `names` that is not the same in all runs of which it is known.

    `reordered`: what is said of the same parts in another order.
    """
    known = {name: [run[name] for run in runs if name in run] for name in names}
    return [
        f"{name}: {_unlike(values, reordered)}"
        for name, values in known.items()
        if len(set(map(tuple, values))) > 1
    ]


def _unlike(values: Sequence[Sequence[str]], reordered: str) -> str:
    """What only some of the values have, and how many of them do."""
    counts = Counter(part for value in values for part in value)
    partly = [f"{shown(part)} ({_runs(n)})" for part, n in counts.items() if n < len(values)]
    return first(partly) if partly else reordered


def _runs(n: int) -> str:
    return "1 run" if n == 1 else f"{n} runs"


def first(words: Sequence[str]) -> str:
    """The first of some words, and how many more there are."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def shown(text: str) -> str:
    """A path, or another text of a record, as it can be shown: in one line and not too long."""
    line = "".join(sign if sign.isprintable() else "?" for sign in text[-MAX_CHARACTERS:])
    return line if len(text) <= MAX_CHARACTERS else f"…{line}"
