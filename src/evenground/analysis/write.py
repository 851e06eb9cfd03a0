"""The files of the analysis: normalised frames and tables, written where they are asked for."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from evenground.analysis.captions import COMPARED, HEADINGS, notes
from evenground.analysis.devices import unlike_in
from evenground.analysis.files import read_csv, write_csv, write_markdown
from evenground.analysis.index import Index
from evenground.analysis.metrics import metrics
from evenground.analysis.normalise import normalise
from evenground.analysis.quality import unknown, why_unknown
from evenground.analysis.tables import Frames, make_tables
from evenground.files import write_json

# Tables of several parts or sides: where one index is drawn, an earlier experiment left them.
OF_SEVERAL = ("scaling", *COMPARED)


def write_normalised(index: Index, to: Path) -> None:
    """Write each frame of `Normalised` as CSV under its own name; EvengroundError as by `normalise`."""
    frames = normalise(index)
    for field in fields(frames):
        write_csv(getattr(frames, field.name), to / f"{field.name}.csv")


def read_frames(normalised: Path) -> Frames:
    """The frames that tables need, from the folder `write_normalised` wrote; EvengroundError when broken."""
    return Frames(*(read_csv(normalised / f"{field.name}.csv") for field in fields(Frames)))


def write_tables(
    index: Index, normalised: Path, to: Path, metrics_file: Path | None = None
) -> None:
    """Write every table as CSV and Markdown, and the main numbers as JSON; EvengroundError as by tables."""
    frames = read_frames(normalised)
    tables = make_tables(index, frames)
    for name in OF_SEVERAL:
        for form in ("csv", "md"):
            (to / f"{name}.{form}").unlink(missing_ok=True)
    unknown_of, why = unknown(frames.conditions), why_unknown(frames.conditions)
    devices = unlike_in(index, tables["runs"])
    for name, table in tables.items():
        write_csv(table, to / f"{name}.csv")
        said = notes(name, index, tables["quality"], unknown_of, why, devices)
        write_markdown(table, HEADINGS[name], said, to / f"{name}.md")
    if metrics_file:
        write_json(metrics_file, metrics(tables))
