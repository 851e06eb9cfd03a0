"""Tables against golden files, and the rows that must never get lost.

The golden files are made anew with: EVENGROUND_REGENERATE=1 python -m pytest tests/analysis/test_tables.py
"""

from __future__ import annotations

import json
import math
import os
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from analysis.synthetic import MadeResults, write_results
from evenground.analysis.files import (
    EMPTY,
    markdown_table,
    read_cells,
    read_csv,
    rounded,
    whole_numbers,
    write_csv,
)
from evenground.analysis.normalise import normalise
from evenground.analysis.resources import Training, Use, use_during, use_of
from evenground.analysis.side_by_side import Recorded, side_of
from evenground.analysis.tables import Frames, make_tables
from evenground.analysis.timeline import NO_CORES
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.outcome import Reason

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = Path(__file__).parents[2] / "scripts"
NORMALISED = ("mean", "phases", "missing", "conditions", "memory", "energy")
TABLES = (
    "training_time",
    "time_ratio",
    "blocks",
    "resources",
    "energy",
    "accuracy",
    "runs",
    "calibration",
)
TABLES += ("quality", "idle_windows", "memory_after", "lines_of_code")
FILES = [f"normalised/{name}.csv" for name in NORMALISED]
FILES += [f"tables/{name}.{form}" for name in TABLES for form in ("csv", "md")]
GPU_FILES = ["normalised/missing.csv", "normalised/conditions.csv", "normalised/energy.csv"]
GPU_FILES += [
    f"tables/{name}.{form}"
    for name in ("resources", "energy", "quality", "idle_windows", "memory_after", "runs")
    for form in ("csv", "md")
]

BLOCK_FILES = [
    f"tables/{name}.{form}" for name in ("time_ratio", "blocks") for form in ("csv", "md")
]


def call(script: str, index: Path, *arguments: str) -> None:
    """Run a script of the pipeline in this process, as its rule would."""
    before = sys.argv
    sys.argv = [script, "--index", str(index), *arguments]
    try:
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
    finally:
        sys.argv = before


def analyse(index: Path, out: Path | None = None) -> Path:
    """Write `normalised/` and `tables/` beside the index, or elsewhere; the folder that holds both."""
    out = out or index.parent
    call("normalise.py", index, "--output-dir", str(out / "normalised"))
    call(
        "tables.py",
        index,
        "--normalised",
        str(out / "normalised"),
        "--output-dir",
        str(out / "tables"),
        "--metrics",
        str(out / "metrics.json"),
    )
    return out


@pytest.fixture(scope="module")
def without_gpu(index_path: Path) -> Path:
    return analyse(index_path)


@pytest.fixture(scope="module")
def with_gpu(gpu_index_path: Path) -> Path:
    return analyse(gpu_index_path)


