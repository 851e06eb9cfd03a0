"""Bundles of older versions: refused with the way out, and converted by one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import convert
import replay
from evenground.analysis.runs import all_runs
from evenground.bundle.crate import METADATA
from evenground.bundle.unpack import unpack
from evenground.records.index import read_index
from made_bundle import (
    INDEX,
    LIST,
    Files,
    call,
    changed,
    files_of,
    listed,
    save_data,
    write_zip,
)

SETTINGS = "results/native/experiment.json"
STALE = "results/native/tables/training_time.csv"


@pytest.fixture
def older(made: Path, tmp_path: Path) -> Path:
    """The made bundle as the version before this one wrote it."""
    files = files_of(made)
    files[INDEX] = older_index(files[INDEX])
    # Of a name and a format that this version does not have.
    files |= {STALE: b"dataset\n", "results/native/verdicts.json": b'{"schema": 3}'}
    return write_zip(listed(files), tmp_path / "old.zip")


def older_index(content: bytes) -> bytes:
    """An index as it was before it had conditions."""
    index = json.loads(content)
    (condition,) = index["conditions"]
    condition.pop("values")
    return json.dumps({"schema": 3, **condition, "lines": index["lines"]}).encode()


def moments(bundle: Path, to: Path) -> list[Any]:
    return [run.events for run in all_runs(read_index(unpack(bundle, to)))]


def test_an_older_bundle_is_refused_with_both_schemas_and_the_command(
    older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay.main, older, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "it has schema 3, this version of evenground reads schema 4" in said
    assert said.endswith("): convert its bundle: ./evenground convert OLD.zip NEW.zip\n")
    assert not (tmp_path / "out").exists()


def test_a_converted_bundle_is_replayed_with_the_same_times(
    older: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.zip"
    assert call(convert.main, older, new) == 0
    assert "3 runs, converted; tables and figures redrawn" in capsys.readouterr().out
    assert call(replay.main, new, "--output-dir", tmp_path / "out") == 0
    assert "as published, byte by byte" in capsys.readouterr().out
    assert moments(new, tmp_path / "a") == moments(made, tmp_path / "b")


def test_a_converted_bundle_is_as_if_made_today(
    older: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    assert call(convert.main, older, tmp_path / "new.zip") == 0
    converted, wanted = files_of(tmp_path / "new.zip"), files_of(made)
    # Pictures are not drawn here, which their list and their description tell.
    for name in (LIST, METADATA):
        converted[name] = wanted[name]
    assert STALE in files_of(older)
    for files in (converted, wanted):
        for name in [name for name in files if name.endswith((".svg", ".png"))]:
            del files[name]
    assert converted == wanted


@pytest.mark.parametrize("schema", [1, 2, 5])
def test_a_bundle_of_any_other_version_is_refused(
    older: Path, schema: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = changed(files_of(older), INDEX, lambda index: index.update(schema=schema))
    other = write_zip(files, tmp_path / "other.zip")
    assert call(convert.main, other, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert f"it has schema {schema}, this version of evenground converts schema 3" in said
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "new.zip").exists()


def test_a_bundle_of_this_version_is_redrawn_in_place(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_zip(files_of(made), tmp_path / "same.zip")
    assert call(convert.main, bundle, bundle) == 0
    assert "3 runs, of today's format" in capsys.readouterr().out
    assert call(replay.main, bundle, "--output-dir", tmp_path / "out") == 0


@pytest.mark.parametrize("path", ["../../outside", "/outside", "results/../../outside", "envs"])
def test_nothing_outside_of_the_bundle_is_written(
    older: Path, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(index: Any) -> None:
        index["runs"][0]["path"] = path

    hostile = write_zip(changed(files_of(older), INDEX, elsewhere), tmp_path / "hostile.zip")
    assert call(convert.main, hostile, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "new.zip").exists()


@pytest.mark.parametrize(
    "harm",
    ["broken event", "no events", "datasets", "conditions", "index list", "index text"],
)
def test_what_cannot_be_converted_is_one_line(
    older: Path, harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files: Files = {}
    for name, content in files_of(older).items():
        files[name] = content
        if harm == "broken event" and name.endswith("/events.jsonl"):
            files[name] = content[:-5]
        if harm == "no events" and name.endswith("/r1/events.jsonl"):
            del files[name]
        if harm == "datasets" and name == INDEX:
            files[name] = json.dumps({**json.loads(content), "datasets": [1]}).encode()
        if harm == "conditions" and name == INDEX:
            files[name] = json.dumps({**json.loads(content), "conditions": []}).encode()
        if harm == "index list" and name == INDEX:
            files[name] = b"[]"
        if harm == "index text" and name == INDEX:
            files[name] = b'{"schema": "3"}'
    broken = write_zip(listed(files), tmp_path / "broken.zip")
    assert call(convert.main, broken, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
