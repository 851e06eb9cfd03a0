"""The parts' tables below each other: every row stays of one part and keeps its digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.captions import COUNTS, NOT_OF_RUNS
from evenground.analysis.files import (
    plain,
    read_cells,
    read_csv,
    whole_numbers,
    write_csv,
    write_markdown,
)
from evenground.errors import EvengroundError
from evenground.overview.parts import Part, Parts
from evenground.overview.verdicts import VERDICTS, for_reading
from evenground.report.page.tables import heading_and_note

# No run of a part is in these, so most parts have the same: each is there once.
ALIKE = (*NOT_OF_RUNS, "arithmetic")
# Paragraphs of a note that count runs or verdicts of one part.
_OF_ONE_PART = (
    "Machine: ",
    "Not known, ",
    "**Verdicts**",
    "**Demonstrations**",
    "**As published**",
)


@dataclass(frozen=True)
class Joined:
    """A table of the overview: `cells` are the text of its CSV, one row of them of one part.

    `shown` is for reading; None: the cells, rounded.
    """

    name: str
    heading: str
    note: str
    cells: pd.DataFrame
    shown: pd.DataFrame | None = None


def joined_tables(parts: Parts) -> list[Joined]:
    """Every table that parts have. EvengroundError when a part lacks one of them or has other columns."""
    names = sorted(
        {path.stem for part in parts.parts for path in (part.folder / "tables").glob("*.csv")}
    )
    if not names:
        where = str(parts.parts[0].folder / "tables")
        raise EvengroundError("no part has a table", where, "run the pipeline again to make them")
    return [_joined(parts, name) for name in names]


def write_table(table: Joined, exact: Sequence[str], folder: Path) -> None:
    """Write NAME.csv with every digit, and NAME.md rounded but in the columns `exact`."""
    path = folder / f"{table.name}.csv"
    write_csv(table.cells, path)
    shown = whole_numbers(read_csv(path), table.cells) if table.shown is None else table.shown
    shown = shown.assign(**{name: table.cells[name] for name in exact if name in shown})
    write_markdown(shown, table.heading, table.note, folder / f"{table.name}.md")


def as_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as the text of its CSV: numbers with every digit, what is missing empty."""
    return frame.astype("object").where(frame.notna(), "").map(_text)


def _text(value: object) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def part_note(parts: Parts, leading: tuple[str, ...] | None = None) -> str:
    """What every table of the overview says: of what its rows are, and of which machines.

    `leading`: the columns that the rows of a table depend on, where those are not all.
    """
    finished = sum(len(part.index.finished) for part in parts.parts)
    wanted = sum(len(part.index.runs) for part in parts.parts)
    if leading == ():
        return f"The same in all parts of the experiment. {machines_note(parts)}"
    swept = parts.swept if leading is None or leading == parts.leading else ()
    of = f" and one value of {' and of '.join(f'`{name}`' for name in swept)}" if swept else ""
    return (
        f"Each row is of one machine class{of}. Nothing is averaged over parts of the experiment.\n\n"
        f"{machines_note(parts)} {finished} of {wanted} wanted runs finished, in {len(parts.parts)} parts. "
        f"{COUNTS}"
    )


def machines_note(parts: Parts) -> str:
    """The machine classes in words."""
    words = [
        f"{plain(machine.description)} (class `{machine.class_name}`)"
        for machine in parts.described()
    ]
    return f"{'Machines' if len(words) > 1 else 'Machine'}: {'; '.join(words)}; {parts.deployment}."


def _joined(parts: Parts, name: str) -> Joined:
    heading, own = _shared(parts, name)
    rows = [(part, read_cells(part.folder / "tables" / f"{name}.csv")) for part in parts.parts]
    columns = list(rows[0][1].columns)
    for part, frame in rows:
        if list(frame.columns) != columns:
            where = str(part.folder / "tables" / f"{name}.csv")
            raise EvengroundError(
                f"the table has other columns than that of part {rows[0][0].name}",
                where,
                "run the pipeline again: one version must make all parts",
            )
    leading = parts.leading
    if name in ALIKE:
        leading, rows = _once(parts, rows)
    frames = [_led({k: parts.lead(part)[k] for k in leading}, frame) for part, frame in rows]
    return Joined(
        name=name,
        heading=heading,
        note=f"{own}\n\n{part_note(parts, leading)}",
        cells=pd.concat(frames, ignore_index=True),
        shown=for_reading(parts) if name == VERDICTS else None,
    )


def _led(lead: dict[str, object], frame: pd.DataFrame) -> pd.DataFrame:
    """A part's rows behind the columns that say which part it is."""
    led = pd.DataFrame(
        {name: [str(value)] * len(frame) for name, value in lead.items()}, dtype="str"
    )
    return pd.concat([led, frame], axis="columns")


def _once(
    parts: Parts, rows: list[tuple[Part, pd.DataFrame]]
) -> tuple[tuple[str, ...], list[tuple[Part, pd.DataFrame]]]:
    """The leading columns that a table depends on, and its rows of one part for each of their values."""
    if all(frame.equals(rows[0][1]) for _, frame in rows):
        return (), rows[:1]
    first = {part.machine: frame for part, frame in reversed(rows)}
    if all(frame.equals(first[part.machine]) for part, frame in rows):
        return ("machine",), [(part, frame) for part, frame in rows if frame is first[part.machine]]
    return parts.leading, rows


def _shared(parts: Parts, name: str) -> tuple[str, str]:
    """Heading and note of a table, as far as all parts say the same and not of their own runs."""
    found = [heading_and_note(part.folder / "tables" / f"{name}.md") for part in parts.parts]
    others = [set(note.split("\n\n")) for _, note in found[1:]]
    kept = [
        paragraph
        for paragraph in found[0][1].split("\n\n")
        if not paragraph.startswith(_OF_ONE_PART) and all(paragraph in other for other in others)
    ]
    return found[0][0], "\n\n".join(kept)