@pytest.fixture(scope="module")
def in_blocks(blocks_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return analyse(blocks_path, tmp_path_factory.mktemp("in-blocks"))


def compare(found: Path, golden: Path) -> None:
    """Same content; numbers in CSV may differ in their last digits, as processors' logarithms do."""
    if os.environ.get("EVENGROUND_REGENERATE"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_bytes(found.read_bytes())
    if found.suffix == ".md":
        assert found.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")
    else:
        pd.testing.assert_frame_equal(read_csv(found), read_csv(golden), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FILES)
def test_golden_without_gpu_and_with_lost_runs(without_gpu: Path, name: str) -> None:
    compare(without_gpu / name, GOLDEN / "without_gpu" / name)


@pytest.mark.parametrize("name", BLOCK_FILES)
def test_golden_of_six_blocks(in_blocks: Path, name: str) -> None:
    compare(in_blocks / name, GOLDEN / "blocks" / name)


@pytest.mark.parametrize("name", GPU_FILES)
def test_golden_with_gpu(with_gpu: Path, name: str) -> None:
    compare(with_gpu / name, GOLDEN / "with_gpu" / name)


def table(folder: Path, name: str, **where: str) -> pd.DataFrame:
    """Rows of a table with these values."""
    frame = read_csv(folder / "tables" / f"{name}.csv")
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame


def test_times_are_those_the_runs_were_made_with(without_gpu: Path) -> None:
    rows = table(without_gpu, "training_time", dataset="digits", engine="keras").set_index(
        "measure"
    )
    assert rows.loc["training_s", ["median", "min", "max"]].tolist() == pytest.approx(
        [3.06, 3.0, 3.12]
    )
    assert rows.loc["first_batch_s", "min"] == pytest.approx(0.75)
    assert rows.loc["steady_s", "min"] == pytest.approx(2.25)
    # 2 s load, 3 s training, 0.3 s evaluation, 0.2 s exit; the 1 s it lingered is left out.
    assert rows.loc["whole_process_s", "min"] == pytest.approx(5.5)


def test_ratio_is_two_thirds_and_three_pairs_have_no_interval(with_gpu: Path) -> None:
    rows = table(with_gpu, "time_ratio", measure="training_s")
    assert rows[["baseline", "engine"]].drop_duplicates().values.tolist() == [["keras", "jax"]]
    assert rows["ratio"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert set(rows["n_pairs"]) == {3} and rows[["low_95", "high_95"]].isna().all(axis=None)
    assert (rows["reason"] != "").all()


def test_an_interval_of_pairs_holds_what_the_runs_were_made_with(in_blocks: Path) -> None:
    rows = table(in_blocks, "time_ratio", measure="training_s").set_index("dataset")
    assert rows["n_pairs"].to_dict() == {"digits": 5, "shapes": 5}
    assert ((rows["low_95"] < 2 / 3) & (rows["high_95"] > 2 / 3)).all()
    assert rows["reason"].to_dict() == {
        "digits": "repetition 3: jax is invalid (sampler)",
        "shapes": "repetition 6: no finished run of keras",
    }


def test_the_spread_of_times_stands_beside_their_means(in_blocks: Path) -> None:
    rows = table(in_blocks, "training_time", dataset="digits", engine="jax").set_index("measure")
    times = 2 * (1 + np.array([0.01, 0.01, 0.06, 0.04, 0.11, 0.10]))
    found = rows.loc["training_s", ["mean", "geometric_mean", "cv"]].tolist()
    expected = [times.mean(), np.exp(np.log(times).mean()), times.std(ddof=1) / times.mean()]
    assert found == pytest.approx(expected, rel=1e-6)
    assert rows.loc["idle_s", ["geometric_mean", "cv"]].isna().all(), "zero in every run"


def test_lost_runs_stay_visible(without_gpu: Path) -> None:
    runs = table(without_gpu, "runs")
    assert runs["order"].tolist() == list(range(1, 13))
    lost = runs[runs["status"] != "finished"]
    assert lost[["dataset", "engine", "repetition", "status", "reason"]].values.tolist() == [
        ["digits", "jax", 2, "failed", "out-of-memory"],
        ["shapes", "keras", 3, "missing", ""],
    ]
    assert lost["training_s"].isna().all()
    counts = table(without_gpu, "training_time", measure="training_s")
    assert counts[["n", "n_wanted"]].values.tolist() == [[3, 3], [2, 3], [2, 3], [3, 3]]
    assert "**2 did not finish**" in (without_gpu / "tables" / "accuracy.md").read_text(
        encoding="utf-8"
    )


def test_missing_gpu_is_empty_with_its_reason_never_zero(without_gpu: Path) -> None:
    rows = table(without_gpu, "resources")
    gpu = rows[rows["resource"].isin(["gpu_util_pct", "vram_used_bytes", "gpu_power_w"])]
    assert len(gpu) == 12
    assert (
        gpu[["peak_median", "range_median", "integral_median", "mean_curve_peak"]]
        .isna()
        .all(axis=None)
    )
    assert gpu["reason"].str.contains("no NVIDIA driver").all()
    assert (gpu["n"] == 0).all()


def test_integrals_are_those_the_runs_were_made_with(with_gpu: Path) -> None:
    rows = table(with_gpu, "resources", dataset="digits", engine="keras").set_index("resource")
    # 150 % of a core for 3 s, known to one sample; 60 % and 120.5 W on the grid from 0.1 s on.
    assert rows.loc["cpu_pct", "integral_min"] == pytest.approx(4.5, abs=0.15)
    assert rows.loc["gpu_power_w", "integral_min"] == pytest.approx(120.5 * 3, rel=0.03)
    assert rows.loc["rss_bytes", "peak_median"] == 450 * 2**20
    # One core and a half of two.
    assert rows.loc["cpu_pct", ["peak_median", "p95_median"]].tolist() == pytest.approx([75, 75])
    assert rows.loc["gpu_util_pct", "range_median"] == 60


T_S = np.arange(-3, 11) * 0.1


def test_use_counts_the_training_only() -> None:
    values = np.where((T_S > 0.0) & (T_S < 0.85), 2.0, 9.0)
    use = use_during(T_S, values, 0.75, 0.1, over_step=True)
    assert (use.peak, use.p95, use.range) == (2.0, 2.0, 0.0)
    assert use.integral == pytest.approx(2.0 * 0.75)


def test_momentary_values_count_from_the_start_of_training() -> None:
    use = use_during(T_S, np.where(T_S < 0.05, 1.0, 4.0), 0.75, 0.1, over_step=False)
    assert (use.peak, use.range) == (4.0, 3.0)


def test_every_step_weighs_the_same_in_the_percentile() -> None:
    t_s = np.arange(0, 101) * 0.1
    values = np.where(np.arange(101) < 96, np.arange(101) / 100, 50.0)
    use = use_during(t_s, values, 10.0, 0.1, over_step=False)
    assert (use.peak, use.p95) == (50.0, pytest.approx(0.95))


def trained_use(values: np.ndarray, name: str, **known: float) -> Use:
    frame = pd.DataFrame({"t_s": T_S, name: values})
    return use_of(frame, name, Training(0.75, **known), 0.1)


def test_the_peak_of_memory_is_the_larger_of_sample_and_kernels_mark() -> None:
    values = np.full(T_S.shape, 100.0)
    assert trained_use(values, "rss_bytes", kernel_peak_bytes=130.0).peak == 130.0
    assert trained_use(values, "rss_bytes", kernel_peak_bytes=70.0).peak == 100.0
    assert trained_use(values, "rss_bytes").peak == 100.0
    assert trained_use(values, "rss_bytes", kernel_peak_bytes=130.0).p95 == 100.0
    assert trained_use(values, "machine_used_bytes", kernel_peak_bytes=130.0).peak == 100.0


def test_the_kernels_mark_reaches_tables_and_sides(index_path: Path) -> None:
    index = read_index(index_path)
    known = normalise(index)
    marks = known.conditions["repetition"].map({1: 900.0, 2: 800.0, 3: 1.0}) * 2**20
    marked = replace(known, conditions=known.conditions.assign(kernel_peak_rss_bytes=marks))
    frames = Frames(**{name: getattr(marked, name) for name in Frames.__annotations__})
    tables = make_tables(index, frames)
    rows = tables["resources"].set_index(["dataset", "engine", "resource"])
    keras = rows.loc[("digits", "keras", "rss_bytes")]
    peaks = [450.0 * 2**20, 800.0 * 2**20, 900.0 * 2**20]
    assert (
        keras[["peak_min", "peak_median", "peak_max"]].tolist() == peaks and keras["reason"] == ""
    )
    recorded = Recorded(
        runs=tables["runs"],
        timelines=marked.timelines,
        conditions=marked.conditions,
        quality=tables["quality"],
    )
    assert sorted(side_of("a", index, recorded).of("digits", "keras", "peak_rss_bytes")) == peaks


def test_a_peak_without_the_kernels_mark_says_so(index_path: Path) -> None:
    index = read_index(index_path)
    known = normalise(index)
    marks = [np.nan, *[2.0**30] * (len(known.conditions) - 1)]
    frames = replace(known, conditions=known.conditions.assign(kernel_peak_rss_bytes=marks))
    tables = make_tables(
        index, Frames(**{name: getattr(frames, name) for name in Frames.__annotations__})
    )
    rows = tables["resources"].query("resource == 'rss_bytes'")["reason"].tolist()
    few = "peak: largest sample only, as the kernel's mark is not known (1 of 3 runs)"
    assert rows == [few, "", "", ""]


def test_cpu_seconds_are_the_counters_whatever_the_cores() -> None:
    half = np.full(T_S.shape, 50.0)
    assert trained_use(half, "cpu_pct", cores=4.0).integral == pytest.approx(2 * 0.75)
    assert math.isnan(trained_use(half, "cpu_pct").integral)


def test_unknown_cores_leave_cpu_missing_with_the_reason(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(repetitions=1, environment={"cores": None}))
    rows = table(analyse(index), "resources", resource="cpu_pct")
    assert rows[["peak_median", "integral_median"]].isna().all(axis=None) and set(rows["n"]) == {0}
    assert set(rows["reason"]) == {NO_CORES}


def test_integral_with_a_gap_is_missing_and_peak_is_not() -> None:
    values = np.full(T_S.shape, 2.0)
    values[6] = np.nan
    use = use_during(T_S, values, 0.75, 0.1, over_step=True)
    assert use.peak == 2.0
    assert math.isnan(use.integral)
    assert math.isnan(use_during(T_S, np.full(T_S.shape, 2.0), 5.0, 0.1, over_step=True).integral)


def test_training_shorter_than_the_grid_has_no_peak_but_an_integral() -> None:
    use = use_during(T_S, np.full(T_S.shape, 2.0), 0.04, 0.1, over_step=True)
    assert math.isnan(use.peak)
    assert use.integral == pytest.approx(0.08)


def test_nothing_finished_gives_empty_tables_with_reasons(tmp_path: Path) -> None:
    lost = {("digits", engine, 1): ("failed", "crashed") for engine in ("keras", "jax")}
    made = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1, lost=lost)
    folder = analyse(write_results(tmp_path, made))
    assert len(read_csv(folder / "normalised" / "timelines.csv")) == 0
    assert (table(folder, "resources")["reason"] == "no finished run").all()
    assert (table(folder, "time_ratio")["reason"] == "no finished run").all()
    assert table(folder, "training_time")[["n", "n_wanted"]].drop_duplicates().values.tolist() == [
        [0, 1]
    ]


def test_one_engine_alone_has_no_ratio_but_every_other_table(tmp_path: Path) -> None:
    index = write_results(
        tmp_path, MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1)
    )
    content = json.loads(index.read_text())
    content["engines"] = content["engines"][:1]
    content["runs"] = [run for run in content["runs"] if run["engine"] == "keras"]
    index.write_text(json.dumps(content))
    folder = analyse(index)
    assert len(table(folder, "time_ratio")) == 0
    assert len(table(folder, "training_time")) == 7


def test_csv_gives_every_bit_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"dataset": ["a", "b"], "x": [0.1 + 0.2, math.nan], "n": [1, 2], "reason": ["", "no"]}
    )
    write_csv(frame, tmp_path / "frame.csv")
    back = read_csv(tmp_path / "frame.csv")
    assert back["x"][0] == 0.1 + 0.2 and math.isnan(back["x"][1])
    assert back["reason"].tolist() == ["", "no"]


