"""Bundles that another version drew: redrawn by one command, or refused for their schema."""

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

VERDICTS = "results/native/verdicts.json"
STALE = "results/native/tables/training_time.csv"


@pytest.fixture
def drawn_before(made: Path, tmp_path: Path) -> Path:
    """The made bundle with tables as another version drew them."""
    # Of a name and a format that this version does not have.
    files = files_of(made) | {STALE: b"dataset\n", VERDICTS: b'{"schema": 3}'}
    return write_zip(listed(files), tmp_path / "old.zip")


def moments(bundle: Path, to: Path) -> list[Any]:
    return [run.events for run in all_runs(read_index(unpack(bundle, to)))]


@pytest.mark.parametrize("schema", [3, 5])
def test_a_bundle_of_another_schema_is_refused_with_both_schemas(
    made: Path, schema: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = changed(files_of(made), INDEX, lambda index: index.update(schema=schema))
    other = write_zip(files, tmp_path / "other.zip")
    for command in (
        (convert.main, other, tmp_path / "new"),
        (replay.main, other, "--output-dir", tmp_path / "new"),
    ):
        assert call(*command) == 1
        said = capsys.readouterr().err
        assert f"index has schema {schema}, this version of evenground reads 4" in said
        assert said.startswith("error: ") and said.count("\n") == 1
        assert f"{INDEX} in {other}" in said and not (tmp_path / "new").exists()


def test_a_record_of_another_schema_is_refused_with_both_schemas(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(made)
    name = next(name for name in sorted(files) if name.endswith("/environment.json"))
    files = changed(files, name, lambda record: record.update(schema=1))
    other = write_zip(files, tmp_path / "other.zip")
    assert call(convert.main, other, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert "record of the environment has schema 1, this version of evenground reads 2" in said
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "new.zip").exists()


def test_a_converted_bundle_is_as_if_drawn_today(
    drawn_before: Path,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    assert call(convert.main, drawn_before, tmp_path / "new.zip") == 0
    assert "3 runs; tables and figures redrawn" in capsys.readouterr().out
    converted, wanted = files_of(tmp_path / "new.zip"), files_of(made)
    # Pictures are not drawn here, which their list and their description tell.
    for name in (LIST, METADATA):
        converted[name] = wanted[name]
    assert STALE in files_of(drawn_before)
    for files in (converted, wanted):
        for name in [name for name in files if name.endswith((".svg", ".png"))]:
            del files[name]
    assert converted == wanted


def test_a_bundle_is_redrawn_in_place_and_replayed_with_the_same_times(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_zip(files_of(made), tmp_path / "same.zip")
    assert call(convert.main, bundle, bundle) == 0
    assert call(replay.main, bundle, "--output-dir", tmp_path / "out") == 0
    assert "as published, byte by byte" in capsys.readouterr().out
    assert moments(bundle, tmp_path / "a") == moments(made, tmp_path / "b")


@pytest.mark.parametrize("path", ["../../outside", "/outside", "results/../../outside", "envs"])
def test_nothing_outside_of_the_bundle_is_written(
    made: Path, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(index: Any) -> None:
        index["conditions"][0]["runs"][0]["path"] = path

    hostile = write_zip(changed(files_of(made), INDEX, elsewhere), tmp_path / "hostile.zip")
    assert call(convert.main, hostile, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not (tmp_path / "new.zip").exists()


@pytest.mark.parametrize(
    "harm",
    ["broken event", "no events", "conditions", "index list", "index text"],
)
def test_what_cannot_be_converted_is_one_line(
    made: Path, harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files: Files = {}
    for name, content in files_of(made).items():
        files[name] = content
        if harm == "broken event" and name.endswith("/events.jsonl"):
            files[name] = content[:-5]
        if harm == "no events" and name.endswith("/r1/events.jsonl"):
            del files[name]
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
