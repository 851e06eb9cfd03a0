"""Engines by machines: known answers on three made machines, each side by itself, and what must be told.

The golden files are made anew as those of test_tables.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import compare as script
from analysis.synthetic import GPU_MACHINE, MACHINE, Made, MadeResults, made_run, write_results
from analysis.test_tables import GOLDEN, compare
from evenground.analysis.captions import COMPARED
from evenground.analysis.differences import differences, warnings
from evenground.analysis.files import markdown_table, read_csv, write_csv
from evenground.analysis.machines import engines_by_machine, ratios_by_machine
from evenground.analysis.side_by_side import (
    Side,
    against_first,
    measures,
    ratios,
    read_side,
    side_names,
)
from evenground.analysis.statistics import TOO_FEW
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.report.side_by_side import ratios_drawing
from evenground.report.style import fixed_style
from made_bundle import call

SLOW = "slow-cpu-4c-8g-nogpu-def456"


def times_slower(factor: float) -> Callable[[str, str, int, bool], Made]:
    """Runs that take so many times as long as those of `made_run`."""

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        made = made_run(dataset, engine, repetition, gpu)
        longer = {"first_batch_s": made.first_batch_s * factor, "steady_s": made.steady_s * factor}
        return replace(made, **longer)

    return make


@pytest.fixture(scope="module")
def slow_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten times slower than the others, and with only one engine on one of the datasets' repetitions."""
    lost = {("shapes", "jax", k): ("missing", None) for k in (1, 2, 3)}
    made = MadeResults(machine=SLOW, make=times_slower(10.0), lost=lost)
    return write_results(tmp_path_factory.mktemp("slow"), made)


@pytest.fixture(scope="module")
def sides(index_path: Path, gpu_index_path: Path, slow_path: Path) -> list[Side]:
    paths = {"small": index_path, "gpu": gpu_index_path, "slow": slow_path}
    return [read_side(name, read_index(path)) for name, path in paths.items()]


def valued(side: Side, engine: str, values: list[float], measure: str = "training_s") -> Side:
    """The side with these values alone, of repetitions from the first on."""
    others = {key: known for key, known in side.values.items() if key[1] != engine}
    return replace(
        side, values={**others, ("digits", engine, measure): dict(enumerate(values, start=1))}
    )


@pytest.mark.parametrize("table", [engines_by_machine, ratios_by_machine])
def test_golden(
    sides: list[Side], table: Callable[[list[Side]], pd.DataFrame], tmp_path: Path
) -> None:
    name = f"{table.__name__}.csv"
    write_csv(table(sides), tmp_path / name)
    compare(tmp_path / name, GOLDEN / "side_by_side" / name)


def test_the_interval_of_a_mean_by_hand(sides: list[Side]) -> None:
    """Of 9, 10 and 11 s the deviation is 1 s; Student's t of two degrees of freedom is 4.30265."""
    known = [
        valued(side, "jax", values)
        for side, values in zip(sides, ([9, 10, 11], [7.0], []), strict=True)
    ]
    found = engines_by_machine(known)
    rows = found[(found["engine"] == "jax") & (found["dataset"] == "digits")].set_index("side")
    assert set(rows["measure"]) == {"training_s"} and list(rows.index) == ["small", "gpu", "slow"]
    half = 4.302652729696142 / math.sqrt(3)
    assert rows.loc["small", ["n", "median", "mean"]].tolist() == [3, 10, 10]
    ends = rows.loc["small", ["mean_low_95", "mean_high_95"]].tolist()
    assert ends == pytest.approx([10 - half, 10 + half])
    assert rows["reason"].tolist() == ["", TOO_FEW, "no value"]
    assert rows.loc["gpu", "mean"] == 7.0 and math.isnan(rows.loc["gpu", "mean_low_95"])
    assert rows.loc["slow", "n"] == 0 and math.isnan(rows.loc["slow", "mean"])


