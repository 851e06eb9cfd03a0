"""A dataset's contact sheet, as the index names it."""

from __future__ import annotations

from evenground.analysis.runs import recorded_bytes
from evenground.records.contact_sheet import ContactSheet
from evenground.records.index import Index
from evenground.records.plan import Dataset

FIX = "run the pipeline again: it makes what is missing, and says what was changed"


def read_contact_sheet(index: Index, dataset: Dataset) -> ContactSheet | None:
    """The contact sheet of a dataset; None if the index names none.

    Raises EvengroundError if the file is missing, broken or not the recorded one.
    """
    named = dataset.contact_sheet
    if named is None:
        return None
    path = index.root / named.path
    recorded_bytes(path, named.sha256, FIX)
    return ContactSheet.read(path)
