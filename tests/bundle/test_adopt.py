"""A bundle's runs come into a working copy: whole, where they belong, and never over another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenground.bundle.adopt import Adopted, adopt
from evenground.bundle.unpack import unpack
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from made_bundle import changed, changed_condition, files_of, fixed, listed, write_zip


def adopted(bundle: Path, folder: Path, root: Path) -> Adopted:
    """Unpack a bundle below `folder` and adopt it into `root`."""
    where = unpack(bundle, folder / "unpacked")
    return adopt(read_index(where), where, root, "runs")


def tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_runs_calibration_and_contact_sheets_come_as_they_are(
    made: Path, copy: Path, tmp_path: Path
) -> None:
    root = tmp_path / "work"
    done = adopted(made, tmp_path, root)
    assert (done.new, done.known) == (3, 0)
    origin = copy.parent.parent
    for part in ("results/runs", "results/calibration", "results/contact_sheets"):
        assert tree(root / part) == tree(origin / part) and tree(root / part)
    settings = json.loads(done.configuration.read_text())
    wanted = json.loads((copy / "experiment.json").read_text())
    assert settings["machine"] == read_index(copy / "index.json").first.machine.class_name
    assert {**settings, "machine": wanted["machine"]} == wanted


def test_a_second_time_changes_nothing(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "work"
    (tmp_path / "two").mkdir()
    adopted(made, tmp_path, root)
    before = tree(root)
    done = adopted(made, tmp_path / "two", root)
    assert (done.new, done.known) == (0, 3) and tree(root) == before


def test_another_run_at_its_place_is_kept_and_nothing_is_copied(
    made: Path, copy: Path, tmp_path: Path
) -> None:
    root = tmp_path / "work"
    run = read_index(copy / "index.json").finished[-1]
    own = root / str(run.path) / "manifest.json"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    with pytest.raises(EvengroundError, match="another run stands at the place"):
        adopted(made, tmp_path, root)
    assert tree(root) == {f"{run.path}/manifest.json": b"{}"}


@pytest.mark.parametrize(
    "place", ["src/evenground/runs", "results/runs/a", "results/calibration/a/b/c/d/r1"]
)
def test_a_run_that_does_not_belong_there_is_refused(
    made: Path, tmp_path: Path, place: str
) -> None:
    files = files_of(made)
    index = json.loads(files["results/native/index.json"])
    condition = index["conditions"][0]
    finished = [run for run in condition["runs"] if run["path"]]
    old, condition["runs"] = finished[0]["path"], finished[:1]
    finished[0]["path"] = place
    moved = {name.replace(old, place): content for name, content in files.items()}
    moved["results/native/index.json"] = json.dumps(index).encode()
    with pytest.raises(EvengroundError):
        adopted(write_zip(fixed(moved), tmp_path / "moved.zip"), tmp_path, tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("place", ["src/evenground/x.json", "results/contact_sheets/a/x.json"])
def test_a_contact_sheet_that_does_not_belong_there_is_refused(
    made: Path, tmp_path: Path, place: str
) -> None:
    files = files_of(made)
    (name,) = (name for name in files if "contact_sheets/" in name)
    files[place] = files.pop(name)

    def elsewhere(condition: Any) -> None:
        condition["datasets"][0]["contact_sheet"]["path"] = place

    moved = write_zip(changed_condition(files, elsewhere), tmp_path / "moved.zip")
    with pytest.raises(EvengroundError, match="a file of the bundle does not belong there"):
        adopted(moved, tmp_path, tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["../../../../../../../x", "a/x.json"])
def test_a_manifest_names_no_file_elsewhere(made: Path, tmp_path: Path, name: str) -> None:
    files = files_of(made)
    manifest = next(name for name in files if name.endswith("/manifest.json"))
    # The file is there, seen from the run, with the checksum that `fixed` gives it.
    files |= {"x": b"", manifest.replace("manifest.json", "a/x.json"): b""}
    hostile = changed(files, manifest, lambda content: content["files"].update({name: ""}))
    with pytest.raises(EvengroundError, match="a name that no bundle has"):
        adopted(write_zip(hostile, tmp_path / "hostile.zip"), tmp_path, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_file_that_is_not_its_manifests_is_refused(made: Path, tmp_path: Path) -> None:
    files = files_of(made)
    name = next(name for name in files if name.endswith("train.log"))
    manifest = name.replace("train.log", "manifest.json")
    kept = files[manifest], files["results/native/index.json"]
    other = fixed({**files, name: b"changed"})
    other |= {manifest: kept[0], "results/native/index.json": kept[1]}
    with pytest.raises(EvengroundError, match="not the one recorded"):
        adopted(write_zip(listed(other), tmp_path / "changed.zip"), tmp_path, tmp_path / "work")
    assert not (tmp_path / "work").exists()
