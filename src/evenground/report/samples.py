"""Examples of a dataset, as the engines read them, from its contact sheet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from evenground import logs
from evenground.analysis.contact_sheet import read_contact_sheet
from evenground.records.contact_sheet import ContactSheet, Example
from evenground.records.plan import Dataset
from evenground.report.material import Material, after_thesis, thesis_number
from evenground.report.sheet import EDGE, WIDTH, Drawing, Sheet, make_sheet, note_sheet
from evenground.report.style import INK, wrapped

COLUMNS = 10
LINE, GUTTER = 0.12, 0.04
NAME_PT = 6.0
THESIS = (1, 2)
ABSENT = "no contact sheet was recorded"


@dataclass(frozen=True)
class Cell:
    """One picture and its place."""

    row: int
    column: int
    example: Example


def samples_drawing(material: Material, dataset: Dataset) -> Drawing:
    """Figure `samples_DATASET`; a note instead of pictures if the condition names no contact sheet.

    Raises EvengroundError if the contact sheet is not the recorded one.
    """
    thesis = thesis_number(dataset, THESIS)
    name, title = f"samples_{dataset.name}", f"Sample images: {dataset.title}"
    shown = read_contact_sheet(material.condition.root, dataset)
    if shown is None:
        logs.warning(f"figure {name} is without pictures: {ABSENT}")
        caption = f"{dataset.title}: no pictures, {ABSENT}.{after_thesis(thesis)}"
        return note_sheet(title, caption, ABSENT).drawing(name, _data([], ()))
    cells = laid_out(shown)
    which = "the first training images of each class"
    if len(shown.classes) > COLUMNS:
        which = (
            f"the first training image of each of {len(cells)} of its {len(shown.classes)} classes"
        )
    caption = (
        f"{dataset.title}: {which}, as every engine reads them ({shown.height} x {shown.width} "
        f"pixels, n = {shown.train_examples:,} training images).{after_thesis(thesis)}"
    )
    sheet = _draw(title, caption, shown, cells)
    return sheet.drawing(name, _data(cells, shown.classes))


def laid_out(sheet: ContactSheet) -> list[Cell]:
    """The pictures in rows: up to COLUMNS classes have a column each, more fill row by row."""
    rows: Counter[int] = Counter()
    cells = []
    for position, example in enumerate(sheet.examples):
        row, column = divmod(position, COLUMNS)
        if len(sheet.classes) <= COLUMNS:
            row, column = rows[example.label], example.label
            rows[example.label] += 1
        cells.append(Cell(row=row, column=column, example=example))
    return cells


def _draw(title: str, caption: str, shown: ContactSheet, cells: list[Cell]) -> Sheet:
    """The pictures, with the name of each class above its column, or above its picture."""
    columns = max(cell.column for cell in cells) + 1
    rows = max(cell.row for cell in cells) + 1
    width = WIDTH - 2 * EDGE
    side = (width + GUTTER) / columns - GUTTER
    labels = {cell.example.label for cell in cells}
    names = {label: _name(shown.classes[label], side) for label in labels}
    name_room = LINE * max(name.count("\n") + 1 for name in names.values()) + GUTTER
    row_room = side + GUTTER
    height = rows * row_room + name_room
    name_each = len(shown.classes) > COLUMNS
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
            shown.picture(cell.example),
            extent=place,
            interpolation="nearest",
            # The grey scale is for one channel; matplotlib ignores it with three.
            cmap="gray",
            vmin=0,
            vmax=255,
        )
        if name_each or cell.row == 0:
            axes.text(
                left + side / 2,
                top - 0.03,
                names[cell.example.label],
                ha="center",
                va="bottom",
                size=NAME_PT,
                color=INK,
                linespacing=1.0,
            )
    # The y axis points down, as rows are counted from the top.
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    return sheet


def _name(name: str, side: float) -> str:
    """The name of a class in lines no wider than its picture."""
    words = name.replace("_", " ").replace("/", "/ ")
    return "\n".join(wrapped(words, NAME_PT, side)) or "–"


def _data(cells: list[Cell], classes: tuple[str, ...]) -> pd.DataFrame:
    rows = []
    for cell in cells:
        label = cell.example.label
        rows.append((cell.row, cell.column, cell.example.number, label, classes[label]))
    return pd.DataFrame(rows, columns=["row", "column", "train_image", "label", "class"])
