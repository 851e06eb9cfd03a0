"""Conditions of experiments: the columns that tell them apart, and that nothing is over several."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.several import A, B, condition, conditions
from analysis.synthetic import write_results
from evenground.analysis import experiment as module
from evenground.analysis.columns import GROUP, columns, names_of, number
from evenground.analysis.experiment import (
    Experiment,
    Placed,
    alone,
    name_of,
    of_condition,
    values_in_words,
    with_lead,
    words_of,
)
from evenground.analysis.metrics import metrics
from evenground.analysis.normalise import (
    Normalised,
    normalise_all,
    read_timeline,
    write_normalised,
)
from evenground.analysis.tables import make_tables
from evenground.analysis.write import tables_of, write_tables
from evenground.errors import EvengroundError
from evenground.records.index import Condition, Index, read_index
from evenground.records.plan import Machine
from made_records import index_of, made_condition, made_run, made_wanted

SRC = Path(module.__file__).parents[1]
DECLARED = columns(GROUP, number("x", "s", "A number."))
ROWS = pd.DataFrame({"dataset": ["d", "d"], "engine": ["a", "a"], "x": [1.5, float("nan")]})


def on(machine: str, **values: Any) -> Condition:
    """A condition of one run on that machine, with these swept values."""
    run = made_wanted(made_run(machine=machine))
    made = Machine(class_name=machine, description="Made CPU")
    return made_condition(run, machine=made, values=values)


def swept(**values: list[Any]) -> Experiment:
    """Two machines with each of the values of one parameter."""
    ((name, found),) = values.items()
    made = [on(machine, **{name: value}) for machine in ("m-1", "n-1") for value in found]
    return alone(index_of(*made))


def two(first: Index, second: Index) -> Experiment:
    return Experiment(sources={"x": first, "y": second})


# ------------------------------------------------------------------------------------ the columns


def test_a_group_is_all_that_nothing_is_averaged_over() -> None:
    single = alone(index_of(on("m-1")))
    assert single.lead == ("machine", "deployment") and single.swept == ()
    assert single.group == ("machine", "deployment", "dataset", "network", "engine")
    assert swept(epochs=[1, 2]).lead == ("machine", "deployment", "epochs")
    sources = two(index_of(on("m-1")), index_of(on("m-1", batch_size=32)))
    assert sources.lead == ("source", "machine", "deployment", "batch_size")


@pytest.mark.parametrize(
    "experiment",
    [
        alone(index_of(on("m-1"))),
        swept(epochs=[1, 2]),
        swept(learning_rate=[0.001, 1e-05]),
        swept(threads=[1, "all"]),
        two(index_of(on("m-1")), index_of(on("m-1", batch_size=32), on("m-1", batch_size=8))),
    ],
    ids=lambda experiment: " ".join(experiment.lead),
)
def test_rows_come_back_from_a_table_of_all_conditions(
    experiment: Experiment, tmp_path: Path
) -> None:
    frames = []
    for place, placed in enumerate(experiment.conditions):
        frames.append(with_lead(ROWS.assign(x=ROWS["x"] + place), placed))
    joined = experiment.joined(frames, DECLARED)
    assert tuple(joined.columns) == names_of(experiment.columns(DECLARED))
    assert tuple(joined.columns) == (*experiment.group, "x")
    assert set(joined["network"]) == {"mlp"}
    path = tmp_path / "t.csv"
    joined.to_csv(path, index=False)
    read = module.read_led(path, experiment, DECLARED)
    pd.testing.assert_frame_equal(read, joined, check_exact=True)
    for place, placed in enumerate(experiment.conditions):
        own = of_condition(read, placed)
        assert own["x"].tolist()[0] == 1.5 + place and own["x"].isna().tolist() == [False, True]
        assert list(own.columns) == list(ROWS.columns)


def test_a_swept_parameter_has_the_kind_of_its_values() -> None:
    def kind(experiment: Experiment) -> str:
        return experiment.columns(DECLARED)[2].kind

    assert kind(swept(epochs=[1, 2])) == "whole"
    assert kind(swept(learning_rate=[0.001, 0.1])) == "number"
    words = swept(threads=[1, "all"])
    assert kind(words) == "text"
    assert [placed.lead["threads"] for placed in words.conditions] == ["1", "all", "1", "all"]
    assert {column.digits for column in words.columns(DECLARED)[2:3]} == {None}


def test_empty_frames_keep_the_kinds_of_columns() -> None:
    experiment = swept(epochs=[1, 2])
    frames = [with_lead(ROWS.iloc[:0], placed) for placed in experiment.conditions]
    kinds = [str(kind) for kind in experiment.joined(frames, DECLARED).dtypes]
    assert kinds == ["object", "object", "Int64", "object", "object", "object", "float64"]


def test_columns_with_one_value_are_hidden_and_still_in_the_data() -> None:
    assert alone(index_of(on("m-1"))).hidden == ("machine", "deployment", "network")
    assert swept(epochs=[1, 2]).hidden == ("deployment", "network")
    assert swept(epochs=[1]).differing == ["machine"]


def test_a_source_that_does_not_sweep_has_its_value_all_the_same() -> None:
    """Its conditions are peers of those of the other source at that value."""
    sweep = index_of(*(on("m-1", batch_size=size) for size in (8, 32)))
    experiment = two(index_of(on("n-1")), sweep)
    assert [placed.lead["batch_size"] for placed in experiment.conditions] == [32, 8, 32]
    (together,) = experiment.peers
    assert [(placed.source, placed.lead["batch_size"]) for placed in together] == [
        ("x", 32),
        ("y", 32),
    ]


# ---------------------------------------------------------------------------------- names of them


def test_peers_share_all_values_and_have_names_of_their_own() -> None:
    experiment = swept(epochs=[1, 2])
    assert [[each.label for each in together] for together in experiment.peers] == [
        ["m-1", "n-1"],
        ["m-1", "n-1"],
    ]
    assert alone(index_of(on("m-1", epochs=1), on("m-1", epochs=2))).peers == []
    sources = two(index_of(on("m-1"), on("n-1")), index_of(on("m-1")))
    labels = [placed.label for placed in sources.conditions]
    assert labels == ["x, m-1", "x, n-1", "y, m-1"]
    assert [
        placed.label for placed in two(index_of(on("m-1")), index_of(on("m-1"))).conditions
    ] == [
        "x",
        "y",
    ]


def test_a_condition_is_named_by_what_differs() -> None:
    experiment = swept(batch_size=[8, 16])
    last = experiment.conditions[-1]
    assert name_of(last, experiment) == "n-1_batch_size-16"
    assert words_of(last, experiment) == ["n-1", "batch size 16"]
    assert values_in_words(last, experiment) == "batch size 16"
    single = alone(index_of(on("m-1", batch_size=8)))
    assert name_of(single.conditions[0], single) == "" and words_of(*_first(single)) == []


def _first(experiment: Experiment) -> tuple[Placed, Experiment]:
    return experiment.conditions[0], experiment


# ---------------------------------------------------------------------- nothing is over several


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Two sources, each with two machines and two values. Read it, do not change it."""
    indexes = []
    for name in ("x", "y"):
        made = [replace(one, datasets=one.datasets[:1]) for one in conditions()]
        indexes.append(read_index(write_results(tmp_path_factory.mktemp(name), *made)))
    return two(*indexes)


