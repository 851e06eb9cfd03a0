"""`manifest.json`: which run a run directory holds, and the checksums of its files."""

from __future__ import annotations

from typing import ClassVar

from evenground.records.base import TravellingRecord
from evenground.records.outcome import RunName

MANIFEST = "manifest.json"


class Manifest(TravellingRecord):
    """A finished run. It is written last: a run directory without it is not complete."""

    WHAT: ClassVar[str] = "manifest"

    run: RunName
    """The run in this directory."""
    files: dict[str, str]
    """File of the run directory, without the manifest -> its sha256."""
