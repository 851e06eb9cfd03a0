"""Markdown tables, and numbers as text."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One Markdown table, with an empty line after it."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows), end="\n\n", flush=True)


def median_and_worst(values: Sequence[float]) -> str:
    """Median in percent and, where there are several, the value farthest from zero."""
    if not values:
        return "-"
    text = f"{statistics.median(values):+.2f} %"
    return text if len(values) == 1 else f"{text} ({max(values, key=abs):+.2f})"


def progress(text: str) -> None:
    """What is being done, on standard error."""
    print(text, file=sys.stderr, flush=True)