def test_markdown_rounds_shows_mebibytes_and_dashes() -> None:
    frame = pd.DataFrame(
        [{"unit": "bytes", "n": 2, "peak_median": 3.0 * 2**20, "peak_min": 2**20, "peak_max": 4.0 * 2**20},
         {"unit": "W", "n": 0, "peak_median": math.nan, "peak_min": math.nan, "peak_max": math.nan}]
    )  # fmt: skip
    assert markdown_table(frame).splitlines() == [
        "| unit | n | peak median (min to max) |",
        "| --- | ---: | ---: |",
        "| MiB | 2 | 3.000 (1.000 to 4.000) |",
        "| W | 0 | – |",
    ]


def test_a_very_small_p_is_said_to_be_small_and_never_zero() -> None:
    frame = pd.DataFrame({"block": ["all", "all"], "p": [1e-18, 0.0214]})
    lines = markdown_table(frame).splitlines()[2:]
    assert lines == ["| all | &lt; 0.0001 |", "| all | 0.02140 |"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (20.4, "20.40"),
        (123456.7, "123457"),
        (0.00012346, "0.0001235"),
        (-2.5, "-2.500"),
    ],
)
def test_rounding_keeps_four_digits_and_no_exponent(value: float, words: str) -> None:
    assert rounded(value) == words


