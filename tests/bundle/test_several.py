"""A bundle of several conditions: packed, replayed, adopted, described, bare of cards, and kept."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

import adopt as adopt_script
import bundle as bundle_script
import convert as convert_script
import replay as replay_script
from analysis.synthetic import GPU_RECORD
from evenground.bundle.crate import METADATA
from evenground.bundle.kept import run_paths_kept
from evenground.bundle.unpack import unpack
from evenground.bundle.uuids import UUID, lay_out, name_a_card
from evenground.files import read_json, sha256_file
from evenground.records.index import Index, read_index
from evenground.runs.index import build_index
from evenground.runs.study import make_study
from made_bundle import (
    INDEX,
    call,
    changed,
    complaints,
    files_of,
    made_copy,
    save_data,
    working_copy_with_lock,
    write_zip,
)

OTHER = "other-cpu-8c-32g-nogpu-123abc"
SIZES = [8, 16, 32]


@pytest.fixture(autouse=True)
def only_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture is drawn, which takes most of a replay."""
    monkeypatch.setattr("evenground.report.draw.save", save_data)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of three batch sizes on two machines, three of four trainings of each finished."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenground.report.draw.save", save_data)
        root = tmp_path_factory.mktemp("copy")
        return made_copy(root, others=[OTHER], batch_size=SIZES).parent


@pytest.fixture(scope="module")
def index(results: Path) -> Index:
    return read_index(results / "index.json")


@pytest.fixture(scope="module")
def bundle(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "runs.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenground.report.draw.save", save_data)
        assert call(bundle_script.main, path, "--results", results) == 0
    return path


