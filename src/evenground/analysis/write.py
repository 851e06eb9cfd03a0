"""Write the files of the analysis: the normalised frames and the tables."""

from __future__ import annotations

from pathlib import Path

from evenground.analysis.captions import COMPARED, HEADINGS, notes
from evenground.analysis.devices import unlike_in
from evenground.analysis.files import read_csv, write_csv, write_markdown
from evenground.analysis.metrics import metrics
from evenground.analysis.normalise import normalise
from evenground.analysis.quality import unknown, why_unknown
from evenground.analysis.tables import Frames, make_tables
from evenground.files import write_json
from evenground.records.index import Index

# Tables of several parts or sides, which an earlier experiment may have left in the folder.
OF_SEVERAL = ["scaling"] + list(COMPARED)


def write_normalised(index: Index, to: Path) -> None:
    """Write each frame of `Normalised` as NAME.csv; raises EvengroundError as `normalise`."""
    for name, frame in vars(normalise(index)).items():
        write_csv(frame, to / f"{name}.csv")


def read_frames(normalised: Path) -> Frames:
    """The frames that the tables need, from the folder that `write_normalised` wrote.

    Raises EvengroundError if one is missing or broken.
    """
    names = Frames.__annotations__
    return Frames(**{name: read_csv(normalised / f"{name}.csv") for name in names})


def write_tables(
    index: Index, normalised: Path, to: Path, metrics_file: Path | None = None
) -> None:
    """Write every table as CSV and Markdown, and the main numbers as JSON.

    Raises EvengroundError if a frame or a run cannot be read.
    """
    frames = read_frames(normalised)
    tables = make_tables(index, frames)
    for name in OF_SEVERAL:
        (to / f"{name}.csv").unlink(missing_ok=True)
        (to / f"{name}.md").unlink(missing_ok=True)
    unknown_runs = unknown(frames.conditions)
    reasons = why_unknown(frames.conditions)
    devices = unlike_in(index, tables["runs"])
    for name, table in tables.items():
        note = notes(name, index, tables["quality"], unknown_runs, reasons, devices)
        write_csv(table, to / f"{name}.csv")
        write_markdown(table, HEADINGS[name], note, to / f"{name}.md")
    if metrics_file is not None:
        write_json(metrics_file, metrics(tables))
