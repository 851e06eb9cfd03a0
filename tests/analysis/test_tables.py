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
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from analysis.remade import change_run, tables_of
from analysis.synthetic import MadeResults, write_results
from evenground.analysis.columns import Columns
from evenground.analysis.experiment import alone
from evenground.analysis.files import read_rows
from evenground.analysis.normalise import FRAMES, TIMELINES
from evenground.analysis.resources import use_during, uses_of
from evenground.analysis.table import read_table
from evenground.analysis.tables import TABLES
from evenground.analysis.timeline import NO_CORES, Timeline
from evenground.analysis.times import MEASURES
from evenground.records.index import read_index
from evenground.records.outcome import Reason
from evenground.records.table import TableFile
from made_records import made_index, made_run, made_wanted

GOLDEN = Path(__file__).parent / "golden"
SCRIPTS = Path(__file__).parents[2] / "scripts"
NORMALISED = ("trained", "use", "mean", "phases", "missing", "circumstances", "memory", "energy")
FORMS = ("csv", "json", "md")
FILES = [f"normalised/{name}.csv" for name in NORMALISED]
FILES += [f"tables/{name}.{form}" for name in TABLES for form in FORMS]
GPU_FILES = ["normalised/missing.csv", "normalised/circumstances.csv", "normalised/energy.csv"]
GPU_FILES += [
    f"tables/{name}.{form}"
    for name in ("resources", "energy", "quality", "idle_windows", "memory_after", "runs")
    for form in FORMS
]

BLOCK_FILES = [f"tables/{name}.{form}" for name in ("ratios", "blocks") for form in FORMS]
# The columns of a frame do not depend on the runs.
ALONE = alone(made_index(made_wanted(made_run())))


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
    if found.suffix != ".csv":
        assert found.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")
    else:
        frames = [read_rows(path, columns_of(path)) for path in (found, golden)]
        pd.testing.assert_frame_equal(frames[0], frames[1], rtol=1e-9, atol=1e-9)


def columns_of(path: Path) -> Columns:
    """What is declared for a file of `normalised/` or `tables/`."""
    if path.parent.name == "normalised":
        return ALONE.columns(FRAMES[path.stem])
    return TableFile.read(path.with_suffix(".json")).columns


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
    frame = read_table(folder / "tables", name).rows
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame


def test_times_are_those_the_runs_were_made_with(without_gpu: Path) -> None:
    rows = table(without_gpu, "summary", dataset="digits", engine="keras").set_index("measure")
    assert rows.loc["training_s", ["median", "min", "max"]].tolist() == pytest.approx(
        [3.06, 3.0, 3.12]
    )
    assert rows.loc["first_batch_s", "min"] == pytest.approx(0.75)
    assert rows.loc["steady_s", "min"] == pytest.approx(2.25)
    # 2 s load, 3 s training, 0.3 s evaluation, 0.2 s exit; the 1 s it lingered is left out.
    assert rows.loc["whole_process_s", "min"] == pytest.approx(5.5)


def test_ratio_is_two_thirds_and_three_pairs_have_no_interval(with_gpu: Path) -> None:
    rows = table(with_gpu, "ratios", measure="training_s")
    assert rows[["baseline", "engine"]].drop_duplicates().values.tolist() == [["keras", "jax"]]
    assert rows["ratio"].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert set(rows["n_pairs"]) == {3} and rows[["low_95", "high_95"]].isna().all(axis=None)
    assert (rows["reason"] != "").all()


def test_an_interval_of_pairs_holds_what_the_runs_were_made_with(in_blocks: Path) -> None:
    rows = table(in_blocks, "ratios", measure="training_s").set_index("dataset")
    assert rows["n_pairs"].to_dict() == {"digits": 5, "shapes": 5}
    assert ((rows["low_95"] < 2 / 3) & (rows["high_95"] > 2 / 3)).all()
    assert rows["reason"].to_dict() == {
        "digits": "repetition 3: jax is invalid (sampler)",
        "shapes": "repetition 6: no finished run of keras",
    }


