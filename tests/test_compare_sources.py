"""`./evenground compare` from its arguments on: what it takes, prints, writes and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import pytest

import compare
from analysis.several import A, B, condition
from analysis.synthetic import write_results
from evenground.analysis.table import read_table
from evenground.bundle.make import make_bundle
from evenground.errors import cli
from made_bundle import made_copy
from working_copy import ROOT

DIGITS = (("digits", "Digits", "mlp"),)
FORMS = ("csv", "json", "md")
TABLES = ("answer", "summary", "ratios", "across", "blocks", "resources", "energy", "memory_after")
TABLES += ("idle_windows", "quality", "runs", "lines_of_code", "calibration")
TABLES += ("verdicts", "agreement", "differences")


def call(*arguments: object) -> int:
    """Call the script; its exit code."""
    with mock.patch.object(sys, "argv", ["compare", *map(str, arguments)]):
        try:
            cli(compare.main)
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


def results(to: Path, machine: str, **more: object) -> Path:
    """The folder of made results of one machine."""
    made = condition(machine, 16, **{"datasets": DIGITS, "values": {}, "lost": {}, **more})
    return write_results(to / machine, made).parent


def test_two_machines_are_compared_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = results(tmp_path, A), results(tmp_path, B)
    to = tmp_path / "out"
    assert call(first, second, "--output-dir", to) == 0
    said = capsys.readouterr().out
    names = ["results (1)", "results (2)"]
    assert said.startswith(f"Machines: Made CPU, 2 cores, 8 GiB, no GPU (class `{A}`); Made CPU")
    lines = said.partition("Ratios of training times:")[2].strip().splitlines()
    heading, *ratios = (line.split() for line in lines[:3])
    assert heading == ["source", "dataset", "baseline", "engine", "ratio", "low_95", "high_95"]
    assert [row[:5] for row in ratios] == [
        ["results", number, "digits", "keras", "jax"] for number in ("(1)", "(2)")
    ]
    assert "verdicts: no two can be compared" in said
    assert f"recorded differences: {to}/differences.md" in said
    assert "Not the same work" not in said and "runs are in both" not in said
    written = {path.name for path in to.iterdir()}
    expected = {f"{name}.{form}" for name in TABLES for form in FORMS}
    assert written == expected | {"side_by_side.svg", "side_by_side.png"}
    for name in TABLES:
        table = read_table(to, name)
        assert name == "lines_of_code" or table.columns[0].name == "source", name
    across = read_table(to, "across").rows
    assert set(across["source"]) == {names[1]} and set(across["over"]) == {names[0]}
    drawn = (to / "side_by_side.svg").read_text()
    assert "<!-- jax / keras, digits -->" in drawn


def test_the_same_source_twice_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(tmp_path, A)
    assert call(folder, folder, "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "**8 runs are in both `results (1)` and `results (2)`: no comparison" in said
    assert "Of one class of machine: `results (1)`, `results (2)`." in said
    across = read_table(tmp_path / "out", "across").rows
    assert across["ratio"].tolist() == pytest.approx([1.0] * len(across))


def test_a_bundle_and_a_folder_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They have no engine in common: each stands there by itself."""
    index = made_copy(tmp_path / "copy")
    bundle = tmp_path / "made.zip"
    make_bundle(index.parent, bundle, ROOT)
    assert call(bundle, results(tmp_path, A), "--output-dir", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "**Not the same work, `made` and `results`" in said
    summary = read_table(tmp_path / "out", "summary").rows
    engines = summary.groupby("source")["engine"].unique().map(set).to_dict()
    assert engines == {"made": {"fake_a", "fake_b"}, "results": {"keras", "jax"}}


@pytest.mark.parametrize("source", ["nothing", "params.yaml"])
def test_what_is_no_experiment_is_refused(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text("epochs: 3\n")
    given = tmp_path / source
    assert call(given, given, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_one_source_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path) == 2
    assert "required: b" in capsys.readouterr().err


def test_a_source_of_an_older_schema_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = results(tmp_path, A), results(tmp_path, B)
    content = json.loads((second / "index.json").read_text())
    (second / "index.json").write_text(json.dumps(content | {"schema": 3}))
    assert call(first, second, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "schema 3, this version of evenground reads 4" in said
    assert str(second / "index.json") in said and not (tmp_path / "out").exists()


def test_an_engine_that_one_source_lacks_is_missing_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = results(tmp_path, A)
    second = results(tmp_path, B, engines=("keras",))
    assert call(first, second, "--output-dir", tmp_path / "out") == 0
    across = read_table(tmp_path / "out", "across").rows
    jax = across[across["engine"] == "jax"]
    assert len(jax) and set(jax["reason"]) == {"no finished run"} and jax["ratio"].isna().all()
    assert "A dash is missing, not zero." in (tmp_path / "out/across.md").read_text()


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["x/runs.zip", "results/native"], ["runs", "native"]),
        (["one/results/native", "two/results/native"], ["native (1)", "native (2)"]),
        (["x/runs.zip", "x/runs", "y.zip"], ["runs (1)", "runs (2)", "y (3)"]),
        (["runs.zip", "./runs.zip", "b"], ["runs (1)", "runs (2)", "b (3)"]),
        (["a\nb.zip", "b"], ["a b", "b"]),
    ],
)
def test_names_of_sources_are_short_and_all_different(sources: list[str], names: list[str]) -> None:
    assert compare.source_names(sources) == names
