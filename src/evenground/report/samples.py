"""Sample images of a dataset, from the arrays that the engines read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from evenground.errors import EvengroundError, set_aside
from evenground.records.dataset import PREPARED, Prepared
from evenground.records.plan import Dataset
from evenground.report.material import Material, after_thesis, thesis_number
from evenground.report.sheet import EDGE, WIDTH, Drawing, Sheet, make_sheet, note_sheet
from evenground.report.style import INK, SMALL_PT, fitted_pt, width_in

COLUMNS, ROWS = 10, 4
LINE, GUTTER = 0.12, 0.04
MIN_PT = 4.5
THESIS = (1, 2)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Cell:
    """One picture: its place, its number among the training images, its class."""

    row: int
    column: int
    image: int
    label: int


def samples_drawing(material: Material, dataset: Dataset) -> Drawing:
    """Figure `samples_DATASET`; a note instead of pictures if the prepared data does not exist.

    Raises EvengroundError if the prepared folder exists but cannot be read.
    """
    thesis = thesis_number(dataset, THESIS)
    name, title = f"samples_{dataset.name}", f"Sample images: {dataset.title}"
    folder = _folder(material, dataset)
    if folder is None:
        absent = "the prepared data is not at hand"
        caption = f"{dataset.title}: no pictures, {absent}.{after_thesis(thesis)}"
        return note_sheet(title, caption, absent).drawing(name, _data([], []), thesis)
    images, labels, classes = _arrays(folder)
    cells = choose(labels, len(classes))
    which = "the first training images of each class"
    if len(classes) > COLUMNS:
        which = f"the first training image of each of {len(cells)} of its {len(classes)} classes"
    height, width = images.shape[1:3]
    caption = (
        f"{dataset.title}: {which}, as every engine reads them ({height} x {width} pixels, "
        f"n = {len(images):,} training images).{after_thesis(thesis)}"
    )
    sheet = _draw(title, caption, images, cells, classes)
    return sheet.drawing(name, _data(cells, classes), thesis)


def _folder(material: Material, dataset: Dataset) -> Path | None:
    """The prepared data; None if it does not exist, e.g. beside an unpacked bundle."""
    if dataset.prepared is None:
        return None
    folder = material.index.root / dataset.prepared
    if not (folder / PREPARED).is_file():
        return None
    return folder


def _draw(title: str, caption: str, images: Bytes, cells: list[Cell], classes: list[str]) -> Sheet:
    """Pictures in rows; up to COLUMNS classes have a column each, more have one picture each.

    `images` is (N,H,W,C).
    """
    columns = max(cell.column for cell in cells) + 1
    rows = max(cell.row for cell in cells) + 1
    width = WIDTH - 2 * EDGE
    side = (width + GUTTER) / columns - GUTTER
    names = {cell.label: _name(classes[cell.label], side) for cell in cells}
    name_room = LINE * max(map(len, names.values())) + GUTTER
    row_room = side + GUTTER
    height = rows * row_room + name_room
    name_each = len(classes) > COLUMNS
    if name_each:
        row_room += name_room
        height = rows * row_room
    sheet = make_sheet(title, caption, height + 0.04)
    axes = sheet.axes(0, height, EDGE, width)
    axes.set_axis_off()
    for cell in cells:
        left = cell.column * (side + GUTTER)
        top = name_room + cell.row * row_room
        place = (left, left + side, top + side, top)
        axes.imshow(
            images[cell.image, :, :, :3],
            extent=place,
            interpolation="nearest",
            # The grey scale is for one channel; matplotlib ignores it with three.
            cmap="gray",
            vmin=0,
            vmax=255,
        )
        if name_each or cell.row == 0:
            _label(axes, names[cell.label], left + side / 2, top, side)
    # The y axis points down, as rows are counted from the top.
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    return sheet


def choose(labels: Bytes, classes: int) -> list[Cell]:
    """Which images are shown: ROWS of each class side by side, or one each of up to 40 classes.

    `labels` is (N,); always the first images in the order of the file, so that nothing is picked.
    """
    cells: list[Cell] = []
    for label in range(classes):
        images = np.flatnonzero(labels == label).tolist()
        if classes <= COLUMNS:
            for row, image in enumerate(images[:ROWS]):
                cells.append(Cell(row=row, column=label, image=image, label=label))
        elif images and len(cells) < COLUMNS * ROWS:
            row, column = divmod(len(cells), COLUMNS)
            cells.append(Cell(row=row, column=column, image=images[0], label=label))
    return cells


def _arrays(folder: Path) -> tuple[Bytes, Bytes, list[str]]:
    """Training images (N,H,W,C), labels (N,) and class names of a prepared folder.

    Raises EvengroundError if they are broken or do not fit together.
    """
    fix = set_aside(folder, then="run the pipeline again to have it prepared anew")
    try:
        # Mapped: only the few images that are shown are read.
        images = np.load(folder / "train_images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "train_labels.npy", allow_pickle=False)
        classes = list(Prepared.read(folder / PREPARED).classes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvengroundError(f"broken prepared data, {error}", str(folder), fix) from error
    if (
        images.ndim != 4
        or labels.shape != images.shape[:1]
        or not len(labels)
        or labels.max() >= len(classes)
    ):
        raise EvengroundError(
            "broken prepared data, images and labels do not fit", str(folder), fix
        )
    return images, labels, classes


def _name(name: str, side: float) -> list[str]:
    """The name of a class in one line, or in two if it would touch its neighbour."""
    words = name.replace("_", " ").replace("/", "/ ").split()
    if len(words) < 2 or width_in(" ".join(words), SMALL_PT) <= side:
        return [name.replace("_", " ") or "–"]
    middle = math.ceil(len(words) / 2)
    return [" ".join(words[:middle]), " ".join(words[middle:])]


def _label(axes: Axes, lines: list[str], x: float, y: float, side: float) -> None:
    """The name above its picture, smaller if it would still touch its neighbour."""
    size = min(fitted_pt(line, SMALL_PT, side) for line in lines)
    axes.text(
        x,
        y - 0.03,
        "\n".join(lines),
        ha="center",
        va="bottom",
        size=max(MIN_PT, size),
        color=INK,
        linespacing=1.0,
    )


def _data(cells: list[Cell], classes: list[str]) -> pd.DataFrame:
    rows = [(cell.row, cell.column, cell.image, cell.label, classes[cell.label]) for cell in cells]
    return pd.DataFrame(rows, columns=["row", "column", "train_image", "label", "class"])
