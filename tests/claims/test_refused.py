"""Runs and files that no verdict can be made of are named in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.remade import change_report, measured_of
from analysis.synthetic import GPU_MACHINE, MadeResults, write_manifest, write_results
from claims.made import (
    DATASETS,
    ROOT,
    experiment,
    judge_again,
    judge_files,
    verdicts,
)
from evenground.analysis.experiment import alone
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.records.index import read_index

# Where the rows of the made experiment are from.
LED = {"machine": GPU_MACHINE, "deployment": "native", "dataset": "mnist"}
Judge = Callable[[Path], object]


def spoilt(index: Path, file: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file of the first run, and let manifest and index say that it belongs there."""
    content = json.loads(index.read_text())
    (condition,) = content["conditions"]
    run = condition["runs"][0]
    folder = index.parent.parent / run["path"]
    (folder / file).write_text("\n".join(change((folder / file).read_text().splitlines())))
    recorded = json.loads((folder / "manifest.json").read_text())["run"]
    run["manifest_sha256"] = write_manifest(folder, recorded)
    index.write_text(json.dumps(content))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return experiment(tmp_path, datasets=DATASETS[:1], repetitions=2)


def refused(index: Path, capsys: pytest.CaptureFixture[str], judge: Judge = judge_again) -> str:
    """What the script says when it ends with one line and exit code 1."""
    with pytest.raises(SystemExit) as ended:
        judge(index)
    said = capsys.readouterr().err
    assert ended.value.code == 1 and said.startswith("error: ") and said.count("\n") == 1
    return said


def test_a_run_without_events_is_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next(small.parent.rglob("events.jsonl"))
    run.unlink()
    assert "the file is missing" in refused(small, capsys, judge_files)


def test_events_out_of_order_are_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt(small, "events.jsonl", lambda lines: [*lines[:3], lines[6], *lines[3:]])
    assert "'epoch_end' of epoch 1 where 'train_start' belongs" in refused(
        small, capsys, judge_files
    )


def test_samples_whose_clock_stands_are_named(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt(small, "samples.csv", lambda lines: [*lines[:4], lines[3], *lines[4:]])
    assert "the clock does not move forward" in refused(small, capsys, judge_files)


@pytest.mark.parametrize(
    ("stand_in", "message"),
    [
        (
            {"elixr": "jax"},
            "unknown role or dataset 'elixr' (stand_ins): did you mean 'elixir'?",
        ),
        (
            {"elixir": "jacks"},
            "'jacks' cannot stand in for 'elixir' (stand_ins): the experiment has: keras, axon",
        ),
        (
            {"cifar10": "keras"},
            "'keras' cannot stand in for 'cifar10' (stand_ins): the experiment has: mnist",
        ),
    ],
)
def test_unknown_stand_ins_are_refused(
    small: Path, capsys: pytest.CaptureFixture[str], stand_in: dict[str, str], message: str
) -> None:
    judge_files(small)
    change_report(small, stand_ins=stand_in)
    assert message in refused(small, capsys)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with the frames and tables of its runs beside it. Read it, do not change it."""
    index = experiment(tmp_path_factory.mktemp("drawn"), datasets=DATASETS[:1], repetitions=2)
    judge_files(index)
    return index


def spoil(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(path, dtype="str", keep_default_na=False)).to_csv(path, index=False)


SPOILT = {
    "a run fewer": ("normalised/circumstances.csv", lambda t: t.iloc[1:]),
    "measures of a run fewer": ("normalised/measures.csv", lambda t: t[t["repetition"] != "1"]),
    "words for a number": ("normalised/measures.csv", lambda t: t.assign(value="many")),
    "half a repetition": ("normalised/measures.csv", lambda t: t.assign(repetition="1.5")),
    "words for a time": ("normalised/circumstances.csv", lambda t: t.assign(launched_s="noon")),
    "words for a truth": ("normalised/circumstances.csv", lambda t: t.assign(processor_only="yes")),
    "no column": ("normalised/measures.csv", lambda t: t.drop(columns="resolution")),
    "words for a repetition": ("tables/quality.csv", lambda t: t.assign(repetition="first")),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_damaged_table_is_one_line(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    shutil.copytree(drawn.parents[1], tmp_path / "copy")
    results = tmp_path / "copy" / drawn.parent.name
    file, change = SPOILT[name]
    if file.startswith("tables"):
        row = {**LED, "network": "mlp", "engine": "keras", "repetition": 1, "state": "warned"}
        row |= {"finding": "load", "value": 2, "limit": 1, "reason": "x"}
        pd.DataFrame([row]).to_csv(results / file, index=False)
    spoil(results / file, change)
    said = refused(results / "index.json", capsys)
    assert Path(file).name in said


def test_the_tables_of_the_earlier_steps_give_the_same_verdicts(
    drawn: Path, tmp_path: Path
) -> None:
    index = read_index(drawn)
    write_verdicts(
        index, measured_of(alone(index)), read_claims(ROOT), tmp_path, tmp_path / "verdicts.json"
    )
    for name in ("verdicts.csv", "agreement.csv"):
        assert (tmp_path / name).read_bytes() == (drawn.parent / "tables" / name).read_bytes()


def test_runs_without_an_environment_are_judged_by_what_they_have(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DATASETS[:1], gpu=True, repetitions=4))
    found = verdicts(index, {"elixir": "jax"})
    assert found["T1", "corrected"].verdict == "contradicted"
    assert found["R1-mnist", "corrected"].reason.startswith("the size of the machine's memory")
