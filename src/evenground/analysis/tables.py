"""The tables, as frames with unrounded numbers; a missing number is NaN beside a reason or an n."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd

from evenground.analysis import (
    across,
    answer,
    block_effects,
    energy,
    idle,
    memory,
    quality,
    resources,
)
from evenground.analysis.across import across_table
from evenground.analysis.answer import answer_table
from evenground.analysis.block_effects import block_table
from evenground.analysis.calibration import read_calibration
from evenground.analysis.columns import (
    GROUP,
    REASON,
    REPETITION,
    UNIT,
    Columns,
    columns,
    names_of,
    number,
    text,
    whole,
)
from evenground.analysis.energy import energy_table
from evenground.analysis.experiment import Experiment, with_lead
from evenground.analysis.files import typed
from evenground.analysis.groups import Rows, with_columns
from evenground.analysis.idle import IDLE_S, IDLE_SHARE, idle_table
from evenground.analysis.memory import memory_table
from evenground.analysis.normalise import TRAINED, Normalised
from evenground.analysis.pairs import blocks_of
from evenground.analysis.quality import quality_table, with_quality
from evenground.analysis.resources import resources_table
from evenground.analysis.summary import RATIOS, SUMMARY, USE, USED, ratios, summary
from evenground.analysis.table import frame_of
from evenground.records.index import Condition, EngineLines, Index, ThesisLines

OUTCOME = (
    text("status", "`finished`, `failed` or `missing`."),
    text("reason", "Why it did not finish (docs/tables-and-figures.md)."),
    whole("attempts", "How often it was tried."),
)
# Columns from the index.
PLANNED = columns(
    GROUP,
    REPETITION,
    whole("order", "Its place in the order of training, from 1 on."),
    OUTCOME,
)
QUALITY = text("quality", "States of its findings in `quality`; empty without any.")
KEY = text("key", "First digits of its key, which names its folder.")
RUNS = columns(PLANNED, TRAINED, USE, IDLE_S, IDLE_SHARE, energy.OF_RUN, QUALITY, KEY)
COUNTED = (
    whole("files", "Files that were counted."),
    whole("lines", "All lines, as the thesis counts."),
    whole("code_lines", "Lines with code on them."),
    whole("comment_lines", "Lines with only a comment."),
)
LINES_OF_CODE = columns(
    text("code", "Engine, or trainer of the thesis."),
    text("language", "Language of the files."),
    text(
        "instrument",
        "Of the thesis's trainers in Elixir: `corrected` has the files that the trainer uses, "
        "`as-published` those whose lines give the published number (docs/claims.md, L1).",
    ),
    COUNTED,
    REASON,
)
CALIBRATION = (
    text("figure", "What was measured."),
    text("bound", "Whether the value has to be at least the goal or at most; empty without one."),
    number("goal", UNIT, "The goal."),
    number("measured", UNIT, "The value."),
    UNIT,
    text("passed", "Whether the goal is met; where there is no answer, `reason` says why."),
    REASON,
)
TABLES: dict[str, Columns] = {
    "answer": answer.TABLE,
    "summary": SUMMARY,
    "ratios": RATIOS,
    "across": across.TABLE,
    "blocks": block_effects.TABLE,
    "resources": resources.TABLE,
    "energy": energy.TABLE,
    "memory_after": memory.TABLE,
    "idle_windows": idle.TABLE,
    "quality": quality.TABLE,
    "runs": RUNS,
    "lines_of_code": LINES_OF_CODE,
    "calibration": CALIBRATION,
}
"""Name of a table -> its columns for one condition, in the order in which a page shows them."""


def columns_of(experiment: Experiment, name: str) -> Columns:
    """The columns of the table NAME of an experiment."""
    # The code is the same in all conditions, and the sampler on one machine in all of its own.
    if name == "lines_of_code":
        return TABLES[name]
    declared = experiment.columns(TABLES[name])
    if name == "calibration":
        declared = tuple(column for column in declared if column.name not in experiment.swept)
    return declared


def make_tables(experiment: Experiment, frames: Normalised) -> dict[str, pd.DataFrame]:
    """All tables of an experiment by name, from its normalised frames.

    Raises EvengroundError if a calibration cannot be read.
    """
    made: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for placed in experiment.conditions:
        for name, rows in _of_condition(placed.condition, frames.of(placed)).items():
            made[name].append(with_lead(rows, placed))
    tables = {name: experiment.joined(made[name], TABLES[name]) for name in made}
    calibrations = tables["calibration"].drop(columns=list(experiment.swept))
    tables["calibration"] = calibrations.drop_duplicates(ignore_index=True)
    tables["across"] = across_table(experiment, tables, frames.circumstances)
    tables["lines_of_code"] = lines_of_code(list(experiment.sources.values()))
    return tables


def _of_condition(condition: Condition, frames: Normalised) -> dict[str, pd.DataFrame]:
    """The tables of one condition; `frames` are its rows."""
    runs = runs_table(condition, frames)
    findings = quality_table(condition, runs, frames.circumstances)
    # The gates need the runs, and the runs show what the gates found.
    runs = with_quality(runs, findings)
    runs = with_columns(runs, frames.circumstances, [IDLE_S.name, IDLE_SHARE.name])
    runs = typed(with_columns(runs, frames.energy, [energy.ENERGY, energy.NET]), RUNS)
    blocks = blocks_of(frames.circumstances, findings)
    compared = ratios(condition, runs, blocks)
    return {
        "answer": answer_table(condition, runs, compared, findings, frames.circumstances),
        "summary": summary(condition, runs),
        "ratios": compared,
        "blocks": block_table(condition, runs, frames.circumstances, blocks),
        "resources": resources_table(
            condition, runs, frames.use, frames.mean, frames.circumstances, frames.missing
        ),
        "energy": energy_table(condition, runs, frames.energy),
        "memory_after": memory_table(condition, runs, frames.memory, frames.missing),
        "idle_windows": idle_table(
            condition, runs, frames.idle, frames.circumstances, frames.missing
        ),
        "quality": findings,
        "runs": runs,
        "calibration": calibration(condition),
    }


def runs_table(condition: Condition, frames: Normalised) -> pd.DataFrame:
    """One row per wanted run in the order of the plan; an unfinished one has no numbers."""
    rows: Rows = []
    for wanted in sorted(condition.runs, key=lambda run: run.order):
        row: dict[str, object] = {name: getattr(wanted, name) for name in names_of(PLANNED)}
        rows.append(row | {"key": wanted.key[:12]})
    runs = frame_of(rows, PLANNED + (KEY,))
    runs = with_columns(runs, frames.trained, list(names_of(TRAINED)))
    for name, (resource, figure) in USED.items():
        of_resource = frames.use[frames.use["resource"] == resource]
        runs = with_columns(runs, of_resource.rename(columns={figure: name}), [name])
    return runs


def lines_of_code(indexes: list[Index]) -> pd.DataFrame:
    """One row per engine and language, then one per trainer of the thesis and instrument."""
    rows: Rows = []
    for index in indexes:
        if index.lines is None:
            continue
        for engine in index.lines.engines:
            rows.append({"code": engine.engine, "language": engine.language, **_counted(engine)})
        for trainer in index.lines.thesis:
            row: dict[str, object] = {"code": f"thesis: {trainer.code}", "language": "Elixir"}
            row |= {"instrument": trainer.instrument, "reason": trainer.absent or ""}
            if trainer.absent is None:
                row |= _counted(trainer)
            rows.append(row)
    return frame_of(rows, LINES_OF_CODE).drop_duplicates(ignore_index=True)


def _counted(lines: EngineLines | ThesisLines) -> dict[str, object]:
    return {name: getattr(lines, name) for name in names_of(COUNTED)}


def calibration(condition: Condition) -> pd.DataFrame:
    """One row per figure of the sampler's calibration; empty if this machine class has none."""
    bounds = {True: "at least", False: "at most"}
    passed = {True: "yes", False: "no", None: ""}
    rows: Rows = []
    for figure in read_calibration(condition):
        bound = ""
        if figure.goal is not None:
            bound = bounds[figure.at_least]
        row: dict[str, object] = {
            "figure": figure.what,
            "bound": bound,
            "goal": figure.goal,
            "measured": figure.measured,
            "unit": figure.unit,
            "passed": passed[figure.passed],
            "reason": figure.reason or "",
        }
        rows.append(row)
    return frame_of(rows, CALIBRATION)