@pytest.fixture(scope="module")
def frames(several: Experiment) -> Normalised:
    return normalise_all(several)


def blind_to(name: str) -> Callable[[pd.DataFrame, Placed], pd.DataFrame]:
    """What parts rows, as if it forgot one of the columns."""

    def parted(frame: pd.DataFrame, placed: Placed) -> pd.DataFrame:
        lead = {column: value for column, value in placed.lead.items() if column != name}
        return of_condition(frame, replace(placed, lead=lead))

    return parted


@pytest.mark.parametrize("name", ["source", "machine", "batch_size"])
@pytest.mark.parametrize("place", ["normalise", "across", "metrics"])
def test_rows_of_several_conditions_in_one_group_are_found(
    several: Experiment,
    frames: Normalised,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    place: str,
) -> None:
    """A mutation of each place that parts rows: it would take those of several conditions."""
    monkeypatch.setattr(f"evenground.analysis.{place}.of_condition", blind_to(name))
    with pytest.raises(AssertionError, match=f"several values of {name} in one group"):
        metrics(several, tables_of(several, frames))


def test_without_a_mutation_the_same_is_made(several: Experiment, frames: Normalised) -> None:
    assert len(make_tables(several, frames)["summary"]) > 100


def test_rows_under_the_name_of_another_condition_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutation of what names rows: those of the second machine are called the first one's."""
    made = [condition(machine, 16, repetitions=1) for machine in (A, B)]
    index = read_index(write_results(tmp_path, *made))

    def misled(frame: pd.DataFrame, placed: Placed) -> pd.DataFrame:
        return with_lead(frame, placed).assign(machine=A)

    monkeypatch.setattr("evenground.analysis.normalise.with_lead", misled)
    write_normalised(index, tmp_path / "normalised")
    with pytest.raises(EvengroundError, match="not the finished runs of the index"):
        write_tables(index, tmp_path / "normalised", tmp_path / "tables", tmp_path / "m.json")


