"""Runs and files that no verdict can be made of are named in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.synthetic import MadeResults, write_manifest, write_results
from claims.made import DATASETS, ROOT, experiment, judge_files, verdicts


def spoilt(index: Path, file: str, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of a file of the first run, and let manifest and index say that it belongs there."""
    content = json.loads(index.read_text())
    run = content["runs"][0]
    folder = index.parent.parent / run["path"]
    (folder / file).write_text("\n".join(change((folder / file).read_text().splitlines())))
    recorded = json.loads((folder / "manifest.json").read_text())["run"]
    run["manifest_sha256"] = write_manifest(folder, recorded)
    index.write_text(json.dumps(content))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return experiment(tmp_path, datasets=DATASETS[:1], repetitions=2)


def refused(index: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What the script says when it ends with one line and exit code 1."""
    with pytest.raises(SystemExit) as ended:
        judge_files(index, *more)
    said = capsys.readouterr().err
    assert ended.value.code == 1 and said.startswith("error: ") and said.count("\n") == 1
    return said


def test_a_run_without_events_is_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next(small.parent.rglob("events.jsonl"))
    run.unlink()
    assert "the file is missing" in refused(small, capsys)


def test_events_out_of_order_are_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt(small, "events.jsonl", lambda lines: [*lines[:3], lines[6], *lines[3:]])
    assert "'epoch_end' of epoch 1 where 'train_start' belongs" in refused(small, capsys)


def test_samples_whose_clock_stands_are_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt(small, "samples.csv", lambda lines: [*lines[:4], lines[3], *lines[4:]])
    assert "the clock does not move forward" in refused(small, capsys)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("elixr=jax", "unknown role or dataset 'elixr' (stand_ins): did you mean 'elixir'?"),
        (
            "elixir=jacks",
            "'jacks' cannot stand in for 'elixir' (stand_ins): the experiment has: keras, axon",
        ),
        ("cifar10=keras", "'keras' cannot stand in for 'cifar10' (stand_ins): the experiment has: mnist"),
        ("elixir", "not ROLE=NAME: 'elixir' (--stand-in)"),
    ],
)
def test_unknown_stand_ins_are_refused(
    small: Path, capsys: pytest.CaptureFixture[str], given: str, words: str
) -> None:
    assert words in refused(small, capsys, "--stand-in", given)


def test_a_claims_file_of_ones_own(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.yaml"
    shutil.copy(ROOT / "claims.yaml", own)
    judge_files(small, "--claims", str(own))
    own.write_text("claims: [")
    assert "claims cannot be read" in refused(small, capsys, "--claims", str(own))


def test_runs_without_an_environment_are_judged_by_what_they_have(tmp_path: Path) -> None:
    index = write_results(tmp_path, MadeResults(datasets=DATASETS[:1], gpu=True))
    found = verdicts(index, {"elixir": "jax"})
    assert found["T1", "corrected"].verdict == "contradicted"
    assert found["R1-mnist", "corrected"].reason.startswith("column not measured: rss_bytes")
