"""Which file names a bundle may contain: packing and unpacking apply the same rule."""

from __future__ import annotations

import re

MAX_DEPTH = 12
NOT_ALLOWED = "a name that no bundle has"
# No part can be `.`, `..` or empty, start with a dot, or contain a separator, a drive letter's
# colon or a control character.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")


def is_allowed(name: str) -> bool:
    """Whether a bundle may have a file with this name: a plain relative path."""
    parts = name.split("/")
    return len(parts) <= MAX_DEPTH and all(_PART.fullmatch(part) for part in parts)
