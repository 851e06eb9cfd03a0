"""The sampler's calibration, as measured on the machine of a condition."""

from __future__ import annotations

from evenground.analysis.runs import recorded_bytes
from evenground.records.calibration import Calibration, Figure
from evenground.records.index import Condition

FIX = "run the pipeline again: it measures what is missing and draws anew"


def read_calibration(condition: Condition) -> list[Figure]:
    """The figures in their order; empty if the condition has no calibration.

    Raises EvengroundError if the file is missing, broken or not the recorded one.
    """
    if condition.calibration is None:
        return []
    path = condition.root / condition.calibration.path
    content = recorded_bytes(path, condition.calibration.sha256, FIX)
    return list(Calibration.from_bytes(content, path).figures.values())
