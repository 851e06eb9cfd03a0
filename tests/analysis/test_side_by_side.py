"""Two experiments side by side: golden tables, the interval of a ratio of ratios, and what must be told.

The golden files are made anew as those of test_tables.py.
"""

from __future__ import annotations

import json
import math
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.synthetic import MadeResults, write_manifest, write_results
from analysis.test_tables import GOLDEN, compare
from evenground.analysis.captions import COMPARED
from evenground.analysis.differences import differences, other_work, shared_runs
from evenground.analysis.files import read_csv, write_csv
from evenground.analysis.index import read_index
from evenground.analysis.side_by_side import Side, measures, ratios, read_side
from evenground.analysis.statistics import ratio_interval, ratio_of_ratios
from evenground.errors import EvengroundError

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
    assert vram["n_a"].tolist() == [0, 0] and (vram["n_b"] == 3).all() and vram["median_a"].isna().all()
    assert set(vram["reason"]) == {"no finished run"}


def test_a_side_against_itself_is_one(sides: tuple[Side, Side]) -> None:
    b = sides[1]
    found = ratios(b, b)
    assert len(found) and found["b_to_a"].tolist() == pytest.approx([1.0] * len(found))
    assert (found["low_95"] <= 1).all() and (found["high_95"] >= 1).all()


def test_ratio_of_ratios_is_the_quotient_and_turns_round() -> None:
    a, b = ([1.0, 1.1, 1.2], [2.0, 2.2]), ([3.0, 3.3], [5.0, 5.1, 5.6])
    there, back = ratio_of_ratios(a, b), ratio_of_ratios(b, a)
    assert there.ratio == pytest.approx(ratio_interval(*b).ratio / ratio_interval(*a).ratio)
    assert (1 / there.ratio, 1 / there.high, 1 / there.low) == pytest.approx(
        (back.ratio, back.low, back.high)
    )
    assert (there.n_baseline, there.n_other, there.reason) == (2, 2, "")


def test_ratio_of_ratios_with_known_variances() -> None:
    """By hand: four groups of two, logarithms +-s around their mean, so each variance is 2 s^2."""
    s = (0.1, 0.2, 0.3, 0.4)
    groups = [[math.exp(k), math.exp(-k)] for k in s]
    found = ratio_of_ratios((groups[0], groups[1]), (groups[2], groups[3]))
    parts = [2 * k**2 / 2 for k in s]
    df = sum(parts) ** 2 / sum(v**2 for v in parts)
    half = stats.t.ppf(0.975, df) * math.sqrt(sum(parts))
    assert (found.ratio, found.df) == pytest.approx((1.0, df))
    assert (found.low, found.high) == pytest.approx((math.exp(-half), math.exp(half)))


def test_ratio_of_ratios_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(1000):
        groups = [
            list(np.exp(generator.normal(m, s, 5))) for m, s in ((0, 0.1), (1, 0.3), (2, 0.1), (3.5, 0.2))
        ]
        found = ratio_of_ratios((groups[0], groups[1]), (groups[2], groups[3]))
        held += found.low <= math.exp(0.5) <= found.high
    assert 0.93 <= held / 1000 <= 0.975


@pytest.mark.parametrize(
    ("b", "reason"),
    [(([], [1.0, 2.0]), "no finished run"), (([1.0], [1.0, 2.0]), "fewer than two runs")],
)
def test_ratio_of_ratios_without_values_has_a_reason(b: Any, reason: str) -> None:
    found = ratio_of_ratios(([1.0, 1.1], [2.0, 2.1]), b)
    assert found.reason == reason and math.isnan(found.low)


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
    assert "| digits | keras | jax | 0.6666 |" in said and "b_to_a" in said
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
    (folder / "environment.json").write_text('{"libraries": 3}')
    run = json.loads((folder / "manifest.json").read_text())["run"]
    content["runs"][0]["manifest_sha256"] = write_manifest(folder, run)
    index.write_text(json.dumps(content))
    with pytest.raises(EvengroundError, match="libraries"):
        differences(read_index(index), read_index(index))
