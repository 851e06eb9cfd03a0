"""Sample images of a dataset, from the arrays that the engines read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from evenground.analysis.index import Dataset
from evenground.errors import EvengroundError, set_aside
from evenground.files import read_json
from evenground.report.material import Material, after_thesis, thesis_number
from evenground.report.sheet import EDGE, TITLE_ROOM, WIDTH, Drawing, make_sheet, note_sheet
from evenground.report.style import INK, SMALL_PT, width_in

COLUMNS, ROWS = 10, 4
LINE, GUTTER = 0.12, 0.04
SMALLEST_PT = 4.5
THESIS = (1, 2)


@dataclass(frozen=True)
class Cell:
    """One picture: its place, its number among the training images, its class."""

    row: int
    column: int
    image: int
    label: int


def samples_drawing(material: Material, dataset: Dataset) -> Drawing:
    """Figure `samples_DATASET`; a note instead of pictures where the prepared data is not there.

    Raises EvengroundError when the prepared folder is there but cannot be read.
    """
    thesis = thesis_number(dataset, THESIS)
    name, title = f"samples_{dataset.name}", f"Sample images: {dataset.title}"
    folder = material.index.root / dataset.prepared if dataset.prepared else None
    if folder is None or not (folder / "dataset.json").is_file():
        caption = (
            f"{dataset.title}: no pictures, the prepared data is not at hand.{after_thesis(thesis)}"
        )
        figure = note_sheet(title, caption, "the prepared data is not at hand")
        return Drawing(name, title, caption, thesis, figure, _data([], []))
    images, labels, classes = _arrays(folder)
    cells = choose(labels, len(classes))
    per_class = len(classes) <= COLUMNS
    which = (
        "the first training images of each class"
        if per_class
        else (f"the first training image of each of {len(cells)} of its {len(classes)} classes")
    )
    caption = (
        f"{dataset.title}: {which}, as every engine reads them ({images.shape[1]} x {images.shape[2]} "
        f"pixels, n = {len(images):,} training images).{after_thesis(thesis)}"
    )
    columns = max(cell.column for cell in cells) + 1
    rows = max(cell.row for cell in cells) + 1
    width = WIDTH - 2 * EDGE
    side = (width + GUTTER) / columns - GUTTER
    names = {cell.label: _name(classes[cell.label], side) for cell in cells}
    name_room = LINE * max(len(lines) for lines in names.values()) + GUTTER
    row_room = side + GUTTER + (0.0 if per_class else name_room)
    height = rows * row_room + (name_room if per_class else 0.0)
    sheet = make_sheet(title, caption, height + 0.04)
    axes = sheet.axes(TITLE_ROOM, height, EDGE, width)
    axes.set_axis_off()
    for cell in cells:
        left = cell.column * (side + GUTTER)
        top = name_room + cell.row * row_room
        place = (left, left + side, top + side, top)
        axes.imshow(
            _picture(images[cell.image]), extent=place, interpolation="nearest", **_grey(images)
        )
        if cell.row == 0 or not per_class:
            _label(axes, names[cell.label], left + side / 2, top, side)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    return Drawing(name, title, caption, thesis, sheet.figure, _data(cells, classes))


def choose(labels: npt.NDArray[np.uint8], classes: int) -> list[Cell]:
    """Which images are shown: ROWS of each class side by side, or one each of up to 40 classes.

    `labels` is (N,); always the first images in the order of the file, so that nothing is picked.
    """
    if classes > COLUMNS:
        firsts = [(label, np.flatnonzero(labels == label)[:1]) for label in range(classes)]
        found = [(label, int(image[0])) for label, image in firsts if image.size][: COLUMNS * ROWS]
        return [
            Cell(i // COLUMNS, i % COLUMNS, image, label) for i, (label, image) in enumerate(found)
        ]
    return [
        Cell(row, label, int(image), label)
        for label in range(classes)
        for row, image in enumerate(np.flatnonzero(labels == label)[:ROWS])
    ]


def _arrays(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[str]]:
    """Training images (N,H,W,C), labels (N,) and class names of a prepared folder."""
    fix = set_aside(folder, then="run the pipeline again to have it prepared anew")
    try:
        images = np.load(folder / "train_images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / "train_labels.npy", allow_pickle=False)
        classes = [str(name) for name in read_json(folder / "dataset.json")["classes"]]
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


def _picture(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H,W) for one channel, (H,W,3) for three."""
    return np.asarray(image[:, :, 0] if image.shape[2] == 1 else image[:, :, :3])


def _grey(images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """One channel is drawn in grey over its whole scale."""
    return {"cmap": "gray", "vmin": 0, "vmax": 255} if images.shape[3] == 1 else {}


def _name(name: str, side: float) -> list[str]:
    """A class's name in one line, in two where it would touch its neighbour."""
    words = name.replace("_", " ").replace("/", "/ ").split() or ["–"]
    if width_in(" ".join(words), SMALL_PT) <= side or len(words) == 1:
        return [name.replace("_", " ") or "–"]
    middle = -(-len(words) // 2)
    return [" ".join(words[:middle]), " ".join(words[middle:])]


def _label(axes: Axes, lines: list[str], x: float, y: float, side: float) -> None:
    """The name above its picture, smaller where it would still touch its neighbour."""
    widest = max(width_in(line, SMALL_PT) for line in lines)
    size = max(SMALLEST_PT, min(SMALL_PT, SMALL_PT * side / widest))
    axes.text(
        x,
        y - 0.03,
        "\n".join(lines),
        ha="center",
        va="bottom",
        size=size,
        color=INK,
        linespacing=1.0,
    )


def _data(cells: list[Cell], classes: list[str]) -> pd.DataFrame:
    rows = [(cell.row, cell.column, cell.image, cell.label, classes[cell.label]) for cell in cells]
    return pd.DataFrame(rows, columns=["row", "column", "train_image", "label", "class"])
