"""Everything of the overview, written from the list of parts."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

from evenground.files import read_json, sha256_file, write_json
from evenground.overview.curves import drawings
from evenground.overview.join import joined_tables, write_table
from evenground.overview.machines import machine_drawings, machine_tables
from evenground.overview.page import write_overview
from evenground.overview.parts import Parts, read_parts
from evenground.overview.scaling import scaling, scaling_table
from evenground.report.draw import write_figures


def write_all(where: Path, to: Path) -> Parts:
    """Write tables, figures, verdicts, metrics, the indexes and the page of the parts named at `where`.

    Returns the parts. Raises EvengroundError when a part or one of its files is missing or broken.
    """
    parts = read_parts(where)
    frame = scaling(parts)
    # page.SHOWN says which of them the page holds.
    tables = [*joined_tables(parts), *machine_tables(parts), scaling_table(parts, frame)]
    records = _records(parts)
    for table in tables:
        write_table(table, parts.leading, to / "tables")
    write_figures(chain(drawings(parts, frame), machine_drawings(parts)), to / "figures")
    for name, content in records.items():
        write_json(to / name, content)
    write_overview(parts, [table.name for table in tables], to)
    return parts


def _records(parts: Parts) -> dict[str, Any]:
    """Verdicts and metrics of every part as they are, and where its index lies."""
    indexes = [
        {
            "name": part.name,
            "machine": part.machine,
            "settings": part.settings,
            "index": f"{part.planned.folder}/index.json",
            "sha256": sha256_file(part.file("index.json")),
        }
        for part in parts.parts
    ]
    verdicts = {part.name: read_json(part.file("verdicts.json")) for part in parts.parts}
    return {
        "verdicts.json": {"schema": 1, "parts": verdicts},
        "metrics.json": {part.name: read_json(part.file("metrics.json")) for part in parts.parts},
        "index.json": {"schema": 1, "parts": indexes},
    }
