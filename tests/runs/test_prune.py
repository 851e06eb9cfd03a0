"""Old runs: what is listed, what is removed, and what never is."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evenground.errors import EvengroundError
from evenground.files import sha256_file, write_json
from evenground.records.index import named_runs
from evenground.records.manifest import MANIFEST, Manifest
from evenground.records.outcome import RunName
from evenground.records.plan import Run
from evenground.runs.index import check_runs
from evenground.runs.plan import ATTEMPTS, RUNS
from evenground.runs.prune import (
    listing,
    old_folders,
    refuse_busy,
    remove,
    run_paths_here,
)
from made_records import (
    made_index,
    made_plan,
    made_planned,
    made_run,
    made_wanted,
    plan_of,
    write_index,
)

OLD, OTHER, KEPT = Path("m/d/a/k1/r1"), Path("m/d/a/k1/r2"), Path("m/d/a/k2/r1")
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from evenground.runs.prune import old_folders, remove

def killed(folder):
    next(Path(folder).iterdir()).unlink()
    os.kill(os.getpid(), signal.SIGKILL)

shutil.rmtree = killed
root = Path(sys.argv[1])
remove(root, old_folders(root, set()))
"""


def made(folder: Path, *sizes: int) -> Path:
    """A folder with one file of each size."""
    folder.mkdir(parents=True)
    for number, size in enumerate(sizes):
        (folder / f"{number}.bin").write_bytes(b"x" * size)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three runs of two keys, attempts at one of them, and neighbours that are no runs."""
    for place in (OLD, OTHER, KEPT):
        made(tmp_path / RUNS / place, 100, 20)
    made(tmp_path / ATTEMPTS / OLD / "1", 3)
    made(tmp_path / "results/calibration/m", 7)
    made(tmp_path / RUNS / "m/d/a/k1/notes", 5)
    return tmp_path


def files(root: Path) -> set[str]:
    """Every file, and every link as such."""
    found = (path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    return {path.relative_to(root).as_posix() for path in found}


def taken(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def run_of(path: Path) -> Run:
    """The run of this path below `results/runs`."""
    machine, dataset, engine, key, repetition = path.parts
    number = int(repetition.removeprefix("r"))
    return made_run(engine, number, machine=machine, dataset=dataset, key=key)


def test_an_index_and_a_plan_name_their_runs_whatever_became_of_them(tmp_path: Path) -> None:
    done, lost = made_run(), made_run(repetition=2)
    both = made_index(made_wanted(done), made_wanted(lost, "missing"))
    both.write(tmp_path / "index.json")
    assert named_runs(tmp_path / "index.json", "") == {done.path, lost.path}
    made_plan(lost).write(tmp_path / "plan.json")
    assert named_runs(tmp_path / "plan.json", "") == {lost.path}


def test_an_index_and_a_plan_name_the_runs_of_all_conditions(tmp_path: Path) -> None:
    """Two machine classes may have the same key."""
    runs = [made_run(machine=machine) for machine in ("m", "n")]
    path = tmp_path / "results/native/index.json"
    write_index(path, *runs)
    assert named_runs(path, "") == {run.path for run in runs}
    swept = [made_run(key=key) for key in ("k3", "k4")]
    conditions = [
        made_planned(run, values={"epochs": number}) for number, run in enumerate(swept, 1)
    ]
    plan_of(*conditions).write(tmp_path / "results/native/plan.json")
    assert run_paths_here(tmp_path) == {run.path for run in runs + swept}


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"runs": []},
        {"schema": 4, "conditions": []},
        {"schema": 4, "conditions": [{}]},
    ],
)
def test_what_is_no_index_is_refused(tmp_path: Path, wrong: object) -> None:
    write_json(tmp_path / "results/native/index.json", wrong)
    with pytest.raises(EvengroundError, match=r"broken .*index.json\): nothing was removed"):
        run_paths_here(tmp_path)


def test_the_working_copy_keeps_what_its_indexes_and_plans_name(tmp_path: Path) -> None:
    write_index(tmp_path / "results/native/index.json", run_of(OLD))
    write_index(tmp_path / "results/apptainer/index.json", run_of(KEPT))
    made_plan(run_of(OTHER)).write(tmp_path / "results/native/plan.json")
    assert run_paths_here(tmp_path) == {OLD, KEPT, OTHER}


def test_a_working_copy_without_results_names_nothing(tmp_path: Path) -> None:
    assert run_paths_here(tmp_path) == set()


@pytest.mark.parametrize("name", ["native/index.json", "native/plan.json", "apptainer/index.json"])
def test_a_torn_index_or_plan_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "results" / name
    file.parent.mkdir(parents=True)
    file.write_text('{"runs": [')
    with pytest.raises(EvengroundError, match=rf"not valid JSON.*{name}"):
        run_paths_here(tmp_path)


@pytest.mark.parametrize(
    "name", ["results/native/index.json", "results/native/plan.json", "results/native"]
)
def test_a_link_that_leads_nowhere_may_hide_an_index(tmp_path: Path, name: str) -> None:
    link = tmp_path / name
    link.parent.mkdir(parents=True)
    link.symlink_to("away")
    with pytest.raises(EvengroundError, match=r"is a link to away, which is not there"):
        run_paths_here(tmp_path)


def test_the_listing_says_what_is_then_freed(root: Path) -> None:
    before, all_files = taken(root), files(root)
    lines = listing(old_folders(root, {KEPT}))
    assert [line.split("  ") for line in map(str.strip, lines[:-1])] == [
        ["120 bytes", "results/runs/m/d/a/k1/r1"],
        ["120 bytes", "results/runs/m/d/a/k1/r2"],
        ["3 bytes", "results/attempts/m/d/a/k1/r1"],
    ]
    assert lines[-1].strip() == "243 bytes in all; runs: 2, folders of attempts: 1"
    assert files(root) == all_files
    remove(root, old_folders(root, {KEPT}))
    assert before - taken(root) == 243 and old_folders(root, {KEPT}) == []
    kept = {"results/runs/m/d/a/k2/r1/0.bin", "results/runs/m/d/a/k2/r1/1.bin"}
    assert files(root) == kept | {
        "results/calibration/m/0.bin",
        "results/runs/m/d/a/k1/notes/0.bin",
    }


def test_empty_folders_above_go_and_the_top_stays(root: Path) -> None:
    shutil.rmtree(root / RUNS / "m/d/a/k1/notes")
    remove(root, old_folders(root, {KEPT}))
    assert not (root / RUNS / OLD.parent).exists() and (root / RUNS / KEPT).is_dir()
    remove(root, old_folders(root, set()))
    assert list((root / RUNS).iterdir()) == [] and list((root / ATTEMPTS).iterdir()) == []
    assert sorted(path.name for path in (root / "results").iterdir()) == [
        "attempts",
        "calibration",
        "runs",
    ]


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    assert old_folders(tmp_path, set()) == []
    remove(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_links_below_are_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    made(outside / "d/a/k/r1", 11)
    (root / RUNS / "linked").symlink_to(outside)
    (root / RUNS / "m/d/a/k1/r3").symlink_to(outside / "d/a/k/r1")
    (root / RUNS / OLD / "data").symlink_to(outside)
    remove(root, old_folders(root, {KEPT}))
    assert files(outside) == {"d/a/k/r1/0.bin"}
    assert (root / RUNS / "linked").is_symlink() and (root / RUNS / "m/d/a/k1/r3").is_symlink()
    assert not (root / RUNS / OLD).exists()


@pytest.mark.parametrize("where", [None, "/dev/shm"])
def test_runs_may_lie_elsewhere_behind_a_link(root: Path, where: str | None) -> None:
    """In memory is another file system than the tests' folder: nothing can be renamed across."""
    if where and not Path(where).is_dir():
        pytest.skip(f"no {where}")
    with tempfile.TemporaryDirectory(dir=where) as folder:
        elsewhere = Path(folder) / "store"
        shutil.move(root / RUNS, elsewhere)
        (root / RUNS).symlink_to(elsewhere)
        remove(root, old_folders(root, {KEPT}))
        assert (
            (root / RUNS).is_symlink()
            and not (elsewhere / OLD).exists()
            and (elsewhere / KEPT).is_dir()
        )
        assert [path.name for path in elsewhere.parent.iterdir()] == ["store"]


