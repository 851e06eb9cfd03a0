"""Helpers of this room's tests: made results, analysed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from evenground.analysis.experiment import alone
from evenground.analysis.normalise import read_timeline, timeline_file, write_normalised
from evenground.analysis.write import write_tables
from evenground.records.index import Condition, Index, read_index
from evenground.report.material import Material, ReportData, read_report_data
from evenground.report.style import engine_styles
from made_records import index_of


def analysed(index_path: Path) -> Path:
    """Write `normalised/` and `tables/` beside the index; the folder that holds all three."""
    index, folder = read_index(index_path), index_path.parent
    write_normalised(index, folder / "normalised")
    write_tables(index, folder / "normalised", folder / "tables", folder / "metrics.json")
    return folder


def data_of(folder: Path) -> ReportData:
    """What figures of an analysed results folder are drawn from."""
    return read_report_data(folder / "index.json", folder / "normalised", folder / "tables")


def material_of(folder: Path) -> Material:
    """The material of an analysed results folder of one condition."""
    (material,) = data_of(folder).materials
    return material


def data_with(material: Material) -> ReportData:
    """The same of one condition alone, of which there are no tables over conditions."""
    experiment = alone(Index(conditions=(material.condition,)))
    nothing = pd.DataFrame()
    return ReportData(experiment=experiment, materials=[material], summary=nothing, ratios=nothing)


def made_data(conditions: Sequence[Condition], summary: pd.DataFrame) -> ReportData:
    """What curves over these conditions are drawn from; nothing else of them is known."""
    experiment, nothing = alone(index_of(*conditions)), pd.DataFrame()
    frames = ("mean", "phases", "missing", "by_phase", "runs", "answer", "quality")
    materials = []
    for condition in conditions:
        material = Material(
            condition=condition,
            styles=engine_styles(condition.engines),
            timelines=Path(),
            **dict.fromkeys(frames, nothing),
        )
        materials.append(material)
    return ReportData(experiment=experiment, materials=materials, summary=summary, ratios=nothing)


def with_longer_lines(material: Material, factor: float, to: Path) -> Material:
    """The same material, the time of each run's line multiplied; its files lie in `to`."""
    for run in material.condition.finished:
        source = timeline_file(material.timelines, material.condition, run)
        lines = read_timeline(source)
        longer = timeline_file(to, material.condition, run)
        longer.parent.mkdir(parents=True, exist_ok=True)
        np.save(longer, lines.assign(t_s=lines["t_s"] * factor).to_numpy())
    return replace(material, timelines=to)
