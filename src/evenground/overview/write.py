"""Everything of the overview, written from the list of parts."""

from __future__ import annotations

from collections.abc import Set
from itertools import chain
from pathlib import Path
from typing import Any

from evenground.files import empty_folder, read_json, write_json
from evenground.overview.curves import drawings
from evenground.overview.join import joined_tables, write_table
from evenground.overview.machines import by_machine, machine_drawings, machine_tables
from evenground.overview.page import write_overview
from evenground.overview.parts import Parts, read_parts
from evenground.overview.scaling import scaling, scaling_table
from evenground.report.draw import write_figures


def write_all(where: Path, to: Path) -> Parts:
    """Write tables, figures, verdicts, metrics, the indexes and the page of the parts named at `where`.

    Returns the parts. Raises EvengroundError when a part or one of its files is missing or broken.
    """
    parts = read_parts(where)
    # First of all, as it refuses parts that several versions made.
    joined = joined_tables(parts)
    frame, beside = scaling(parts), by_machine(parts)
    # page.SHOWN says which of them the page holds.
    tables = [*joined, *machine_tables(parts, beside), scaling_table(parts, frame)]
    records = _records(parts)
    for table in tables:
        write_table(table, parts.leading, to / "tables")
    _remove_others(to / "tables", {table.name for table in tables})
    # Each part has its own. An experiment of one part left its own here; DVC wants the folder to be there.
    empty_folder(to / "normalised")
    write_figures(chain(drawings(parts, frame), machine_drawings(parts, beside)), to / "figures")
    for name, content in records.items():
        write_json(to / name, content)
    write_overview(parts, [table.name for table in tables], to)
    return parts


def _remove_others(folder: Path, names: Set[str]) -> None:
    """Tables that an earlier experiment left here and this one does not have."""
    for path in (path for form in ("csv", "md") for path in folder.glob(f"*.{form}")):
        if path.stem not in names:
            path.unlink()


def _records(parts: Parts) -> dict[str, Any]:
    """Verdicts and metrics of every part as they are."""
    verdicts = {part.name: read_json(part.file("verdicts.json")) for part in parts.parts}
    return {
        "verdicts.json": {"schema": 1, "parts": verdicts},
        "metrics.json": {part.name: read_json(part.file("metrics.json")) for part in parts.parts},
    }
