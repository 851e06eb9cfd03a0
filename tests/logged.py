"""The lines of a log without their times."""

from __future__ import annotations

import re


def logged(text: str) -> list[str]:
    """`LEVEL: MESSAGE` of each line in `text` that `evenground.logs` wrote."""
    return re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ((?:info|warning): .*)$", text, re.M)
