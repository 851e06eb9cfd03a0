"""Packing: everything in, nothing that is not ours, the same bytes each time, and never a stale table."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

import bundle as script
from evenground.bundle.replay import compare_tables
from evenground.files import read_json, sha256_bytes, write_json
from made_bundle import LIST, call, condition_in, files_of, save_data

OTHERS = {LIST, "README.md", "ro-crate-metadata.json"}


@pytest.fixture
def again(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the working copy's results that a test may change; figures are compared but not drawn."""
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    shutil.copytree(copy.parent.parent, tmp_path / "copy")
    return tmp_path / "copy" / "results" / "native"


def refusal(results: Path, to: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which the results are not packed."""
    capsys.readouterr()
    assert call(script.main, to, "--results", results) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert not list(to.parent.glob("*.zip*")) + list(to.parent.glob(".*"))
    return said.err


def test_the_same_results_are_the_same_bytes_from_any_folder(
    made: Path, again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(script.main, tmp_path / "again.zip", "--results", again) == 0
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
    said = capsys.readouterr().out
    assert "3 runs of " in said and "1 did not finish" in said
    assert "it shows some examples of Tiny shapes: share it only if" in said


def test_all_that_was_recorded_is_in_it(made: Path, copy: Path) -> None:
    files = files_of(made)
    root, (condition,) = copy.parent.parent, read_json(copy / "index.json")["conditions"]
    runs = [run["path"] for run in condition["runs"] if run["path"]]
    of_a_run = {"environment.json", "events.jsonl", "manifest.json", "outcome.json", "train.log"}
    of_a_run |= {"samples.csv", "samples.json"}
    expected = {f"{run}/{name}" for run in runs for name in of_a_run}
    expected |= {f"results/native/{name}" for name in ("index.json", "experiment.json")}
    expected |= {f"results/native/{name}" for name in ("metrics.json", "verdicts.json")}
    expected |= {
        condition["calibration"]["path"],
        condition["datasets"][0]["contact_sheet"]["path"],
        "envs/keras.txt",
        "data/registry.yaml",
        "containers/pins.yaml",
    }
    tables = {f"results/native/tables/{path.name}" for path in (copy / "tables").iterdir()}
    figures = {f"results/native/figures/{path.name}" for path in (copy / "figures").iterdir()}
    assert len(runs) == 3 and len(tables) == 48 and len(figures) == 37
    assert files.keys() == expected | tables | figures | OTHERS | {
        f"containers/{path.name}" for path in (root / "containers").glob("*.def")
    }
    assert all(files[name] == (root / name).read_bytes() for name in files.keys() - OTHERS)


def test_a_mirror_and_its_login_are_given_to_nobody(
    again: Path, tmp_path: Path, made: Path
) -> None:
    settings = read_json(again / "experiment.json")
    settings["mirrors"] = ["https://user:secret@host/m"]
    (again / "experiment.json").write_text(json.dumps(settings))
    assert call(script.main, tmp_path / "again.zip", "--results", again) == 0
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()


def test_every_file_has_its_checksum(made: Path) -> None:
    files = files_of(made)
    lines = [line.split("  ") for line in files[LIST].decode().splitlines()]
    assert {name: sha256 for sha256, name in lines} == {
        name: sha256_bytes(content) for name, content in files.items() if name != LIST
    }
    assert len(lines) == len(files) - 1


def test_no_date(made: Path) -> None:
    with zipfile.ZipFile(made) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("name", ["tables/notes of mine.csv", "figures/.hidden.csv"])
def test_a_file_that_no_bundle_has_is_named(
    name: str, again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (again / name).write_text("x")
    said = refusal(again, tmp_path / "runs.zip", capsys)
    assert name in said


def test_a_stale_table_is_refused(
    again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(again / "tables/summary.md")
    said = refusal(again, tmp_path / "runs.zip", capsys)
    assert "not those of the runs" in said and "tables/summary.md" in said


@pytest.mark.parametrize("name", ["tables/runs.csv", "metrics.json", "figures/training_time.csv"])
def test_every_number_that_was_published_is_compared(name: str, copy: Path, again: Path) -> None:
    assert len(compare_tables(copy, again).same) == 62 and not compare_tables(copy, again).other
    change(again / name)
    assert compare_tables(copy, again).other == (name,)
    (again / name).unlink()
    assert compare_tables(copy, again).lost == compare_tables(again, copy).new == (name,)


def change(path: Path) -> None:
    """Another number."""
    text = path.read_text()
    path.write_text(text.replace("0.", "0.0", 1))
    assert path.read_text() != text


def test_a_changed_contact_sheet_is_refused(
    again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = read_json(again / "index.json")["conditions"][0]["datasets"][0]["contact_sheet"]["path"]
    change_pixel(again.parent.parent / named)
    said = refusal(again, tmp_path / "runs.zip", capsys)
    assert "the file is not the one recorded" in said and named in said


def change_pixel(sheet: Path) -> None:
    """Another pixel in a contact sheet that is as good as the first one."""
    content = read_json(sheet)
    pixels = content["examples"][0]["pixels"]
    content["examples"][0]["pixels"] = ("00" if pixels[:2] != "00" else "11") + pixels[2:]
    write_json(sheet, content)


def test_a_changed_run_is_refused(
    again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (condition,) = read_json(again / "index.json")["conditions"]
    run = next(run for run in condition["runs"] if run["path"])
    with (again.parent.parent / run["path"] / "train.log").open("a") as log:
        log.write("more")
    said = refusal(again, tmp_path / "runs.zip", capsys)
    assert "a recorded run was changed: train.log" in said and run["path"] in said


def test_what_decides_the_runs_must_not_have_changed(
    again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (again.parent.parent / "envs" / "keras.txt").open("a") as lock:
        lock.write("# another lock\n")
    assert "locks or settings are not those" in refusal(again, tmp_path / "runs.zip", capsys)


def test_unfinished_trainings_are_told(made: Path) -> None:
    files = files_of(made)
    runs = condition_in(files["results/native/index.json"])["runs"]
    assert [run["reason"] for run in runs if run["status"] != "finished"] == ["out-of-memory"]
    assert b"3 of 4 wanted trainings" in files["README.md"]


def test_nothing_finished_is_nothing_to_pack(
    again: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = read_json(again / "index.json")
    lost = {"status": "missing", "path": None, "manifest_sha256": None}
    (condition,) = index["conditions"]
    condition["runs"] = [{**run, **lost} for run in condition["runs"]]
    (again / "index.json").write_text(json.dumps(index))
    assert "no wanted run has finished" in refusal(again, tmp_path / "runs.zip", capsys)
