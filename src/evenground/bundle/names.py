"""Which files a bundle may hold: what is packed and what is unpacked go by the same rule."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from evenground.bundle.crate import METADATA
from evenground.bundle.pack import CHECKSUMS, READ_ME

SUFFIXES = {".json", ".jsonl", ".csv", ".md", ".svg", ".png", ".txt", ".yaml", ".def", ".log"}
FOLDERS = {"results", "envs", "containers", "data"}
MAX_DEPTH = 12
# No part can be `.`, `..` or empty, start with a dot, or hold a separator, a drive or a control character.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")


def fault(name: str) -> str | None:
    """Why no bundle has a file of this name; None where it may have one."""
    if name in {METADATA, CHECKSUMS, READ_ME}:
        return None
    parts = name.split("/")
    if not all(_PART.fullmatch(part) for part in parts) or len(parts) > MAX_DEPTH:
        return "a name that no bundle has"
    if len(parts) == 1 or parts[0] not in FOLDERS:
        return "a place where no bundle has a file"
    if PurePosixPath(name).suffix not in SUFFIXES:
        return "a kind of file that no bundle has"
    return None
