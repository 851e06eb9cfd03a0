"""Helpers of this room's tests: made results, analysed."""

from __future__ import annotations

from pathlib import Path

from evenground.analysis.write import write_normalised, write_tables
from evenground.records.index import read_index
from evenground.report.material import Material, read_material


def analysed(index_path: Path) -> Path:
    """Write `normalised/` and `tables/` beside the index; the folder that holds all three."""
    index, folder = read_index(index_path), index_path.parent
    write_normalised(index, folder / "normalised")
    write_tables(index, folder / "normalised", folder / "tables")
    return folder


def material_of(folder: Path) -> Material:
    """The material of an analysed results folder."""
    return read_material(folder / "index.json", folder / "normalised", folder / "tables")