# Module -> why what it groups is of one condition, or is no number of runs.
GROUPING = {
    "analysis/answer.py": "the findings of one group",
    "analysis/block_effects.py": "the runs of one condition, by repetition",
    "analysis/blocks.py": "the runs of one condition, by repetition",
    "analysis/by_phase.py": "the runs of one group",
    "analysis/idle.py": "the windows of one group",
    "analysis/quality.py": "the findings of one condition, by run",
    "analysis/sentences.py": "ratios, to be told in words: the least and the greatest",
    "claims/agreement.py": "verdicts, to be listed in words; swept values are among the keys",
    "claims/evidence.py": "the measures of one condition (`Measured.of`), by run and by arm",
    "report/compare.py": "the timelines of one group",
    "report/curves.py": "the rows of the table summary, into panels: none is computed",
    "report/instruments.py": "the timelines of one group",
    "report/side_by_side.py": "ratios below each other: none is computed",
    "report/strip.py": "the phases of one group",
}
# What makes one row of several.
AGGREGATES = {"groupby", "pivot", "pivot_table", "resample", "rolling", "crosstab"}


def test_no_other_module_groups_rows() -> None:
    """A module that begins to is to be looked at: may its frame have rows of several conditions?"""
    found = set()
    for room in ("analysis", "claims", "report"):
        for path in (SRC / room).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            # `itertools.groupby` of columns, by its module.
            if names & AGGREGATES and path.name != "shown.py":
                found.add(path.relative_to(SRC).as_posix())
    assert found == set(GROUPING)


def test_only_one_function_parts_the_rows_of_conditions() -> None:
    """Outside of it no code of the core selects rows by machine, deployment or source."""
    selecting = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and isinstance(node.left, ast.Subscript):
                key = node.left.slice
                if isinstance(key, ast.Constant) and key.value in module.LEAD:
                    selecting.add(path.relative_to(SRC).as_posix())
    assert selecting == set()


def test_a_timeline_that_is_missing_or_damaged_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "r1.npy"
    with pytest.raises(EvengroundError, match="run the pipeline again to make it"):
        read_timeline(file)
    file.write_text("t_s,cpu_pct\n0.0,1.0\n")
    with pytest.raises(EvengroundError, match="broken timeline"):
        read_timeline(file)
    np.save(file, np.zeros((3, 2)))
    with pytest.raises(EvengroundError, match="broken timeline"):
        read_timeline(file)
