"""The frame `measures`: right values for each of its columns, and a reason for each that is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import made_records
from analysis.remade import change_run, measured_of
from analysis.synthetic import NO_GPU, Made, MadeResults, write_results
from evenground.analysis.columns import names_of
from evenground.analysis.exactness import attainable
from evenground.analysis.experiment import alone
from evenground.analysis.extrapolation import Sample, formula_error
from evenground.analysis.files import read_rows, write_csv
from evenground.analysis.instruments import CARD_BYTES, INSTRUMENTS, RESOURCES, SinceBoot, Trace
from evenground.analysis.measured import read_measured
from evenground.analysis.measures import (
    ALL_ZERO,
    MEASURES,
    NO_LINGER,
    NO_READING,
    NO_TIME,
    NOTHING_TAKEN,
    TOO_LITTLE,
    take,
)
from evenground.analysis.normalise import FRAMES, normalise, normalise_all, write_normalised
from evenground.analysis.runs import read_runs
from evenground.analysis.timeline import NO_CORES, NO_REASON
from evenground.errors import EvengroundError
from evenground.records.index import Index, read_index
from evenground.records.times import Epoch, Moments

KEYS = ["dataset", "engine", "repetition", "instrument", "measure", "resource"]
FACTS = {"cores": 2, "memory_bytes": 2**33}
MIB = 2**20
# Made runs load at half speed and have a row 10 ms into their training: so much of it is taken for loading.
UNSEEN_S = 0.0045
# A page of 4 KiB in percent of that memory, and a tick of the clock in percent of both cores over a second.
PAGE_PCT, TICK_PCT_S = 100 * 4096 / 2**33, 0.5
Change = Callable[[pd.DataFrame], Any]


def index_of(
    to: Path, change: Change | None = None, facts: Any = FACTS, gpu: bool = True, **made: Any
) -> Path:
    """Index of one run: 2 s of loading, 0.5 s for the first batch, 2.5 s after it, 2 s of linger."""
    given = {"linger_s": 2.0, "gpu": gpu, **made}
    results = MadeResults(
        datasets=(("digits", "Digits", "mlp"),),
        engines=("keras",),
        repetitions=1,
        gpu=gpu,
        environment=facts,
        make=lambda *_: Made(**given),
    )
    index = write_results(to, results)
    if change:
        change_run(index, 0, change)
    return index


def taken(to: Path, change: Change | None = None, **made: Any) -> pd.DataFrame:
    """The measures of that run, by instrument, measure and resource."""
    frame = normalise(read_index(index_of(to, change, **made)).first).measures
    return frame.set_index(["instrument", "measure", "resource"])


def column(name: str, text: str, rows: slice = slice(None)) -> Change:
    """A change of samples: these rows of a column have this text."""
    return lambda frame: frame.loc.__setitem__((rows, name), text)


def trace(**changes: Any) -> Trace:
    """A training of 3.5 s that ends in the middle of a step of a second; its first batch takes 0.25 s."""
    made = Trace(
        t_s=np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        columns={"gpu": np.array([50.0, 60.0, 1.0, 3.0, 7.0, 90.0, 90.0, 90.0])},
        step_s=1.0,
        launch_s=-1.0,
        first_batch_s=0.25,
        train_end_s=3.5,
        evaluate_end_s=4.0,
        linger_end_s=6.0,
        event_step_s=1e-3,
        steps={"gpu": 1.0},
        integrals={},
        missing={},
        since_boot={},
        counted={},
        remarks={},
        idle=(),
    )
    return replace(made, **changes)


def test_there_is_a_row_for_each_measure_of_each_run(index_path: Path) -> None:
    index = read_index(index_path).first
    frame = normalise(index).measures
    assert tuple(frame.columns) == names_of(FRAMES["measures"])
    assert not frame.duplicated(KEYS).any()
    each = len(INSTRUMENTS) * (1 + (len(MEASURES) - 1) * len(RESOURCES))
    runs = frame.groupby(["dataset", "engine", "repetition"]).size()
    assert len(runs) == len(index.finished) == 10 and (runs == each).all()
    assert set(frame[frame["measure"] == "training_s"]["resource"]) == {""}


@pytest.mark.parametrize("gpu", [True, False])
def test_what_is_missing_has_a_reason_and_nothing_else_has(
    index_path: Path, gpu_index_path: Path, gpu: bool
) -> None:
    frame = normalise(read_index(gpu_index_path if gpu else index_path).first).measures
    assert (frame["value"].isna() == (frame["reason"] != "")).all()
    assert (frame["value"].isna() == frame["resolution"].isna()).all()
    vram = frame[(frame["resource"] == "vram") & (frame["measure"] == "peak")]
    reasons = {f"column not measured: {name}_bytes: {NO_GPU}" for name in ("vram_used",)}
    reasons |= {f"column not measured: vram_tree_bytes: {NO_REASON}"}
    assert set(vram["reason"]) == ({""} if gpu else reasons)


def test_a_step_counts_with_the_part_that_lies_in_the_window() -> None:
    """Of the last step the training has half a second, and the value before it still stood then."""
    assert take("mean", trace(), "gpu") == ((1 + 3 + 7 + 0.5 * 7) / 3.5, "")
    steady, _ = take("steady", trace(), "gpu")
    assert steady == pytest.approx((0.75 * 3 + 7 + 0.5 * 7) / 2.25, rel=1e-12)


def test_what_is_left_out_does_not_count() -> None:
    busy = trace(left_out=((1.5, 2.5),))
    assert take("mean", busy, "gpu")[0] == pytest.approx(
        (1 + 0.5 * 3 + 0.5 * 7 + 0.5 * 7) / 2.5, rel=1e-12
    )
    assert take("training_s", busy, "") == (2.5, "")
    assert take("peak", busy, "gpu") == (60.0, ""), "a peak is the same with its waits"
    assert take("mean", trace(left_out=((0.0, 3.5),)), "gpu")[1] == NO_TIME


def test_a_training_that_ends_within_a_step_has_the_mean_of_its_counter(tmp_path: Path) -> None:
    """It stops computing 0.15 s before its end: two cores of 75 % for 2.9 of 3.05 s."""
    found = taken(tmp_path, steady_s=2.55, cpu_idle=((2.9, 3.05),), gpu=False)
    mean = found.loc[("corrected", "mean", "cpu"), "value"]
    assert mean == pytest.approx(75 * (2.9 - UNSEEN_S) / 3.05, rel=1e-9)
    assert found.loc[("corrected", "steady", "cpu"), "value"] == pytest.approx(
        75 * 1.4 / 1.55, rel=1e-9
    )


def test_memory_after_the_end_of_training_is_none_of_its_mean(tmp_path: Path) -> None:
    found = taken(tmp_path, steady_s=2.55, kept=0.0)
    assert found.loc[("corrected", "mean", "vram"), "value"] == pytest.approx(2**31, rel=1e-12)


def test_idle_time_is_taken_from_times_and_means(tmp_path: Path) -> None:
    """It computes nothing from 1.0 to 1.95 s after the start of its training."""
    found = taken(tmp_path, cpu_idle=((1.0, 1.95),), gpu=False)
    value, without = found["value"], found["without_idle"]
    for instrument, abs_s in (("corrected", 1e-6), ("as-published", 0.02)):
        name = (instrument, "training_s", "")
        assert value[name] == pytest.approx(3.0) and without[name] == pytest.approx(2.05, abs=abs_s)
    mean, steady = ("corrected", "mean", "cpu"), ("corrected", "steady", "cpu")
    # The last row of the training comes 10 ms after its end, and shows 90 ms of work in 100 ms.
    late_s = 0.009
    worked_s = 2.05 - UNSEEN_S - late_s
    assert value[mean] == pytest.approx(75 * worked_s / 3, rel=1e-9)
    assert without[mean] == pytest.approx(75 * worked_s / 2.05, rel=1e-6)
    # From 1.5 s on: 1.05 s of work in 1.5 s.
    assert value[steady] == pytest.approx(75 * (1.05 - late_s) / 1.5, rel=1e-9)
    assert without[steady] == pytest.approx(75 * (1.05 - late_s) / 1.05, rel=1e-6)
    others = found[~found.index.get_level_values("measure").isin(["training_s", "mean", "steady"])]
    assert others["value"].equals(others["without_idle"])
    ram = ("corrected", "mean", "ram")
    assert value[ram] == without[ram]


def test_on_a_gpu_the_means_of_the_card_are_without_idle_time_too(tmp_path: Path) -> None:
    found = taken(tmp_path, steady_s=4.5, idle=((1.0, 3.5),), cpu_idle=((1.0, 3.5),))
    for instrument in INSTRUMENTS:
        row = found.loc[instrument, "mean", "gpu"]
        # The driver's own window blurs the edges.
        assert row["value"] == pytest.approx(60 * 2.5 / 5, abs=6)
        assert (
            row["without_idle"] == pytest.approx(60, abs=6)
            and row["without_idle"] > row["value"] + 15
        )


def test_the_old_instrument_loses_idle_time_in_its_own_time(tmp_path: Path) -> None:
    """Its samples come 0.2 s apart and count as 0.1 s each: of a second that was idle it saw half."""
    found = taken(tmp_path, spacing_s=0.2, steady_s=4.5, cpu_idle=((1.0, 3.0),), gpu=False)
    row = found.loc["as-published", "training_s", ""]
    assert row["value"] == pytest.approx(2.5, abs=0.11)
    assert row["value"] - row["without_idle"] == pytest.approx(1.0, abs=0.02)


def test_without_a_counter_idle_time_is_not_known(tmp_path: Path) -> None:
    found = taken(tmp_path, column("cpu_s", ""))
    time = found.loc["corrected", "training_s", ""]
    assert time["value"] == 3.0 and math.isnan(time["without_idle"]) and time["reason"] == ""
    assert math.isnan(found.loc[("corrected", "mean", "gpu"), "without_idle"])
    assert found.loc[("corrected", "peak", "gpu"), "without_idle"] == 60
    assert (
        found.loc[("corrected", "mean", "cpu"), "reason"]
        == f"column not measured: cpu_s: {NO_REASON}"
    )


# First batch after 0.5 s, end of training after 3 s: rows 0.1 s apart, 2 s of loading before.
RESOLUTIONS = {
    ("corrected", "training_s", ""): 1e-3,
    ("corrected", "mean", "cpu"): TICK_PCT_S / 3,
    ("corrected", "steady", "cpu"): TICK_PCT_S / 1.5,
    ("corrected", "peak", "cpu"): TICK_PCT_S / 0.1,
    ("corrected", "rise", "cpu"): TICK_PCT_S / 0.1,
    ("corrected", "mean", "ram"): PAGE_PCT,
    ("corrected", "rise", "ram"): PAGE_PCT,
    ("corrected", "peak", "vram"): MIB,
    ("corrected", "peak_at", "gpu"): 0.1 / 2.5,
    ("corrected", "zero_s", "gpu"): 0.1,
    ("corrected", "kept", "vram"): 2 * MIB / 2**31,
    ("corrected", "end_to_peak", "gpu"): 2 / 60,
    ("as-published", "training_s", ""): 0.1,
    ("as-published", "mean", "ram"): PAGE_PCT,
    ("as-published", "peak", "vram"): 100 / 7981,
    ("as-published", "kept", "vram"): 2 * MIB / 2**31,
    ("as-published", "end_to_peak", "vram"): 2 * MIB / 2**31,
    # Up for 10,000 s when the index of the run was 0; it is the first, a minute later, and loads for 2 s.
    ("as-published", "rise", "cpu"): TICK_PCT_S / (10_000 + 60 + 0.034567891 - 2 + 0.01),
    **{(i, m, "gpu"): 1.0 for i in INSTRUMENTS for m in ("mean", "steady", "rise", "peak")},
}


def test_each_value_has_the_step_it_is_measured_in(tmp_path: Path) -> None:
    assert CARD_BYTES == 7981 * MIB
    found = taken(tmp_path)["resolution"]
    assert {name: found[name] for name in RESOLUTIONS} == pytest.approx(RESOLUTIONS, rel=1e-6)


def test_where_rows_repeat_a_reading_its_time_is_the_step(tmp_path: Path) -> None:
    """A reading every 0.25 s: ten of them stand for the 2.5 s after the first batch."""
    found = taken(tmp_path, reading_s=0.25)
    assert found.loc[("corrected", "zero_s", "gpu"), "resolution"] == pytest.approx(0.25, rel=0.1)


def test_a_mean_since_boot_can_hardly_move() -> None:
    """Up for 12,000 s at 58 %, and 15 s to go: it rises by 0.052 points or falls by 0.072."""
    since = SinceBoot(first_pct=58.0, up_s=12_000.0, left_s=15.0)
    published = trace(since_boot={"cpu": since})
    rises, falls = 42 * 15 / 12_015, 58 * 15 / 12_015
    assert (rises, falls) == pytest.approx((0.052434, 0.072409), abs=1e-6)
    assert attainable("rise", published, "cpu") == (0.0, pytest.approx(falls, rel=1e-9))
    assert attainable("peak", published, "cpu") == (58.0, pytest.approx(58 + rises, rel=1e-12))
    assert attainable("mean", published, "cpu") == pytest.approx(
        (58 - falls, 58 + rises), rel=1e-12
    )


def test_between_which_values_a_measure_can_lie(tmp_path: Path) -> None:
    found = taken(tmp_path)
    ends = found[["low_attainable", "high_attainable"]]
    assert (found["value"].dropna() >= ends["low_attainable"][found["value"].notna()]).all()
    within = found["value"] <= ends["high_attainable"] + found["resolution"]
    assert within[found["value"].notna()].all()

    def of(instrument: str, measure: str, resource: str) -> tuple[float, ...]:
        return tuple(ends.loc[(instrument, measure, resource)])

    for instrument in INSTRUMENTS:
        assert of(instrument, "peak", "gpu") == of(instrument, "mean", "gpu") == (0, 100)
        assert (
            of(instrument, "training_s", "")
            == of(instrument, "peak", "vram")
            == (-math.inf, math.inf)
        )
        assert of(instrument, "zero_s", "gpu") == (0, pytest.approx(3.0))
    assert of("corrected", "mean", "cpu") == (0, 100)
    # At 12.5 % after 10,058.04 s, and 4.99 s until the end of training.
    rise = 87.5 * 4.99 / (10_058.044567891 + 4.99)
    assert of("as-published", "rise", "cpu") == (0, pytest.approx(rise, rel=1e-9))


def moments(first_s: float, *ends_s: float) -> Moments:
    """A training whose first batch and epochs end so many seconds after its start."""
    epochs = [
        Epoch(
            number=number,
            start_ns=0,
            end_ns=round(end_s * 1e9),
            loss=1.0,
            accuracy=0.5,
            examples=320,
        )
        for number, end_s in enumerate(ends_s, start=1)
    ]
    ends = dict.fromkeys(
        ("evaluate_start_ns", "evaluate_end_ns", "linger_end_ns"), epochs[-1].end_ns
    )
    return Moments(
        train_start_ns=0,
        first_batch_end_ns=round(first_s * 1e9),
        train_end_ns=epochs[-1].end_ns,
        epochs=tuple(epochs),
        test_accuracy=0.5,
        **ends,
    )


def test_the_error_of_the_formula_is_what_half_of_the_data_says() -> None:
    """30 steps of 0.1 s; then the same with a second after each epoch, whatever the number of examples."""
    sample = Sample(examples=320, whole=60_000, steps=30, whole_steps=5625)
    assert formula_error(sample, moments(0.1, 1.0, 2.0, 3.0)) == pytest.approx(0.0, abs=1e-12)
    from_all, from_half = 0.1 + 5.9 * 5624 / 29, 0.1 + 3.9 * 5624 / 19
    found = formula_error(sample, moments(0.1, 2.0, 4.0, 6.0))
    assert found == pytest.approx(math.log(from_half / from_all) / math.sqrt(3), rel=1e-9)
    assert found == pytest.approx(0.0051, abs=1e-4)
    two = replace(sample, steps=20, whole_steps=3750)
    assert formula_error(two, moments(0.1, 2.0, 4.0)) > found, "half of two epochs is one"
    assert math.isnan(formula_error(replace(sample, steps=10), moments(0.1, 1.0))), (
        "not known of one epoch"
    )
    assert math.isnan(formula_error(replace(sample, whole=None), moments(0.1, 1.0, 2.0)))


def limited(to: Path, **made: Any) -> pd.DataFrame:
    """Measures of two runs alike, whose second is of an arm trained on 320 of 60,000 examples."""
    results = MadeResults(
        datasets=(("digits", "Digits", "mlp"),),
        repetitions=1,
        environment=FACTS,
        make=lambda *_: Made(**made),
    )
    path = write_results(to, results)
    content = json.loads(path.read_text())
    (condition,) = content["conditions"]
    condition["engines"][1] |= {"arm_of": "keras", "train_limit": 320}
    condition["datasets"][0] |= {"train_examples": 60_000}
    path.write_text(json.dumps(content))
    return normalise(read_index(path).first).measures.set_index(
        ["engine", "instrument", "measure", "resource"]
    )


def test_of_an_arm_on_the_first_examples_the_time_is_extrapolated(tmp_path: Path) -> None:
    found = limited(tmp_path, cpu_idle=((1.0, 1.95),))
    whole, part = (found.loc[engine, "corrected", "training_s", ""] for engine in ("keras", "jax"))
    factor = (5625 - 1) / (30 - 1)
    assert part["value"] == pytest.approx(0.5 + 2.5 * factor) and whole["value"] == pytest.approx(
        3.0
    )
    assert part["without_idle"] == pytest.approx(0.5 + 1.55 * factor, rel=1e-6)
    assert part["resolution"] == pytest.approx(1e-3 * factor) and whole["resolution"] == 1e-3
    # Its epochs share the time after the first batch: two of three end after 0.5 + 2.5 * 2 / 3 s.
    half = 0.5 + 2.5 * 2 / 3 * 5624 / 19
    error = math.log(half / part["value"]) / math.sqrt(3)
    assert part["formula_error"] == pytest.approx(error, rel=1e-6) and error > 0.01
    published = found.loc["jax", "as-published", "training_s", ""]
    assert published["resolution"] == pytest.approx(0.1 * factor)
    assert published["formula_error"] == part["formula_error"]


def test_of_such_an_arm_there_is_nothing_else_and_no_error_of_other_measures(
    tmp_path: Path,
) -> None:
    found = limited(tmp_path)
    jax = found.loc["jax"].drop("training_s", level="measure")
    assert jax["value"].isna().all() and jax["without_idle"].isna().all()
    said = "trained on 320 of 60,000 examples only: 'peak' of the whole is not known from that"
    assert jax.loc[("corrected", "peak", "ram"), "reason"] == said
    errors = found["formula_error"].loc["keras"]
    assert (jax["formula_error"] == 0).all() and (errors == 0).all()


@pytest.mark.parametrize(
    ("made", "name", "reason"),
    [
        ({"linger_s": 0.5}, ("corrected", "kept", "ram"), NO_LINGER),
        ({"steady_s": 0.9}, ("corrected", "steady", "gpu"), NO_TIME),
        ({"gpu_pct": 0}, ("corrected", "end_to_peak", "gpu"), ALL_ZERO),
        ({"gpu_zero_s": 0.5}, ("as-published", "kept", "gpu"), NOTHING_TAKEN),
        (
            {"facts": {"cores": 2}},
            ("corrected", "peak", "ram"),
            "the size of the machine's memory is not recorded",
        ),
        ({"facts": {}, "cores": None}, ("corrected", "mean", "cpu"), NO_CORES),
        ({"reading_s": 9.0}, ("corrected", "zero_s", "gpu"), NO_READING),
        (
            {"change": column("gpu_util_pct", "", slice(25, 45))},
            ("as-published", "mean", "gpu"),
            TOO_LITTLE,
        ),
    ],
)
def test_a_missing_value_says_why(
    tmp_path: Path, made: dict[str, Any], name: tuple[str, str, str], reason: str
) -> None:
    row = taken(tmp_path, **made).loc[name]
    assert math.isnan(row["value"]) and row["reason"] == reason


def test_the_mean_since_boot_is_known_without_the_number_of_cores(tmp_path: Path) -> None:
    found = taken(tmp_path, facts={}, cores=None)
    assert found.loc[("as-published", "mean", "cpu"), "value"] == pytest.approx(12.5)


def test_conditions_have_the_time_up_and_the_kernels_own_peak(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    folder = read_runs(read_index(index).first)[0].folder
    info = json.loads((folder / "samples.json").read_text())

    def said(peak_bytes: int | None) -> pd.Series[Any]:
        info["summary"]["peak_process_rss_bytes"] = peak_bytes
        (folder / "samples.json").write_text(json.dumps(info))
        change_run(index, 0)
        return normalise(read_index(index).first).circumstances.loc[0]

    known, unknown = said(123 * MIB), said(None)
    assert known["up_s"] == pytest.approx(10_058.034567891, abs=1e-6)
    assert known["kernel_peak_rss_bytes"] == 123 * MIB
    assert math.isnan(unknown["kernel_peak_rss_bytes"])


def files_of(to: Path) -> tuple[Index, Path, Path]:
    """An index with one run, the folder of its frames and its table quality.csv, as files."""
    index = read_index(index_of(to))
    write_normalised(index, to / "normalised")
    write_csv(measured_of(alone(index)).quality, to / "quality.csv")
    return index, to / "normalised", to / "quality.csv"


def test_files_give_what_the_runs_give(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    found, made = read_measured(*files), measured_of(alone(files[0]))
    (placed,) = alone(files[0]).conditions
    pd.testing.assert_frame_equal(found.measures, made.measures, rtol=0, atol=0)
    assert found.measures["high_attainable"].max() == math.inf
    assert tuple(found.of(placed).circumstances.columns) == names_of(FRAMES["circumstances"])
    assert found.quality["finding"].tolist() == made.quality["finding"].tolist()


def test_without_a_run_there_is_no_row(tmp_path: Path) -> None:
    index = index_of(tmp_path)
    content = json.loads(index.read_text())
    content["conditions"][0]["runs"][0] |= {"status": "missing", "path": None}
    index.write_text(json.dumps(content))
    read = read_index(index)
    write_normalised(read, tmp_path / "normalised")
    write_csv(measured_of(alone(read)).quality, tmp_path / "quality.csv")
    assert read_measured(read, tmp_path / "normalised", tmp_path / "quality.csv").measures.empty


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("normalised/measures.csv", None, "the file is missing"),
        ("quality.csv", None, "the file is missing"),
        ("normalised/measures.csv", ("without_idle", "other"), "no column without_idle"),
        ("normalised/measures.csv", ("3.0", "much"), "broken table"),
        ("normalised/circumstances.csv", ("up_s", "other"), "no column up_s"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(
    tmp_path: Path, name: str, change: tuple[str, str] | None, what: str
) -> None:
    files = files_of(tmp_path)
    path = tmp_path / name
    if change is None:
        path.unlink()
    else:
        path.write_text(path.read_text().replace(*change))
    with pytest.raises(EvengroundError, match=what) as refused:
        read_measured(*files)
    assert refused.value.where == str(path)


def test_frames_of_other_runs_are_refused(tmp_path: Path) -> None:
    index, normalised, quality = files_of(tmp_path)
    second = {"repetition": 2}
    condition = index.first.with_runs(tuple(run.model_copy(update=second) for run in index.runs))
    other = made_records.index_of(condition)
    with pytest.raises(
        EvengroundError, match="its runs are not the finished runs of the index"
    ) as refused:
        read_measured(other, normalised, quality)
    assert refused.value.where == str(normalised / "measures.csv")


def test_a_frame_that_is_written_and_read_has_every_bit(tmp_path: Path) -> None:
    _, folder, _ = files_of(tmp_path)
    experiment = alone(read_index(tmp_path / "results/index.json"))
    made = normalise_all(experiment).measures
    found = read_rows(folder / "measures.csv", experiment.columns(FRAMES["measures"]))
    pd.testing.assert_frame_equal(found, made, check_exact=True)