def test_the_spread_of_times_stands_beside_their_means(in_blocks: Path) -> None:
    rows = table(in_blocks, "summary", dataset="digits", engine="jax").set_index("measure")
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
    counts = table(without_gpu, "summary", measure="training_s")
    assert counts[["n", "n_wanted"]].values.tolist() == [[3, 3], [2, 3], [2, 3], [3, 3]]
    assert "**2 did not finish**" in (without_gpu / "tables" / "summary.md").read_text(
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
DIGITS = (("digits", "Digits", "mlp"),)


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


def trained_use(
    values: np.ndarray, name: str, cores: int | None = None, peak_bytes: int | None = None
) -> dict[str, Any]:
    """The use of a resource by a training of 0.75 s with these values."""
    events = SimpleNamespace(train_start_ns=0, train_end_ns=750_000_000)
    process = SimpleNamespace(peak_process_rss_bytes=peak_bytes)
    line = Timeline(step=np.arange(-3, 11), columns={name: values})
    run = SimpleNamespace(events=events, process=process)
    seen: Any = SimpleNamespace(run=run, line=line, grid_s=0.1, cores=cores)
    (use,) = uses_of(seen)
    return use


def test_the_peak_of_memory_is_the_larger_of_sample_and_kernels_mark() -> None:
    values = np.full(T_S.shape, 100.0)
    assert trained_use(values, "rss_bytes", peak_bytes=130)["peak"] == 130.0
    assert trained_use(values, "rss_bytes", peak_bytes=70)["peak"] == 100.0
    assert trained_use(values, "rss_bytes")["peak"] == 100.0
    assert trained_use(values, "rss_bytes", peak_bytes=130)["p95"] == 100.0
    assert trained_use(values, "machine_used_bytes", peak_bytes=130)["peak"] == 100.0


def tables_with_marks(to: Path, *marks: int | None) -> dict[str, pd.DataFrame]:
    """The tables of made runs, of whose memory the kernel kept these marks."""
    index = write_results(to, MadeResults(datasets=DIGITS))
    for number, (mark, run) in enumerate(zip(marks, read_index(index).first.runs, strict=True)):
        folder = to / str(run.path)
        info = json.loads((folder / "samples.json").read_text())
        info["summary"]["peak_process_rss_bytes"] = mark
        (folder / "samples.json").write_text(json.dumps(info))
        change_run(index, number)
    return tables_of(read_index(index))


def test_the_kernels_mark_reaches_the_tables(tmp_path: Path) -> None:
    """Three repetitions of Keras, and of JAX between them."""
    marks = [mib * 2**20 for mib in (900, 900, 800, 800, 1, 1)]
    tables = tables_with_marks(tmp_path, *marks)
    rows = tables["resources"].set_index(["engine", "resource"])
    keras = rows.loc[("keras", "rss_bytes")]
    peaks = [450.0 * 2**20, 800.0 * 2**20, 900.0 * 2**20]
    assert (
        keras[["peak_min", "peak_median", "peak_max"]].tolist() == peaks and keras["reason"] == ""
    )
    runs = tables["runs"][tables["runs"]["engine"] == "keras"]
    assert runs["peak_rss_bytes"].tolist() == peaks[::-1]
    summary = tables["summary"].set_index(["engine", "measure"])
    assert summary.loc[("keras", "peak_rss_bytes"), "median"] == peaks[1]


def test_a_peak_without_the_kernels_mark_says_so(tmp_path: Path) -> None:
    rows = tables_with_marks(tmp_path, None, *[2**30] * 5)["resources"]
    few = "peak: largest sample only, as the kernel's mark is not known (1 of 3 runs)"
    assert rows[rows["resource"] == "rss_bytes"]["reason"].tolist() == [few, ""]


def test_cpu_seconds_are_the_counters_whatever_the_cores() -> None:
    half = np.full(T_S.shape, 50.0)
    assert trained_use(half, "cpu_pct", cores=4)["integral"] == pytest.approx(2 * 0.75)
    assert math.isnan(trained_use(half, "cpu_pct")["integral"])


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
    made = MadeResults(datasets=DIGITS, repetitions=1, lost=lost)
    folder = analyse(write_results(tmp_path, made))
    assert not list((folder / "normalised" / TIMELINES).iterdir())
    assert (table(folder, "resources")["reason"] == "no finished run").all()
    assert (table(folder, "ratios")["reason"] == "no finished run").all()
    assert table(folder, "summary")[["n", "n_wanted"]].drop_duplicates().values.tolist() == [[0, 1]]


def test_one_engine_alone_has_no_ratio_but_every_other_table(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DIGITS, repetitions=1))
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    condition["engines"] = condition["engines"][:1]
    condition["runs"] = [run for run in condition["runs"] if run["engine"] == "keras"]
    index.write_text(json.dumps(content))
    folder = analyse(index)
    assert len(table(folder, "ratios")) == 0
    assert table(folder, "summary")["measure"].tolist() == [
        *MEASURES,
        "idle_s",
        "test_accuracy",
        "final_train_loss",
        "cpu_s",
        "peak_rss_bytes",
    ]


def test_scripts_end_with_one_line_for_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DIGITS, repetitions=1))
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


def test_every_reason_why_a_run_did_not_finish_is_explained() -> None:
    text = (SCRIPTS.parent / "docs/tables-and-figures.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    explained = {name for cell in first_cells for name in re.findall(r"`([a-z-]+)`", cell)}
    assert {*get_args(Reason), "gpu-out-of-memory"} <= explained