def test_no_number_mixes_two_machines(sides: list[Side]) -> None:
    """The slow machine's times lie ten times above those of the others, and no mean between."""
    found = engines_by_machine(sides)
    times = found[(found["measure"] == "training_s") & (found["n"] > 0)]
    slow = times["machine"] == SLOW
    for column in ("median", "mean", "mean_low_95", "mean_high_95"):
        assert times.loc[slow, column].min() > 15 > 7 > times.loc[~slow, column].max()
    assert set(times["machine"]) == {SLOW, MACHINE, GPU_MACHINE}
    # What a side says does not depend on who stands beside it.
    alone = pd.concat([engines_by_machine([side]) for side in sides])
    numbers = ["dataset", "engine", "measure", "side", "n", "mean"]
    both = found.loc[found["n"] > 0, numbers].merge(alone[numbers], how="left")
    assert len(both) == int((found["n"] > 0).sum()) == int((alone["n"] > 0).sum())


def test_a_pair_is_the_same_whichever_way_round_a_side_has_it(
    sides: list[Side], tmp_path: Path
) -> None:
    turned = write_results(tmp_path, MadeResults(engines=("jax", "keras")))
    found = ratios_by_machine([sides[1], read_side("turned", read_index(turned))])
    rows = found[found["measure"] == "training_s"]
    assert set(zip(rows["baseline"], rows["engine"], strict=True)) == {("keras", "jax")}
    assert rows["ratio"].tolist() == pytest.approx([2 / 3] * 4)


def test_a_side_without_a_pair_has_a_reason(sides: list[Side]) -> None:
    found = ratios_by_machine(sides)
    mine = found[(found["side"] == "slow") & (found["dataset"] == "shapes")]
    assert len(mine) and mine["ratio"].isna().all() and set(mine["reason"]) == {"no finished run"}
    assert (mine[["n_pairs", "n_baseline", "n_engine"]] == 0).all(axis=None)


def test_unlike_work_has_no_ratio(sides: list[Side], index_path: Path, tmp_path: Path) -> None:
    limited = json.loads(index_path.read_text())
    limited["engines"][1]["train_limit"] = 100
    path = index_path.with_name("limited.json")
    path.write_text(json.dumps(limited))
    side = replace(sides[0], name="limited", index=read_index(path))
    path.unlink()
    found = ratios_by_machine([sides[1], side]).groupby("side")
    assert found.get_group("limited")["ratio"].isna().all()
    assert set(found.get_group("limited")["reason"]) == {"trained on 100 examples only"}
    assert found.get_group("gpu").query("measure == 'training_s'")["ratio"].notna().all()


def test_bytes_are_mebibytes_in_every_column_for_reading(sides: list[Side]) -> None:
    peaks = [440.0 * 2**20, 450.0 * 2**20, 460.0 * 2**20]
    found = engines_by_machine([valued(sides[0], "keras", peaks, "peak_rss_bytes")])
    row = markdown_table(found[found["measure"] == "peak_rss_bytes"]).splitlines()[2]
    assert "| digits | keras | peak_rss_bytes | MiB | small |" in row
    assert "| 450.0 | 450.0 | 425.2 | 474.8 | 449.9 | 0.02222 |" in row


def test_no_common_engine_gives_tables_without_rows(sides: list[Side], tmp_path: Path) -> None:
    lone = write_results(tmp_path, MadeResults(engines=("torch",), repetitions=1))
    lines = ratios_by_machine([read_side("lone", read_index(lone))])
    assert lines.empty and "ratio" in lines.columns
    with fixed_style():
        assert ratios_drawing(lines, ["lone"]).data.empty


def test_further_sides_are_each_set_beside_the_first(sides: list[Side]) -> None:
    for table in (measures, ratios):
        found = against_first(sides, table)
        parts = [table(sides[0], other).assign(side=other.name) for other in sides[1:]]
        assert found.columns[0] == "side" and list(found["side"].unique()) == ["gpu", "slow"]
        pd.testing.assert_frame_equal(
            found,
            pd.DataFrame([row for part in parts for row in part.to_dict("records")])[found.columns],
        )
        pd.testing.assert_frame_equal(against_first(sides[:2], table), table(*sides[:2]))


