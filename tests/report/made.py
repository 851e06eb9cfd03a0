"""Helpers of this room's tests: made results, analysed, and made prepared data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from evenground.analysis.files import write_csv
from evenground.analysis.index import read_index
from evenground.analysis.normalise import normalise
from evenground.analysis.tables import Frames, make_tables
from evenground.report.material import Material, read_material


def analysed(index_path: Path) -> Path:
    """Write `normalised/` and `tables/` beside the index; the folder that holds all three."""
    index, folder = read_index(index_path), index_path.parent
    frames = normalise(index)
    for name in ("timelines", "mean", "phases", "missing"):
        write_csv(getattr(frames, name), folder / "normalised" / f"{name}.csv")
    for name, table in make_tables(index, Frames(frames.timelines, frames.mean, frames.missing)).items():
        write_csv(table, folder / "tables" / f"{name}.csv")
    return folder


def material_of(folder: Path) -> Material:
    """The material of an analysed results folder."""
    return read_material(folder / "index.json", folder / "normalised", folder / "tables")


def write_prepared(folder: Path, images: np.ndarray, labels: list[int], classes: list[str]) -> None:
    """A prepared dataset, as far as figures read it."""
    folder.mkdir(parents=True)
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", np.array(labels, np.uint8))
    (folder / "dataset.json").write_text(json.dumps({"classes": classes}))