def test_half_a_run_of_a_removal_that_was_killed_is_refused_and_then_removed(root: Path) -> None:
    for place in (OLD, OTHER, KEPT):
        folder = root / RUNS / place
        files_of_run = {path.name: sha256_file(path) for path in folder.iterdir()}
        Manifest(run=RunName.of(place, "native"), files=files_of_run).write(folder / MANIFEST)
    plans: Any = [SimpleNamespace(root=root, runs=())]
    check_runs(plans)
    before = files(root)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, root], env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == -signal.SIGKILL
    assert len(before - files(root)) == 1
    with pytest.raises(EvengroundError, match=r"1 of 3 run folders are not whole: .*k1/r1\)"):
        check_runs(plans)
    remove(root, old_folders(root, {KEPT}))
    assert old_folders(root, {KEPT}) == []
    check_runs(plans)


def test_what_cannot_be_removed_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(shutil, "rmtree", refused)
    with pytest.raises(EvengroundError, match=r"cannot be removed: Permission denied .*k1/r1"):
        remove(root, old_folders(root, {KEPT}))


def test_a_lock_of_snakemake_refuses_and_names_the_command(root: Path) -> None:
    refuse_busy(root)
    (root / ".snakemake/locks").mkdir(parents=True)
    refuse_busy(root)
    (root / ".snakemake/locks/0.output.lock").touch()
    with pytest.raises(
        EvengroundError, match=r"at work here, or was killed .*snakemake --unlock --cores 1"
    ):
        refuse_busy(root)
