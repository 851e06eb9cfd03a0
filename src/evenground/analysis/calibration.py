"""The sampler's calibration, as measured on the machine of an index."""

from __future__ import annotations

from evenground.analysis.runs import recorded_bytes
from evenground.records.calibration import Calibration, Figure
from evenground.records.index import Index

FIX = "run the pipeline again: it measures what is missing and draws anew"


def read_calibration(index: Index) -> list[Figure]:
    """The figures in their order; empty if the index has no calibration.

    Raises EvengroundError if the file is missing, broken or not the recorded one.
    """
    if index.calibration is None:
        return []
    path = index.root / index.calibration.path
    content = recorded_bytes(path, index.calibration.sha256, FIX)
    return list(Calibration.from_bytes(content, path).figures.values())
