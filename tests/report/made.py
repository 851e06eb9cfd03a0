"""Helpers of this room's tests: made results, analysed, and made prepared data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evenground.analysis.write import write_normalised, write_tables
from evenground.records.index import read_index
from evenground.report.material import Material, read_material
from made_records import made_prepared


def analysed(index_path: Path) -> Path:
    """Write `normalised/` and `tables/` beside the index; the folder that holds all three."""
    index, folder = read_index(index_path), index_path.parent
    write_normalised(index, folder / "normalised")
    write_tables(index, folder / "normalised", folder / "tables")
    return folder


def material_of(folder: Path) -> Material:
    """The material of an analysed results folder."""
    return read_material(folder / "index.json", folder / "normalised", folder / "tables")


def write_prepared(folder: Path, images: np.ndarray, labels: list[int], classes: list[str]) -> None:
    """A prepared dataset, as far as figures read it."""
    folder.mkdir(parents=True)
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", np.array(labels, np.uint8))
    made_prepared(classes=tuple(classes)).write(folder / "dataset.json")
