"""A dataset's contact sheet, as the condition names it."""

from __future__ import annotations

from pathlib import Path

from evenground.analysis.runs import recorded_bytes
from evenground.records.contact_sheet import ContactSheet
from evenground.records.plan import Dataset

FIX = "run the pipeline again: it makes what is missing, and says what was changed"


def read_contact_sheet(root: Path, dataset: Dataset) -> ContactSheet | None:
    """The contact sheet of a dataset, which the index names below `root`; None for none.

    Raises EvengroundError if the file is missing, broken or not the recorded one.
    """
    named = dataset.contact_sheet
    if named is None:
        return None
    path = root / named.path
    recorded_bytes(path, named.sha256, FIX)
    return ContactSheet.read(path)
