"""Versions of the formats that travel between machines and releases, and what is said of another one."""

from __future__ import annotations

INDEX = 2
SAMPLES = 2
CONVERT = "convert its bundle: ./evenground convert OLD.zip NEW.zip"


def other_version(found: int, wanted: int) -> str:
    """What is wrong with a file of another version, naming both."""
    return f"it has schema {found}, this version of evenground reads schema {wanted}"
