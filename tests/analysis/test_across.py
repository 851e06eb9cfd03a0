"""Machines and sources against the first of them: by hand, with what is missing, and what differs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.remade import change_run
from analysis.several import A, B, condition
from analysis.synthetic import MadeResults, made_run, write_manifest, write_results
from evenground.analysis.differences import differences, differences_table, shared_runs
from evenground.analysis.experiment import Experiment, alone
from evenground.analysis.normalise import FRAMES, normalise_all, read_normalised, write_normalised
from evenground.analysis.tables import make_tables
from evenground.analysis.write import tables_of
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.report.side_by_side import side_by_side_drawing
from evenground.report.style import fixed_style

DIGITS = (("digits", "Digits", "mlp"),)
Tables = dict[str, pd.DataFrame]


def made_on(machine: str, **more: Any) -> MadeResults:
    """One machine with one value, and one dataset."""
    return condition(machine, 16, **{"datasets": DIGITS, "lost": {}, **more})


def tables(experiment: Experiment) -> Tables:
    return make_tables(experiment, normalise_all(experiment))


def sources(to: Path, *made: MadeResults) -> Experiment:
    """Each of these results as a source by itself: x, y and so on."""
    indexes = {}
    for name, results in zip("xyz", made, strict=False):
        indexes[name] = read_index(write_results(to / name, results))
    return Experiment(sources=indexes)


def one(frame: pd.DataFrame, **where: object) -> dict[str, Any]:
    """The one row with these values."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (row,) = frame.to_dict("records")
    return {str(name): value for name, value in row.items()}


def times(found: Tables, machine: str, engine: str) -> list[float]:
    runs = found["runs"]
    own = runs[(runs["machine"] == machine) & (runs["engine"] == engine)]
    return [float(value) for value in own.sort_values("repetition")["training_s"]]


