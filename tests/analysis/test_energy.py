"""Energy of a training: right by the card's own counter where the driver's power lags behind."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.remade import change_run, say_of_baseline, tables_by_files
from analysis.synthetic import BUSY_W, IDLE_W, Made, MadeResults, made_run, write_results
from evenground.analysis.energy import FELL, NO_RUN, NOT_COVERED, NOT_READ, ON_PROCESSOR, rise
from evenground.analysis.memory import NO_BASELINE
from evenground.analysis.runs import read_runs
from evenground.analysis.write import write_tables
from evenground.records.index import read_index

DIGITS = (("digits", "Digits", "mlp"),)
S = 10**9
# Ampere or newer, but for the A100: nvml.h says that power is averaged over a second.
MEAN_S = 1.0


def results(to: Path, repetitions: int = 1, **changes: Any) -> Path:
    """Runs of Keras and JAX on a card whose power is a mean over a second."""

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        return replace(made_run(dataset, engine, repetition, gpu), power_mean_s=MEAN_S, **changes)

    return write_results(
        to, MadeResults(datasets=DIGITS, repetitions=repetitions, gpu=True, make=make)
    )


def row_of(index: Path, engine: str = "keras") -> dict[str, Any]:
    table = tables_by_files(index)["energy"]
    (row,) = table[table["engine"] == engine].to_dict("records")
    return row


@pytest.mark.parametrize(("engine", "training_s"), [("keras", 3.0), ("jax", 2.0)])
def test_the_counter_is_right_where_the_integral_of_power_is_far_off(
    tmp_path: Path, engine: str, training_s: float
) -> None:
    """A step of power at the start of training, and one at its end; the shorter training loses more."""
    index = results(tmp_path)
    truth_j = BUSY_W * training_s
    power = tables_by_files(index)["resources"]
    rows = power[(power["engine"] == engine) & (power["resource"] == "gpu_power_w")]
    (integral,) = rows["integral_median"].tolist()
    ours = row_of(index, engine)["energy_j_median"]
    print(
        f"{training_s} s: truth {truth_j:.1f} J, counter {ours:.1f} J, integral of power {integral:.1f} W·s"
    )
    assert abs(ours / truth_j - 1) < 0.01
    assert abs(integral / truth_j - 1) > 0.1
    assert set(rows["integral_unit"]) == {"W·s"}, "no joules: they are the counter's"


def test_net_energy_is_without_what_the_card_draws_anyway(tmp_path: Path) -> None:
    row = row_of(results(tmp_path))
    assert (row["baseline_w_median"], row["baseline_from"], row["reason"]) == (
        IDLE_W,
        "counter",
        "",
    )
    assert row["net_j_median"] == pytest.approx((BUSY_W - IDLE_W) * 3.0, rel=0.01)
    assert row["net_j_median"] == pytest.approx(row["energy_j_median"] - 3.0 * IDLE_W)
    examples = 3 * 60_000
    assert row["j_per_example_median"] == pytest.approx(row["energy_j_median"] / examples)
    assert row["net_j_per_example_median"] == pytest.approx(row["net_j_median"] / examples)


def test_all_tables_have_the_same_energy(tmp_path: Path) -> None:
    index = results(tmp_path, repetitions=2)
    tables = tables_by_files(index)
    runs = tables["runs"][tables["runs"]["engine"] == "keras"]
    assert runs["gpu_energy_j"].median() == pytest.approx(row_of(index)["energy_j_median"])
    assert runs["gpu_net_energy_j"].median() == pytest.approx(row_of(index)["net_j_median"])
    found = tables["summary"].set_index(["engine", "measure"])
    energy = found.loc[("keras", "gpu_energy_j")]
    assert energy[["median", "min", "max"]].tolist() == pytest.approx(
        [runs["gpu_energy_j"].agg(name) for name in ("median", "min", "max")]
    )
    assert found.loc[("keras", "gpu_net_energy_j"), "unit"] == "J"
    ratio = tables["ratios"].set_index("measure").loc["gpu_energy_j", "ratio"]
    means = found["geometric_mean"].xs("gpu_energy_j", level="measure")
    assert ratio == pytest.approx(means["jax"] / means["keras"])
    write_tables(
        read_index(index), index.parent / "normalised", tmp_path / "t", tmp_path / "metrics.json"
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["digits"]["keras"]["gpu_energy_j"] == pytest.approx(
        runs["gpu_energy_j"].median()
    )


def test_the_power_before_is_of_the_driver_where_there_is_no_counter_then(tmp_path: Path) -> None:
    index = results(tmp_path, repetitions=2)
    folder = read_runs(read_index(index).first)[0].folder
    say_of_baseline(folder, {"power_w": 40.0, "power_from": "reading"})
    change_run(index, 0)
    assert row_of(index)["baseline_from"] == "counter and reading", "said, and not in silence"
    assert (row_of(index)["baseline_w_min"], row_of(index)["baseline_w_max"]) == (IDLE_W, 40.0)


def no_counter(frame: pd.DataFrame) -> None:
    frame["gpu_energy_j"] = ""


def not_before(frame: pd.DataFrame) -> None:
    frame.loc[:25, "gpu_energy_j"] = ""


def not_after(frame: pd.DataFrame) -> None:
    frame.loc[45:, "gpu_energy_j"] = ""


def fell(frame: pd.DataFrame) -> None:
    frame.loc[40:, "gpu_energy_j"] = "1.0"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(no_counter, NOT_READ), (not_before, NOT_COVERED), (not_after, NOT_COVERED), (fell, FELL)],
)
def test_without_the_counter_it_is_missing_with_its_reason_and_never_the_integral(
    tmp_path: Path, change: Any, reason: str
) -> None:
    index = results(tmp_path)
    change_run(index, 0, change)
    row = row_of(index)
    assert row["reason"] == reason and row["n"] == 0
    assert all(
        math.isnan(row[f"{name}_median"])
        for name in ("energy_j", "net_j", "baseline_w", "j_per_example")
    )
    assert row_of(index, "jax")["n"] == 1


def test_the_reason_is_the_recorded_one(tmp_path: Path) -> None:
    index = results(tmp_path)
    file = read_runs(read_index(index).first)[0].folder / "samples.json"
    info = json.loads(file.read_text())
    info["missing"]["gpu_energy_j"] = "NVML: nvmlDeviceGetTotalEnergyConsumption: Not Supported"
    file.write_text(json.dumps(info))
    change_run(index, 0, no_counter)
    assert row_of(index)["reason"].endswith("Not Supported")


def test_a_gap_within_the_training_keeps_its_energy(tmp_path: Path) -> None:
    index = results(tmp_path)
    before = row_of(index)["energy_j_median"]
    change_run(index, 0, lambda frame: frame.loc.__setitem__((slice(30, 40), "gpu_energy_j"), ""))
    assert row_of(index)["energy_j_median"] == pytest.approx(before, rel=1e-6)


def test_of_a_run_without_a_look_before_the_launch_only_the_net_energy_is_missing(
    tmp_path: Path,
) -> None:
    index = results(tmp_path, repetitions=2)
    folder = read_runs(read_index(index).first)[0].folder
    say_of_baseline(folder, None)
    change_run(index, 0)
    row = row_of(index)
    assert (row["n"], row["reason"]) == (2, f"{NO_BASELINE} (1 of 2 runs)")
    assert row["net_j_min"] == row["net_j_max"] == pytest.approx((BUSY_W - IDLE_W) * 3.06, rel=0.01)
    say_of_baseline(folder, {"power_w": None, "missing": {"power_w": "the driver hung"}})
    change_run(index, 0)
    assert row_of(index)["reason"] == "the driver hung (1 of 2 runs)"


def test_a_training_on_the_processor_has_no_energy_of_the_card(tmp_path: Path) -> None:
    row = row_of(results(tmp_path, device="cpu"))
    assert (row["n"], row["reason"], row["baseline_from"]) == (0, ON_PROCESSOR, "")


def test_without_a_finished_run_the_table_says_so(tmp_path: Path) -> None:
    lost = {("digits", engine, 1): ("failed", "crashed") for engine in ("keras", "jax")}
    index = write_results(
        tmp_path, MadeResults(datasets=DIGITS, repetitions=1, gpu=True, lost=lost)
    )
    assert row_of(index)["reason"] == NO_RUN and math.isnan(row_of(index)["energy_j_median"])


def test_a_counter_is_read_straight_between_readings() -> None:
    t_ns = np.array([0, 1, 3, 4], np.int64) * S
    counter = np.array([0.0, 10.0, 30.0, 100.0])
    assert rise(t_ns, counter, S // 2, 7 * S // 2) == (pytest.approx(65.0 - 5.0), "")
    assert rise(t_ns, np.array([0.0, 10.0, np.nan, 100.0]), 0, 2 * S) == (pytest.approx(40.0), "")
    assert (
        math.isnan(rise(t_ns, counter, -1, S)[0])
        and rise(t_ns, counter, 0, 5 * S)[1] == NOT_COVERED
    )
