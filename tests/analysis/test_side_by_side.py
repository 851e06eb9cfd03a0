"""Two experiments side by side: golden tables, the interval of a ratio of ratios, and what must be told.

The golden files are made anew as those of test_tables.py.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import MadeResults, write_manifest, write_results
from analysis.test_tables import GOLDEN, compare
from evenground.analysis.captions import COMPARED
from evenground.analysis.differences import differences, other_work, shared_runs
from evenground.analysis.files import read_csv, write_csv
from evenground.analysis.side_by_side import Side, measures, ratios, read_side
from evenground.analysis.statistics import pair_ratio, ratio_interval
from evenground.errors import EvengroundError
from evenground.records.index import read_index

FIGURE = {"ratios.svg", "ratios.png"}
COMPARE = Path(__file__).parents[2] / "scripts/compare.py"


@pytest.fixture(scope="module")
def sides(index_path: Path, gpu_index_path: Path) -> tuple[Side, Side]:
    """A machine without a GPU, where two runs were lost, and one with."""
    return read_side("a", read_index(index_path)), read_side("b", read_index(gpu_index_path))


def test_golden_measures(sides: tuple[Side, Side], tmp_path: Path) -> None:
    write_csv(measures(*sides), tmp_path / "measures.csv")
    compare(tmp_path / "measures.csv", GOLDEN / "side_by_side/measures.csv")


def test_golden_ratios(sides: tuple[Side, Side], tmp_path: Path) -> None:
    write_csv(ratios(*sides), tmp_path / "ratios.csv")
    compare(tmp_path / "ratios.csv", GOLDEN / "side_by_side/ratios.csv")


def test_what_only_one_side_measured_is_there_with_a_reason(sides: tuple[Side, Side]) -> None:
    found = measures(*sides)
    vram = found[(found["measure"] == "peak_vram_used_bytes") & (found["dataset"] == "digits")]
    assert (
        vram["n_a"].tolist() == [0, 0]
        and (vram["n_b"] == 3).all()
        and vram["median_a"].isna().all()
    )
    assert set(vram["reason"]) == {"no value"}


def test_a_side_against_itself_is_one(blocks_path: Path) -> None:
    side = read_side("a", read_index(blocks_path))
    found = ratios(side, side)
    assert len(found) and found["b_to_a"].tolist() == pytest.approx([1.0] * len(found))
    times = found[found["measure"] == "training_s"]
    assert (times["low_95"] < 1).all() and (times["high_95"] > 1).all()


def test_ratios_of_a_side_are_of_its_pairs_and_say_what_was_dropped(blocks_path: Path) -> None:
    side = read_side("a", read_index(blocks_path))
    found = ratios(side, side).query("measure == 'training_s'").set_index("dataset")
    dropped = "repetition 3: jax is invalid (sampler)"
    assert found.loc["digits", "reason"] == f"a: {dropped}; a: {dropped}"
    others = {
        number: (1 + 0.01 * k) for number, k in zip((1, 2, 4, 5, 6), (1, 1, 4, 11, 10), strict=True)
    }
    base = {
        number: (1 + 0.01 * k) for number, k in zip((1, 2, 4, 5, 6), (0, 3, 7, 5, 12), strict=True)
    }
    paired = pair_ratio(base, others)
    expected = [2 / 3 * value for value in (paired.ratio, paired.low, paired.high)]
    assert found.loc["digits", ["ratio_a", "low_a", "high_a"]].tolist() == pytest.approx(
        expected, rel=1e-6
    )


def test_runs_of_two_sources_are_not_paired(blocks_path: Path) -> None:
    """The engine's five valid runs of a side against the same: Welch's interval of five and five runs."""
    side = read_side("a", read_index(blocks_path))
    found = (
        measures(side, side)
        .query("measure == 'training_s' and dataset == 'digits'")
        .set_index("engine")
    )
    valid = [*side.arm("digits", "jax", "training_s").valid]
    interval = ratio_interval(valid, valid)
    assert len(valid) == 5 and found.loc["jax", "n_a"] == 6
    assert found.loc["jax", ["low_95", "high_95"]].tolist() == pytest.approx(
        [interval.low, interval.high]
    )


def changed(index: Path, **parameters: Any) -> Path:
    """The same index with other parameters."""
    content = json.loads(index.read_text())
    content["parameters"] |= parameters
    index.write_text(json.dumps(content))
    return index


def test_differences_name_what_is_not_the_same(tmp_path: Path) -> None:
    first = write_results(tmp_path / "a", MadeResults())
    second = changed(write_results(tmp_path / "b", MadeResults(gpu=True)), epochs=5)
    content = json.loads(second.read_text())
    for run in content["runs"]:
        folder = tmp_path / "b" / run["path"]
        record = {
            "schema": 2,
            "kernel": "6.1",
            "libraries": {"numpy": "2.4.6"},
            "git": {"commit": "c" * 40, "dirty": True},
        }
        (folder / "environment.json").write_text(json.dumps(record))
        run["manifest_sha256"] = write_manifest(
            folder, json.loads((folder / "manifest.json").read_text())["run"]
        )
    second.write_text(json.dumps(content))
    a, b = read_index(first), read_index(second)
    found = differences(a, b)
    rows = {row["what"]: (row["in_a"], row["in_b"]) for row in found.to_dict("records")}
    assert rows["epochs"] == ("3", "5") and rows["numpy of jax"] == ("–", "2.4.6")
    assert rows["commit"] == ("unknown", "cccccccccccc with changes") and "machine" in rows
    assert "batch_size" not in rows and not any(what.startswith("key of") for what in rows)
    assert other_work(found) == ["epochs 3 against 5"]
    assert shared_runs(a, b) == 0 and shared_runs(a, a) == 12
    assert differences(a, a).empty


def call(*arguments: str) -> None:
    before, sys.argv = sys.argv, ["compare.py", *arguments]
    try:
        runpy.run_path(str(COMPARE), run_name="__main__")
    finally:
        sys.argv = before


def test_the_command_warns_and_writes(
    tmp_path: Path, index_path: Path, gpu_index_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(str(index_path.parent), str(gpu_index_path.parent), "--output-dir", str(tmp_path / "out"))
    said = capsys.readouterr().out
    assert "Made Card (class `made-cpu-2c-8g-made-card-abc123`), native, 12 of 12 runs" in said
    assert "| digits | keras | jax | 0.6667 |" in said and "b_to_a" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{name}.{form}" for name in COMPARED for form in ("csv", "md")} | FIGURE
    # The figure shows training times; the table has every measure.
    assert len(set(read_csv(tmp_path / "out/ratios.csv")["measure"])) > 5
    call(str(index_path.parent), str(index_path.parent), "--output-dir", str(tmp_path / "same"))
    said = capsys.readouterr().out
    assert "**10 runs are in both `results (1)` and `results (2)`" in said
    assert "Of one class of machine: `results (1)`, `results (2)`." in said


@pytest.mark.parametrize("source", ["nothing", "params.yaml"])
def test_what_is_no_experiment_is_refused(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("epochs: 3\n")
    with pytest.raises(SystemExit):
        call(str(tmp_path / source), str(tmp_path / source), "--output-dir", str(tmp_path / "out"))
    assert capsys.readouterr().err.startswith("error: ") and not (tmp_path / "out").exists()


def test_a_broken_environment_is_named(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(repetitions=1))
    content = json.loads(index.read_text())
    folder = tmp_path / content["runs"][0]["path"]
    (folder / "environment.json").write_text('{"schema": 2, "libraries": 3}')
    run = json.loads((folder / "manifest.json").read_text())["run"]
    content["runs"][0]["manifest_sha256"] = write_manifest(folder, run)
    index.write_text(json.dumps(content))
    with pytest.raises(EvengroundError, match="libraries"):
        differences(read_index(index), read_index(index))