def numbers(row: dict[str, Any]) -> list[float]:
    return [row[name] for name in ("ratio", "low_95", "high_95")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Two machines, all runs finished. Read it, do not change it."""
    made = [made_on(machine) for machine in (A, B)]
    return tables(alone(read_index(write_results(tmp_path_factory.mktemp("pair"), *made))))


def welch(a: Sequence[float], b: Sequence[float]) -> list[float]:
    """Of b over a: the ratio of geometric means and its interval, by SciPy."""
    logs = [np.log(values) for values in (b, a)]
    ends = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    return [math.exp(x) for x in (logs[0].mean() - logs[1].mean(), ends.low, ends.high)]


@pytest.mark.parametrize("engine", ["keras", "jax"])
def test_an_engine_on_two_machines_is_welchs_interval(pair: Tables, engine: str) -> None:
    row = one(pair["across"], baseline="", engine=engine, measure="training_s")
    assert (row["machine"], row["over"], row["reason"]) == (B, A, "")
    expected = welch(times(pair, A, engine), times(pair, B, engine))
    assert numbers(row) == pytest.approx(expected, rel=1e-6) and 7.9 < row["ratio"] < 8.1


def test_a_comparison_on_two_machines_is_the_ratio_of_ratios_by_pairs(pair: Tables) -> None:
    row = one(pair["across"], baseline="keras", engine="jax", measure="training_s")
    by_pairs = []
    for machine in (A, B):
        keras, jax = (np.array(times(pair, machine, engine)) for engine in ("keras", "jax"))
        by_pairs.append(list(jax / keras))
    assert numbers(row) == pytest.approx(welch(*by_pairs), rel=1e-6)
    assert row["low_95"] < 1 < row["high_95"] and row["reason"] == ""


def test_the_first_against_itself_is_one(tmp_path: Path) -> None:
    """The same runs as two sources."""
    index = read_index(write_results(tmp_path, made_on(A)))
    found = tables(Experiment(sources={"x": index, "y": index}))["across"]
    assert len(found) > 20 and found["ratio"].tolist() == pytest.approx([1.0] * len(found))
    assert set(found["source"]) == {"y"} and set(found["over"]) == {"x"}
    rows = found[found["measure"] == "training_s"]
    assert ((rows["low_95"] < 1) & (rows["high_95"] > 1)).all()


def test_runs_that_do_not_count_are_named_with_their_machine(tmp_path: Path) -> None:
    """One run of JAX on the second machine is invalid, as its samples were late."""
    path = write_results(tmp_path, *(made_on(machine, repetitions=5) for machine in (A, B)))
    number = next(
        place
        for place, run in enumerate(read_index(path).conditions[1].runs)
        if (run.engine, run.repetition) == ("jax", 3)
    )
    change_run(path, number, lambda frame: frame.__setitem__("missed_slots", "9"), condition=1)
    found = tables(alone(read_index(path)))
    dropped = "repetition 3: jax is invalid (sampler)"
    row = one(found["across"], baseline="keras", engine="jax", measure="training_s")
    assert row["reason"] == f"{B}: {dropped}"
    alone_row = one(found["across"], baseline="", engine="jax", measure="training_s")
    assert alone_row["reason"] == dropped
    valid = [value for place, value in enumerate(times(found, B, "jax"), 1) if place != 3]
    assert numbers(alone_row) == pytest.approx(welch(times(found, A, "jax"), valid), rel=1e-6)


# ------------------------------------------------------------------------------ what is missing


def test_an_engine_that_one_machine_lacks_has_rows_with_a_reason(tmp_path: Path) -> None:
    path = write_results(tmp_path, made_on(A), made_on(B, engines=("keras",)))
    found = tables(alone(read_index(path)))
    row = one(found["across"], engine="jax", measure="training_s")
    assert (row["baseline"], row["reason"]) == ("", "no finished run") and math.isnan(row["ratio"])
    assert one(found["across"], engine="keras", measure="training_s")["reason"] == ""
    runs = found["runs"]
    assert set(runs[runs["machine"] == B]["engine"]) == {"keras"}
    assert len(found["ratios"]["machine"].unique()) == 1, "one of them compares engines"


def test_an_engine_of_which_nothing_finished_has_a_reason(tmp_path: Path) -> None:
    lost = {("digits", "jax", number): ("failed", "crashed") for number in (1, 2, 3, 4)}
    found = tables(alone(read_index(write_results(tmp_path, made_on(A), made_on(B, lost=lost)))))
    for baseline in ("", "keras"):
        row = one(found["across"], baseline=baseline, engine="jax", measure="training_s")
        assert row["reason"].startswith("no finished run") and math.isnan(row["ratio"])
    counts = one(found["summary"], machine=B, engine="jax", measure="training_s")
    assert (counts["n"], counts["n_wanted"]) == (0, 4) and math.isnan(counts["mean"])


def test_one_repetition_has_a_ratio_and_no_interval(tmp_path: Path) -> None:
    path = write_results(tmp_path, made_on(A), made_on(B, repetitions=1))
    found = tables(alone(read_index(path)))["across"]
    for baseline in ("", "keras"):
        row = one(found, baseline=baseline, engine="jax", measure="training_s")
        assert math.isfinite(row["ratio"]) and math.isnan(row["low_95"])
        assert row["reason"].startswith("too few runs")


def test_a_column_that_one_machine_did_not_measure_is_missing_there_alone(tmp_path: Path) -> None:
    path = write_results(tmp_path, made_on(A), made_on(B))
    for number in range(8):
        change_run(path, number, lambda frame: frame.__setitem__("rss_bytes", ""), condition=1)
    experiment = alone(read_index(path))
    frames = normalise_all(experiment)
    found = make_tables(experiment, frames)
    resources = found["resources"][found["resources"]["resource"] == "rss_bytes"]
    there = resources["machine"] == A
    assert resources[there]["p95_median"].notna().all() and (resources[there]["n"] == 4).all()
    assert resources[~there]["p95_median"].isna().all()
    assert resources[~there]["reason"].str.contains("no value was written").all()
    missing = frames.missing[frames.missing["column"] == "rss_bytes"]
    assert set(missing["machine"]) == {B} and set(missing["n_missing"]) == {4}


def test_energy_of_one_machine_has_a_reason_on_the_other(tmp_path: Path) -> None:
    """What neither measured has no row; what one measured has one."""
    card = made_on(B, gpu=True, make=lambda *names: made_run(*names))
    found = tables(sources(tmp_path, made_on(A), card))["across"]
    row = one(found, baseline="", engine="keras", measure="gpu_energy_j")
    assert row["reason"] == "no value" and math.isnan(row["ratio"])
    neither = tables(sources(tmp_path / "two", made_on(A), made_on(B)))["across"]
    assert "gpu_energy_j" not in set(neither["measure"])


# ------------------------------------------------------------------------- the other way round


def test_a_pair_is_the_same_whichever_engine_comes_first(tmp_path: Path, pair: Tables) -> None:
    path = write_results(tmp_path, made_on(A), made_on(B, engines=("jax", "keras")))
    experiment = alone(read_index(path))
    found = tables(experiment)
    row = one(found["across"], baseline="keras", engine="jax", measure="training_s")
    same = one(pair["across"], baseline="keras", engine="jax", measure="training_s")
    assert numbers(row) == pytest.approx(numbers(same), rel=1e-2)
    ratios = found["ratios"][found["ratios"]["measure"] == "training_s"]
    assert ratios[["baseline", "engine"]].values.tolist() == [["keras", "jax"], ["jax", "keras"]]
    with fixed_style():
        drawn = side_by_side_drawing(experiment, found["ratios"]).data
    assert drawn[["machine", "baseline", "engine"]].values.tolist() == [
        [A, "keras", "jax"],
        [B, "keras", "jax"],
    ]
    turned = one(ratios, machine=B)
    shown = one(drawn, machine=B)
    assert numbers(shown) == [1 / turned[name] for name in ("ratio", "high_95", "low_95")]


def test_the_figure_has_the_pairs_that_two_conditions_have(tmp_path: Path) -> None:
    path = write_results(
        tmp_path,
        condition(A, 16, engines=("keras", "jax", "torch")),
        condition(B, 16, lost={}),
    )
    experiment = alone(read_index(path))
    ratios = tables(experiment)["ratios"]
    with fixed_style():
        drawn = side_by_side_drawing(experiment, ratios).data
    assert set(drawn["measure"]) == {"training_s"} and drawn["ratio"].notna().all()
    assert set(drawn["engine"]) == {"jax"} and "torch" in set(ratios["engine"])
    assert drawn[["dataset", "machine"]].values.tolist() == [
        ["digits", A],
        ["digits", B],
        ["shapes", A],
        ["shapes", B],
    ]


def test_the_figure_says_how_many_pairs_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.report.side_by_side.MAX_INCHES", 1.0)
    experiment = alone(read_index(write_results(tmp_path, condition(A, 16), condition(B, 16))))
    drawing = side_by_side_drawing(experiment, tables(experiment)["ratios"])
    assert set(drawing.data["dataset"]) == {"digits"}
    assert "1 more pairs are only in the table" in drawing.caption


def test_without_a_common_engine_there_is_a_figure_that_says_so(tmp_path: Path) -> None:
    lone = made_on(B, engines=("torch",), repetitions=1)
    experiment = sources(tmp_path, made_on(A), lone)
    found = tables(experiment)
    assert set(found["across"]["reason"]) == {"no finished run"}
    with fixed_style():
        assert side_by_side_drawing(experiment, found["ratios"]).data.empty


# ----------------------------------------------------------------------------- what is not the same


def test_differences_name_what_is_not_the_same(tmp_path: Path) -> None:
    first = write_results(tmp_path / "x", MadeResults(datasets=DIGITS))
    other = MadeResults(datasets=DIGITS, gpu=True, parameters={"epochs": 5})
    second = write_results(tmp_path / "y", other)
    content = json.loads(second.read_text())
    for run in content["conditions"][0]["runs"]:
        folder = tmp_path / "y" / run["path"]
        record = {
            "schema": 2,
            "kernel": "6.1",
            "libraries": {"numpy": "2.4.6"},
            "git": {"commit": "c" * 40, "dirty": True},
        }
        (folder / "environment.json").write_text(json.dumps(record))
        about = json.loads((folder / "manifest.json").read_text())["run"]
        run["manifest_sha256"] = write_manifest(folder, about)
    second.write_text(json.dumps(content))
    a, b = read_index(first).first, read_index(second).first
    found = differences(a, b)
    rows = {row["what"]: (row["in_first"], row["in_other"]) for row in found.to_dict("records")}
    assert rows["epochs"] == ("3", "5") and rows["numpy of jax"] == ("–", "2.4.6")
    assert rows["commit"] == ("unknown", "cccccccccccc with changes") and "machine" in rows
    assert "batch_size" not in rows and not any(what.startswith("key of") for what in rows)
    assert shared_runs(a, b) == 0 and shared_runs(a, a) == 6
    assert differences(a, a).empty
    experiment = Experiment(sources={"x": read_index(first), "y": read_index(second)})
    table, lines = differences_table(experiment)
    assert lines == ["**Not the same work, `x` and `y`: epochs 3 against 5.**"]
    assert set(table.rows["over"]) == {"x"} and set(table.rows["source"]) == {"y"}
    assert len(table.rows) == len(found)


def test_sources_that_share_runs_are_said_to(tmp_path: Path) -> None:
    """The first run alone, or all; nothing of them is averaged with the others."""
    index = read_index(write_results(tmp_path, made_on(A)))
    fewer = index.first.with_runs((index.first.runs[0], *index.first.runs[2:]))
    lost = index.first.runs[1].model_copy(update={"status": "missing"})
    part = index.model_copy(
        update={"conditions": (fewer.with_runs((*fewer.runs, lost)).below(index.root),)}
    )
    experiment = Experiment(sources={"x": index, "y": part})
    _, lines = differences_table(experiment)
    assert [line.partition(" At")[0] for line in lines] == [
        "**7 runs are in both `x` and `y`: no comparison of two measurements.**",
        "Of one class of machine: `x`, `y`.",
    ]
    summary = tables(experiment)["summary"]
    times = summary[summary["measure"] == "training_s"]
    assert times.groupby("source")["n"].sum().to_dict() == {"x": 8, "y": 7}


def test_a_broken_environment_is_named(tmp_path: Path) -> None:
    path = write_results(tmp_path, MadeResults(datasets=DIGITS, repetitions=1))
    change_run(path, 0, environment={"libraries": 3})
    index = read_index(path)
    with pytest.raises(EvengroundError, match="libraries"):
        differences(index.first, index.first)


# ------------------------------------------------------------------------------------- damage


@pytest.fixture
def written(tmp_path: Path) -> tuple[Experiment, Path]:
    """Two machines with two values of one run each, and the folder of their frames."""
    made = [
        replace(condition(machine, size), datasets=DIGITS, repetitions=1, lost={})
        for machine in (A, B)
        for size in (16, 64)
    ]
    index = read_index(write_results(tmp_path, *made))
    write_normalised(index, tmp_path / "normalised")
    return alone(index), tmp_path / "normalised"


def with_first(**values: str) -> Any:
    """A change of the first row alone."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.copy()
        changed.loc[0, list(values)] = list(values.values())
        return changed

    return change


STRANGE = "a row is of no condition of the index"
DAMAGE = {
    "a row of another machine": (with_first(machine="c-1"), STRANGE),
    "a row of another deployment": (with_first(deployment="apptainer"), STRANGE),
    "a row of another value": (with_first(batch_size="32"), STRANGE),
    "a row of another network": (with_first(network="cnn"), STRANGE),
    "a row of another engine": (with_first(engine="torch"), STRANGE),
    "a row under another condition": (
        with_first(batch_size="64"),
        "not the finished runs of the index",
    ),
    "no column machine": (lambda frame: frame.drop(columns="machine"), "no column machine"),
    "no swept column": (lambda frame: frame.drop(columns="batch_size"), "no column batch_size"),
    "no network": (lambda frame: frame.drop(columns="network"), "no column network"),
    "words for a value": (with_first(batch_size="many"), "broken table"),
    "no value": (with_first(batch_size=""), STRANGE),
    "a row fewer": (lambda frame: frame.iloc[1:], "not the finished runs of the index"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("frame", ["trained", "circumstances", "energy"])
def test_a_damaged_frame_is_one_line_with_its_file(
    written: tuple[Experiment, Path], name: str, frame: str
) -> None:
    experiment, folder = written
    path = folder / f"{frame}.csv"
    change, words = DAMAGE[name]
    change(pd.read_csv(path, dtype="str", keep_default_na=False)).to_csv(path, index=False)
    with pytest.raises(EvengroundError, match=words) as refused:
        read_normalised(experiment, folder)
    assert refused.value.where == str(path) and "\n" not in str(refused.value)


@pytest.mark.parametrize("frame", list(FRAMES))
def test_in_every_frame_a_row_of_another_condition_is_refused(
    written: tuple[Experiment, Path], frame: str
) -> None:
    experiment, folder = written
    path = folder / f"{frame}.csv"
    change, words = DAMAGE["a row of another machine"]
    change(pd.read_csv(path, dtype="str", keep_default_na=False)).to_csv(path, index=False)
    with pytest.raises(EvengroundError, match=words):
        read_normalised(experiment, folder)


def test_notes_say_that_nothing_is_averaged_over_conditions(tmp_path: Path) -> None:
    made = [made_on(machine, repetitions=1) for machine in (A, B)]
    experiment = alone(read_index(write_results(tmp_path, *made)))
    for name, table in tables_of(experiment, normalise_all(experiment)).items():
        notes = "\n".join(table.notes)
        assert "4 of 4 wanted runs finished, under 2 conditions; nothing is averaged" in notes
        assert f"(class `{A}`)" in notes and f"(class `{B}`)" in notes, name
        assert "machine" not in table.hidden and "deployment" in table.hidden


def test_another_network_on_the_same_dataset_is_other_work(tmp_path: Path) -> None:
    (name, title, _) = DIGITS[0]
    first = write_results(tmp_path / "x", MadeResults(datasets=DIGITS))
    other = MadeResults(datasets=((name, title, "cnn"),))
    second = write_results(tmp_path / "y", other)
    experiment = Experiment(sources={"x": read_index(first), "y": read_index(second)})
    _, lines = differences_table(experiment)
    assert f"**Not the same work, `x` and `y`: network of {name} mlp against cnn.**" in lines
