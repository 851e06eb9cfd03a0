"""What `snakemake --report` adds to the workflow: figures with their titles and captions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evenground.files import read_json


def is_shown(args: Sequence[str]) -> bool:
    """Whether Snakemake was called for its report."""
    return any(arg.split("=")[0] == "--report" for arg in args)


def figures_in(results: Path) -> list[dict[str, str]]:
    """The figures' names, titles and captions; none before any was drawn."""
    listed = results / "figures" / "figures.json"
    if not listed.is_file():
        return []
    figures: list[dict[str, str]] = read_json(listed)
    # Captions are plain text, their template is reStructuredText.
    return [{**figure, "caption": _escaped(figure["caption"])} for figure in figures]


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_|<>])", r"\\\1", text)