def test_scripts_end_with_one_line_for_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = write_results(
        tmp_path, MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1)
    )
    with pytest.raises(SystemExit) as ended:
        call(
            "tables.py",
            index,
            "--normalised",
            str(tmp_path / "none"),
            "--output-dir",
            str(tmp_path / "out"),
            "--metrics",
            str(tmp_path / "metrics.json"),
        )
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the file is missing (") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_table_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mean.csv").write_text("dataset\n")
    with pytest.raises(EvengroundError, match="no column t_s"):
        read_csv(tmp_path / "mean.csv", ("dataset", "t_s"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(EvengroundError, match="broken table"):
        read_csv(tmp_path / "empty.csv")


def test_a_machine_without_a_calibration_has_an_empty_table(with_gpu: Path) -> None:
    assert len(table(with_gpu, "calibration")) == 0
    assert "| figure |" in (with_gpu / "tables" / "calibration.md").read_text()


def test_a_calibration_that_is_not_the_recorded_one_is_refused(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(repetitions=1))
    file = next((tmp_path / "results" / "calibration").rglob("*.json"))
    file.write_text(file.read_text().replace("96.5", "99.5"))
    with pytest.raises(SystemExit):
        analyse(index)
    file.unlink()
    with pytest.raises(SystemExit):
        analyse(index)


def test_a_count_stays_whole_where_another_one_is_missing(tmp_path: Path) -> None:
    """CSV alone gives a column with a gap back as fractions: 3 is not shown as 3.000, and 3.0 not as 3."""
    path = tmp_path / "made.csv"
    path.write_text("run,t_s\n3,3.0\n,1.5\n")
    shown = markdown_table(whole_numbers(read_csv(path), read_cells(path))).splitlines()[2:]
    assert shown == ["| 3 | 3.000 |", f"| {EMPTY} | 1.500 |"]


def test_every_reason_why_a_run_did_not_finish_is_explained() -> None:
    text = (SCRIPTS.parent / "docs/tables-and-figures.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    explained = {name for cell in first_cells for name in re.findall(r"`([a-z-]+)`", cell)}
    assert {*get_args(Reason), "gpu-out-of-memory"} <= explained
