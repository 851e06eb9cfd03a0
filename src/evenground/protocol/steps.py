"""Where an engine leaves the reference in the parity test: step, statistic, logit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenground.protocol.parity import Tolerance

Numbers = NDArray[np.float64]


def departures(
    reference: Mapping[str, Any], other: Mapping[str, Any], allowed: Tolerance
) -> list[str]:
    """One line for the losses, for each moving statistic and for the logits.

    `reference` and `other` are results of the parity test (docs/protocol.md). A line names the
    largest difference and, if it is more than is `allowed`, the first place that is.
    """
    lines = [_line("losses", reference["losses"], other["losses"], allowed.loss, "step")]
    expected, actual = reference["statistics"], other["statistics"]
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual or name not in expected:
            lines.append(f"NO  {name}: only one of the two has it")
            continue
        lines.append(_line(name, expected[name], actual[name], allowed.statistics, "channel"))
    lines.append(_line("logits", reference["logits"], other["logits"], allowed.logits, "example"))
    return lines


def _line(name: str, expected: Any, actual: Any, allowed: float, place: str) -> str:
    """The differences of one list; its first axis is that of `place`, counted from 1."""
    a, b = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    if a.shape != b.shape:
        return f"NO  {name}: shape {list(b.shape)}, the reference has {list(a.shape)}"
    differences = _by_first_axis(np.abs(a - b))
    # NaN compares as smaller than every tolerance.
    differences[np.isnan(differences)] = np.inf
    largest = float(differences.max(initial=0.0))
    told = f"{name}: largest difference {largest:.3g}, allowed {allowed:.3g}"
    beyond = np.flatnonzero(differences > allowed)
    if not len(beyond):
        return f"ok  {told}"
    first = int(beyond[0])
    return (
        f"NO  {told}; first beyond it at {place} {first + 1} of {len(differences)}: "
        f"{_shown(b[first])}, the reference has {_shown(a[first])}"
    )


def _by_first_axis(differences: Numbers) -> Numbers:
    """The largest difference of each element of the first axis; shape (N,)."""
    largest: Numbers = differences.reshape(len(differences), -1).max(axis=1, initial=0.0)
    return largest


def _shown(value: Any) -> str:
    """A number, or the first numbers of a list."""
    numbers = np.atleast_1d(value)
    text = ", ".join(f"{number:.7g}" for number in numbers[:3])
    if len(numbers) > 3:
        text += ", ..."
    return text
