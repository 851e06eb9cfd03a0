"""Which names files in a bundle may have: packing and unpacking go by the same rule."""

from __future__ import annotations

import re

MAX_DEPTH = 12
NOT_ALLOWED = "a name that no bundle has"
# No part can be `.`, `..` or empty, start with a dot, or hold a separator, a drive or a control character.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")


def is_allowed(name: str) -> bool:
    """Whether a bundle may hold a file of this name: a plain path below its folder, and no array."""
    # Arrays are a dataset's images, which belong to others; a replay would draw samples of them.
    if name.endswith(".npy"):
        return False
    parts = name.split("/")
    return len(parts) <= MAX_DEPTH and all(_PART.fullmatch(part) for part in parts)
