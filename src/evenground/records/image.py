"""`results/images/NAME.json`: an image file as it was when it was built or copied in."""

from __future__ import annotations

from typing import ClassVar

from evenground.records.base import Record


class ImageRecord(Record):
    """The file that this working copy uses."""

    WHAT: ClassVar[str] = "record of an image"

    name: str
    sha256: str
    bytes: int
    mtime_ns: int
    labels: dict[str, str]
