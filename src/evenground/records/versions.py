"""Versions of the formats that travel between machines, and the error for another version."""

from __future__ import annotations

from pathlib import Path

from evenground.errors import EvengroundError

# Raised when a reader has to treat older files differently; `evenground convert` then learns how.
INDEX = 4
# In the keys of runs: raised when other events are required of an engine, or other values of them.
PROTOCOL = 1
CONVERT = "convert its bundle: ./evenground convert OLD.zip NEW.zip"


class OtherVersionError(EvengroundError):
    """A file of another version; the text names both, and the command that converts it."""

    def __init__(self, found: int, wanted: int, where: Path) -> None:
        what = f"it has schema {found}, this version of evenground reads schema {wanted}"
        super().__init__(what, str(where), CONVERT)