def test_all_runs_of_all_conditions_are_packed(
    bundle: Path, results: Path, index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(bundle_script.main, tmp_path / "again.zip", "--results", results) == 0
    said = capsys.readouterr().out
    assert f"18 runs of {', '.join(index.class_names)}, 6 did not finish; " in said
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    names = files_of(bundle).keys()
    assert {f"{run.path}/manifest.json" for run in index.finished} <= names
    assert {file.path for file in index.files_beside} <= names and len(index.files_beside) == 3
    assert [name for name in names if name.endswith("index.json")] == [INDEX]


def test_it_is_replayed_byte_by_byte(
    bundle: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(replay_script.main, bundle, "--output-dir", tmp_path / "out") == 0
    assert "as published, byte by byte: " in capsys.readouterr().out
    compared = [*(results / "tables").iterdir(), *(results / "figures").glob("*.csv")]
    assert len(compared) > 45
    for path in compared:
        redrawn = tmp_path / "out/redrawn" / path.relative_to(results)
        assert redrawn.read_bytes() == path.read_bytes(), path.name


def test_adopted_runs_are_those_of_the_experiment_that_its_configuration_asks_for(
    bundle: Path,
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / "work"
    working_copy_with_lock(root)
    monkeypatch.setattr(adopt_script, "ROOT", root)
    assert call(adopt_script.main, bundle) == 0
    assert "18 runs copied to results/runs, 0 were there already" in capsys.readouterr().out
    settings = read_json(root / "results/adopted/runs.json")
    assert settings["machine"] == index.class_names and settings["batch_size"] == SIZES
    study = make_study(settings, root)
    assert len(study.pending) == 3, "trainings of this machine; another's cannot be made up for"
    built = build_index(study.record(), root)
    assert built.swept == ("batch_size",) and built.finished == index.finished
    assert [each.machine for each in built.conditions] == [
        each.machine for each in index.conditions
    ]
    assert built.files_beside == index.files_beside
    assert call(adopt_script.main, bundle) == 0
    assert "0 runs copied to results/runs, 18 were there already" in capsys.readouterr().out


def test_the_crate_describes_each_training_once(bundle: Path, index: Index, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path)
    assert complaints(tmp_path) == []
    graph = json.loads((tmp_path / METADATA).read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    actions = [entities[link["@id"]] for link in entities["./"]["mentions"]]
    assert len(actions) == 24
    results = [action["result"]["@id"] for action in actions if "result" in action]
    assert results == [f"{run.path}/" for run in index.finished]
    here = index.class_names[0]
    trained = entities[f"#run-{OTHER}_batch_size-16-tiny-fake_a-r1"]
    same = entities[f"#run-{here}_batch_size-16-tiny-fake_a-r1"]
    assert trained["object"] == same["object"] and trained["result"] != same["result"]
    sizes = [name for name in entities if name.startswith("#parameter-batch_size")]
    assert sizes == [f"#parameter-batch_size-{size}" for size in SIZES]
    assert {"@id": "#parameter-batch_size-16"} in trained["object"]
    assert all(link["@id"] in entities for link in trained["object"])


def test_no_card_of_any_condition_is_named(bundle: Path, tmp_path: Path) -> None:
    files = files_of(bundle)
    index = json.loads(files[INDEX])
    runs = [condition["runs"][0] for condition in (index["conditions"][k] for k in (1, 5))]
    for run in runs:
        name = f"{run['path']}/environment.json"
        files = changed(files, name, lambda record: record.update(gpu=GPU_RECORD))
    named = json.loads(files[INDEX])["conditions"]
    calibration = named[5]["calibration"]["path"]
    files = changed(files, calibration, lambda record: record.update(gpu=GPU_RECORD))
    unpacked = tmp_path / "unpacked"
    paths = {}
    for name, content in files.items():
        paths[name] = unpacked / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_bytes(content)
    assert name_a_card(paths)
    bare = read_index(lay_out(paths, tmp_path / "bare"))
    for path in (tmp_path / "bare").rglob("*.json"):
        assert not UUID.search(path.read_text()), path
    renewed = [run.recorded_as for run in bare.runs if run.recorded_as]
    assert len(renewed) == 2
    assert [bool(each.runs[0].recorded_as) for each in bare.conditions] == [
        number in (1, 5) for number in range(6)
    ]
    # The machine's three conditions share one calibration.
    sums = [str(each.calibration and each.calibration.sha256) for each in bare.conditions]
    assert sums[3:] == [sha256_file(tmp_path / "bare" / calibration)] * 3
    assert sums[:3] == [named[0]["calibration"]["sha256"]] * 3


def test_its_runs_are_kept(bundle: Path, results: Path, index: Index) -> None:
    assert run_paths_kept([bundle]) == run_paths_kept([results / "index.json"]) == index.run_paths
    assert len(index.run_paths) == 24


def test_a_bundle_of_today_is_only_redrawn(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(convert_script.main, bundle, tmp_path / "new.zip") == 0
    assert "18 runs; tables and figures" in capsys.readouterr().out
    assert files_of(tmp_path / "new.zip") == files_of(bundle)


def test_conditions_that_are_not_those_of_the_settings_are_not_packed(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(results.parents[1], tmp_path / "copy")
    again = tmp_path / "copy/results/native"
    settings = read_json(again / "experiment.json")
    (again / "experiment.json").write_text(json.dumps({**settings, "batch_size": SIZES[:2]}))
    capsys.readouterr()
    assert call(bundle_script.main, tmp_path / "runs.zip", "--results", again) == 1
    said = capsys.readouterr().err
    assert "settings are not those of the run" in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop(1), None),
        (lambda c: c.append(c[0]), "stands there twice"),
        (lambda c: c[1]["values"].update(batch_size=9), "another batch_size than it trained"),
        (lambda c: c[1].update(values={}), "has not a value of each of `swept`"),
        (lambda c: c[0].update(deployment="apptainer"), "conditions of several deployments"),
        (lambda c: c[3].update(runs=c[0]["runs"]), "in a condition of other-cpu"),
    ],
)
def test_conditions_that_contradict_each_other_are_refused(
    bundle: Path,
    tmp_path: Path,
    change: Any,
    said: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = changed(files_of(bundle), INDEX, lambda index: change(index["conditions"]))
    other = write_zip(files, tmp_path / "other.zip")
    if said is None:
        where = unpack(other, tmp_path / "out")
        assert len(read_index(where).conditions) == 5
        return
    assert call(replay_script.main, other, "--output-dir", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()
