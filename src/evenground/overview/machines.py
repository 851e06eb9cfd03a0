"""Machine classes beside each other: what engines take on each, their ratios, which verdicts agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pandas as pd

from evenground.analysis.captions import COMPARED
from evenground.analysis.files import read_csv
from evenground.analysis.machines import engines_by_machine, ratios_by_machine
from evenground.analysis.side_by_side import Recorded, Side, side_of
from evenground.claims.agreement import agreement
from evenground.overview.join import Joined, as_cells, machines_note, part_note
from evenground.overview.parts import Part, Parts, Value
from evenground.records.verdicts import Verdicts
from evenground.report.sheet import Drawing
from evenground.report.side_by_side import ratios_drawing

ENGINES, RATIOS, AGREEMENT = "engines_by_machine", "ratios_by_machine", "agreement"


def by_machine(parts: Parts) -> dict[str, pd.DataFrame]:
    """Engines, ratios and verdicts by machine class, each at one value of the parameters: name -> frame.

    None of an experiment on one class. EvengroundError when a file of a part is missing or broken.
    """
    if len(parts.machines) < 2:
        return {}
    frames: dict[str, list[pd.DataFrame]] = {ENGINES: [], RATIOS: [], AGREEMENT: []}
    for settings, mine in _by_setting(parts):
        sides = [_side(part) for part in mine]
        verdicts = {part.machine: Verdicts.read(part.file("verdicts.json")) for part in mine}
        frames[ENGINES].append(_led(settings, engines_by_machine(sides)))
        frames[RATIOS].append(_led(settings, ratios_by_machine(sides)))
        frames[AGREEMENT].append(_led(settings, agreement(verdicts)))
    return {name: pd.concat(found, ignore_index=True) for name, found in frames.items()}


def machine_tables(parts: Parts, frames: Mapping[str, pd.DataFrame]) -> list[Joined]:
    """The frames of `by_machine` as tables of the overview."""
    return [_joined(parts, name, found) for name, found in frames.items()]


def machine_drawings(parts: Parts, frames: Mapping[str, pd.DataFrame]) -> Iterator[Drawing]:
    """The ratios of training times on each class, where that is one figure: without swept parameters."""
    if frames and len(parts.parts) == len(parts.machines):
        yield replace(ratios_drawing(frames[RATIOS], parts.machines), name=RATIOS)


def _by_setting(parts: Parts) -> list[tuple[dict[str, Value], list[Part]]]:
    """The parts of each value of the parameters, one for each class that has it."""
    found: dict[tuple[Value, ...], list[Part]] = {}
    for part in parts.parts:
        found.setdefault(tuple(part.settings.values()), []).append(part)
    return [(mine[0].settings, mine) for mine in found.values()]


def _side(part: Part) -> Side:
    recorded = Recorded(
        runs=read_csv(part.file("tables/runs.csv")),
        timelines=read_csv(part.file("normalised/timelines.csv")),
        conditions=read_csv(part.file("normalised/conditions.csv")),
        quality=read_csv(
            part.file("tables/quality.csv"), ("dataset", "engine", "repetition", "state", "finding")
        ),
    )
    return side_of(part.machine, part.index, recorded)


def _led(settings: dict[str, Value], frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(
        [pd.DataFrame([settings] * len(frame), index=frame.index), frame], axis="columns"
    )


def _joined(parts: Parts, name: str, found: pd.DataFrame) -> Joined:
    heading, note = COMPARED[name]
    own = note.replace("of a side", "of a class").replace("of the same side", "on the same class")
    # Rows of verdicts have all classes beside each other, the others are of one class.
    told = machines_note(parts) if name == AGREEMENT else part_note(parts)
    # A side is called by its class here.
    cells = as_cells(found.drop(columns="side", errors="ignore"))
    return Joined(name, heading, f"{own}\n\n{told}", cells)
