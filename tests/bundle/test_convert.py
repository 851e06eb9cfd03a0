"""Bundles of older versions: refused with the way out, and converted by one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import convert
import replay
from evenground.analysis.runs import read_runs
from evenground.bundle.convert import NEW_NAMES
from evenground.bundle.unpack import unpack
from evenground.records.index import read_index
from made_bundle import INDEX, Files, call, changed, files_of, fixed, save_data, write_zip

SETTINGS = "results/native/experiment.json"
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}


@pytest.fixture
def older(made: Path, tmp_path: Path) -> Path:
    """The made bundle as the version before this one wrote it."""
    files = {name: older_content(name, content) for name, content in files_of(made).items()}
    return write_zip(fixed(files), tmp_path / "old.zip")


def older_content(name: str, content: bytes) -> bytes:
    """A file as it was before the examples were called examples."""
    if name.endswith("/events.jsonl"):
        lines = [json.dumps(older_names(json.loads(line))) for line in content.splitlines()]
        return ("\n".join(lines) + "\n").encode()
    if name == INDEX:
        index = json.loads(content)
        datasets = [older_names(dataset) for dataset in index["datasets"]]
        return json.dumps({**index, "schema": 2, "datasets": datasets}).encode()
    if name == SETTINGS:
        settings = older_names(json.loads(content))
        registry = {key: older_names(entry) for key, entry in settings["registry"].items()}
        return json.dumps({**settings, "registry": registry}).encode()
    if name.endswith("/environment.json"):
        warm_up = {"images": 32, "wall_s": 0.5}
        return json.dumps({**json.loads(content), "schema": 1, "warm_up": warm_up}).encode()
    return content


def older_names(content: dict[str, Any]) -> dict[str, Any]:
    return {OLD_NAMES.get(name, name): value for name, value in content.items()}


def moments(bundle: Path, to: Path) -> list[Any]:
    return [run.events for run in read_runs(read_index(unpack(bundle, to)))]


def test_an_older_bundle_is_refused_with_both_schemas_and_the_command(
    older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay.main, older, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "it has schema 2, this version of evenground reads schema 3" in said
    assert said.endswith("): convert its bundle: ./evenground convert OLD.zip NEW.zip\n")
    assert not (tmp_path / "out").exists()


def test_a_converted_bundle_is_replayed_with_the_same_times(
    older: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.zip"
    assert call(convert.main, older, new) == 0
    assert "3 runs, 3 of them converted" in capsys.readouterr().out
    assert call(replay.main, new, "--output-dir", tmp_path / "out") == 0
    assert "as published, byte by byte" in capsys.readouterr().out
    assert moments(new, tmp_path / "a") == moments(made, tmp_path / "b")


def test_a_contact_sheet_of_the_same_data_is_added(
    made: Path,
    copy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    bare = changed(files_of(made), INDEX, lambda index: index["datasets"][0].pop("contact_sheet"))
    bundle, new = write_zip(bare, tmp_path / "bare.zip"), tmp_path / "new.zip"
    assert call(convert.main, bundle, new) == 0
    assert "figure samples_tiny is without pictures" in capsys.readouterr().err
    monkeypatch.setattr(convert, "ROOT", copy.parents[1])
    assert call(convert.main, bundle, new) == 0
    assert capsys.readouterr().err == ""
    converted, wanted = files_of(new), files_of(made)
    index = json.loads(converted[INDEX])
    sheet = index["datasets"][0]["contact_sheet"]["path"]
    assert index == json.loads(wanted[INDEX]) and converted[sheet] == wanted[sheet]


def test_every_old_name_is_gone(older: Path, made: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.zip"
    assert call(convert.main, older, new) == 0
    old, converted, wanted = files_of(older), files_of(new), files_of(made)
    assert b'"warm_up_images"' in old[SETTINGS] and b'"train_images"' in old[INDEX]
    assert json.loads(converted[SETTINGS]) == json.loads(wanted[SETTINGS])
    assert json.loads(converted[INDEX])["datasets"] == json.loads(wanted[INDEX])["datasets"]
    runs = [name for name in converted if name.endswith("/events.jsonl")]
    assert len(runs) == 3
    for name in runs:
        assert converted[name] == wanted[name]
        environment = json.loads(converted[name.replace("events.jsonl", "environment.json")])
        assert environment["schema"] == 2 and environment["warm_up"] == {
            "examples": 32,
            "wall_s": 0.5,
        }


def test_a_bundle_of_a_still_older_version_is_refused(
    older: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    oldest = write_zip(
        changed(files_of(older), INDEX, lambda index: index.update(schema=1)), tmp_path / "1.zip"
    )
    assert call(convert.main, oldest, tmp_path / "new.zip") == 1
    assert (
        "it has schema 1, this version of evenground converts schema 2" in capsys.readouterr().err
    )
    assert not (tmp_path / "new.zip").exists()


def test_a_bundle_of_this_version_is_redrawn_in_place(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_zip(files_of(made), tmp_path / "same.zip")
    assert call(convert.main, bundle, bundle) == 0
    assert "0 of them converted" in capsys.readouterr().out
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
    "harm", ["broken event", "no events", "datasets", "settings list", "index list", "no JSON"]
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
        if harm == "settings list" and name == SETTINGS:
            files[name] = b"[]"
        if harm == "index list" and name == INDEX:
            files[name] = b"[]"
        if harm == "no JSON" and name == "data/registry.yaml":
            files["data/card.json"] = b'{"GPU-11111111'
    broken = write_zip(files if harm == "index list" else fixed(files), tmp_path / "broken.zip")
    assert call(convert.main, broken, tmp_path / "new.zip") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1


def test_a_run_that_cannot_be_read_hides_no_other(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = files_of(made)
    name = next(name for name in sorted(files) if name.endswith("/r1/events.jsonl"))
    files[name] = files[name].replace(b'"loss": 2.3', b'"loss": 1e300')
    broken = write_zip(fixed(files), tmp_path / "broken.zip")
    assert call(replay.main, broken, "--output-dir", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "unpacked and checked: 2 runs" in said.out
    assert "is drawn as failed: unreadable: broken-events: line 6: first_batch_end.loss" in said.out
    assert "files are not as published" in said.err
    rows = (tmp_path / "out/redrawn/tables/runs.csv").read_text().splitlines()
    assert sum("finished" in row for row in rows) == 2
    assert sum("unreadable: broken-events" in row for row in rows) == 1
    assert (tmp_path / "out/redrawn/figures/training_time.svg").is_file()