def test_warnings_name_the_sides(sides: list[Side], index_path: Path, tmp_path: Path) -> None:
    content = json.loads(index_path.read_text())
    content["parameters"]["epochs"] = 9
    other = index_path.with_name("other.json")
    other.write_text(json.dumps(content))
    indexes = {side.name: side.index for side in sides} | {"again": read_index(other)}
    other.unlink()
    first = indexes["small"]
    found = {name: differences(first, index) for name, index in indexes.items() if name != "small"}
    assert warnings(indexes, found) == [
        "**Not the same work, `small` and `again`: epochs 3 against 9.**",
        "**10 runs are in both `small` and `again`: no comparison of two measurements.**",
        "Of one class of machine: `small`, `again`.",
    ]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["x/runs.zip", "results/native"], ["runs", "native"]),
        (
            ["one/results/native", "two/results/native"],
            ["one/results/native", "two/results/native"],
        ),
        (["a/parts/P_lr-0.001", "a/parts/P_lr-0.01", "b.zip"], ["P_lr-0.001", "P_lr-0.01", "b"]),
        (["x/runs.zip", "x/runs", "y.zip"], ["runs.zip", "runs", "y"]),
        (["x/runs.zip", "y/runs.zip", "z/other.zip"], ["x/runs.zip", "y/runs.zip", "other"]),
        (["runs.zip", "./runs.zip", "b"], ["runs (1)", "runs (2)", "b (3)"]),
        (["a\nb.zip", "b"], ["a?b", "b"]),
    ],
)
def test_names_of_sides_are_short_and_all_different(sources: list[str], names: list[str]) -> None:
    assert side_names(sources) == names


def test_the_figure_shows_what_two_sides_have(sides: list[Side]) -> None:
    found = ratios_by_machine(sides)
    drawing = ratios_drawing(found, [side.name for side in sides])
    shown = [tuple(row) for row in drawing.data[["dataset", "side"]].to_numpy()]
    assert shown == [("digits", n) for n in ("small", "gpu", "slow")] + [
        ("shapes", n) for n in ("small", "gpu")
    ]
    assert set(drawing.data["measure"]) == {"training_s"} and drawing.data["ratio"].notna().all()
    lonely = found[(found["dataset"] == "digits") | (found["side"] == "gpu")]
    assert set(ratios_drawing(lonely, ["small", "gpu", "slow"]).data["dataset"]) == {"digits"}


def test_the_figure_says_how_many_pairs_it_leaves_out(
    sides: list[Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.report.side_by_side.MAX_INCHES", 1.0)
    drawing = ratios_drawing(ratios_by_machine(sides), [side.name for side in sides])
    assert (
        set(drawing.data["dataset"]) == {"digits"}
        and "1 more pairs are not shown" in drawing.caption
    )


def test_the_command_takes_more_than_two(
    index_path: Path,
    gpu_index_path: Path,
    slow_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [path.parent for path in (index_path, gpu_index_path, slow_path)]
    assert call(script.main, *given, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    names = side_names([str(path) for path in given])
    assert all(
        f"`{name}`, Made CPU" in said and f"| digits | keras | jax | {name} |" in said
        for name in names
    )
    assert "verdicts: no two can be compared" in said
    tables = {name: read_csv(tmp_path / f"out/{name}.csv") for name in COMPARED}
    assert set(tables["engines_by_machine"]["side"]) == set(names)
    assert {frozenset(tables[t]["side"]) for t in ("measures", "ratios")} == {frozenset(names[1:])}
    assert "`side` names b" in (tmp_path / "out/ratios.md").read_text(encoding="utf-8")


def test_one_source_is_not_enough(index_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(script.main, index_path.parent) == 2
    assert "required: b" in capsys.readouterr().err


def test_an_experiment_of_several_parts_is_refused_with_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "results/native/index.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 1, "parts": []}')
    with pytest.raises(EvengroundError, match=r"several parts.*name one of its parts"):
        read_index(path)
