"""`dvc repro` in a real workspace: what is trained after each change, and what a clone gets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dvc_workspace import OUT, Workspace, clone, new_workspace, trained
from evenground.records.index import read_index
from working_copy import FAKES, TINY


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Trained once, committed and pushed; the second engine has a folder of its own."""
    space = new_workspace(tmp_path_factory.mktemp("dvc"))
    shutil.copytree(space.root / "tests/fake_engine", space.root / "tests/fake_b")
    own = {"name": "fake_b", "folder": "tests/fake_b"}
    space.copy.settings |= {"engines": [FAKES[0], own], "warm_up_examples": 0}
    return trained(space)


@pytest.mark.slow
class TestRepro:
    """One workspace goes through all of it, in this order."""

    def test_a_clone_trains_nothing_and_every_tracked_file_stays(
        self, space: Workspace, tmp_path: Path
    ) -> None:
        cloned = clone(space, tmp_path / "clone")
        before = space.tracked()
        assert cloned.tracked() == before and len(before) > 30
        assert cloned.repro() == 0
        assert cloned.tracked() == before
        assert "Nothing to be done" in cloned.run("snakemake", "--cores", "1", "--dry-run")
        lock = (space.root / "dvc.lock").read_bytes()
        assert (cloned.root / "dvc.lock").read_bytes() == lock

    def test_a_clone_redraws_everything_from_the_runs_to_the_same_bytes(
        self, space: Workspace, tmp_path: Path
    ) -> None:
        cloned = clone(space, tmp_path / "clone")
        for name in (
            "tables",
            "figures",
            "normalised",
            "metrics.json",
            "verdicts.json",
            "index.json",
        ):
            path = cloned.root / OUT / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        cloned.run("snakemake", "--cores", "1", "figures")
        page, redrawn, expected = f"{OUT}/report.html", cloned.tracked(), space.tracked()
        # The page says which command made it.
        assert b"<code>snakemake --cores 1 figures</code>" in redrawn[page]
        redrawn[page] = redrawn[page].replace(b"snakemake --cores 1 figures", b"dvc repro")
        assert cloned.copy.trainings() == 0 and redrawn == expected

    def test_a_bundle_stands_in_for_the_pull(self, space: Workspace, tmp_path: Path) -> None:
        bundle = str(tmp_path / "runs.zip")
        space.run(sys.executable, "scripts/bundle.py", bundle)
        cloned = clone(space, tmp_path / "clone", pull=False)
        assert not (cloned.root / "results/runs").exists()
        cloned.run(sys.executable, "scripts/adopt.py", bundle)
        shutil.copy(cloned.root / "results/adopted/runs.json", cloned.root / "params.yaml")
        cloned.dvc("repro")
        assert cloned.copy.trainings() == 0 and cloned.tracked() == space.tracked()
        assert (cloned.root / "dvc.lock").read_bytes() == (space.root / "dvc.lock").read_bytes()

    def test_on_another_machine(self, space: Workspace, tmp_path: Path) -> None:
        """The runs are those of a class that this machine is not."""
        cloned = clone(space, tmp_path / "clone")
        (runs,), (calibration,) = (
            (cloned.root / "results" / name).iterdir() for name in ("runs", "calibration")
        )
        runs.rename(runs.with_name("elsewhere-nogpu-1"))
        # Both classes have one: measuring it here takes most of a minute.
        shutil.copytree(calibration, calibration.with_name("elsewhere-nogpu-1"))
        assert cloned.repro(machine="elsewhere-nogpu-1") == 0
        assert {run["status"] for run in cloned.table()} == {"finished"}
        said = cloned.repro_says(ok=False, repetitions=2)
        assert "2 of 4 wanted runs did not finish" in said and "or set machine: here" in said
        assert cloned.copy.trainings() == 0
        assert cloned.repro(machine="here", repetitions=1) == 2 and len(cloned.table()) == 2

    def test_changed_bytes_of_a_dataset_are_named_and_train_nothing(self, space: Workspace) -> None:
        array = next((space.root / "data/prepared").rglob("train_images*"))
        before = array.read_bytes()
        array.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        for changes in ({}, {"seed": 3}):
            said = space.repro_says(ok=False, **changes)
            assert (
                f"a prepared array is changed: {array.name}" in said and space.copy.trainings() == 0
            )
        array.write_bytes(before)
        assert space.repro(seed=2022) == 0

    def test_changed_claims_are_judged_anew(self, space: Workspace) -> None:
        before, claims = space.tracked(), space.root / "claims.yaml"
        claims.write_text(claims.read_text().replace("34.21 %", "34 %"))
        assert space.repro() == 0
        after = space.tracked()
        changed = {name for name in before if after[name] != before[name]}
        judged = {f"{OUT}/verdicts.json", f"{OUT}/report.html"}
        assert changed == judged and len(after) == len(before)

    def test_epochs_there_and_back(self, space: Workspace) -> None:
        before = space.tracked()
        assert space.repro(epochs=5) == 2 and space.epochs() == {5}
        assert space.repro(epochs=3) == 0 and space.epochs() == {3}
        after = space.tracked()
        assert {name: after[name] for name in before} == before

    def test_one_more_repetition(self, space: Workspace) -> None:
        assert space.repro(repetitions=2) == 2 and len(space.table()) == 4

    def test_the_code_of_one_engine(self, space: Workspace) -> None:
        program = space.root / "tests/fake_b/train.py"
        program.write_text(program.read_text() + "# A comment, and then code.\nCHANGED = 1\n")
        assert space.repro() == 2
        latest = [run for run in space.table() if run["engine"] == "fake_a"]
        assert {run["attempts"] for run in latest} == {"1"}

    def test_a_dataset_that_is_only_newer(self, space: Workspace) -> None:
        for path in (space.root / "data/prepared").rglob("*"):
            os.utime(path)
        assert space.repro() == 0

    def test_a_registry_entry_is_its_datasets_only(self, space: Workspace) -> None:
        registry = {"tiny": TINY, "small": {**TINY, "title": "Small", "train_examples": 60}}
        one_each = {"engines": FAKES[:1], "repetitions": 1}
        assert space.repro(registry=registry, datasets=["tiny", "small"], **one_each) == 1
        registry["small"] = {**TINY, "title": "Small", "train_examples": 70}
        assert space.repro(registry=registry) == 1
        assert space.repro(registry={"tiny": TINY}, datasets=["tiny"]) == 0

    def test_a_deleted_run_is_made_again_alone(self, space: Workspace) -> None:
        path = str(read_index(space.root / OUT / "index.json").runs[0].path)
        shutil.rmtree(space.root / path)
        assert space.repro() == 1

    def test_a_failed_training_is_told_stored_and_tried_again(self, space: Workspace) -> None:
        (space.root / "fake_mode").write_text("crash")
        space.repro(ok=False, warm_up_examples=0, seed=5)
        assert {run["status"] for run in space.table()} == {"failed"}
        (space.root / "fake_mode").unlink()
        assert space.repro() == 1
        assert {run["status"] for run in space.table()} == {"finished"}
        assert "Nothing to be done" in space.run("snakemake", "--cores", "1", "--dry-run")

    def test_metrics_and_plots(self, space: Workspace) -> None:
        shown = json.loads(space.dvc("metrics", "show", "--json"))
        numbers = shown[""]["data"][f"{OUT}/metrics.json"]["data"]["tiny"]["fake_a"]
        assert (
            numbers["training_s"] > 0
            and 0 <= numbers["test_accuracy"] <= 1
            and numbers["peak_rss_bytes"] > 1e6
        )
        # Since the commit of the first training.
        changed = json.loads(space.dvc("metrics", "diff", "--json"))
        assert any("training_s" in name for name in changed[f"{OUT}/metrics.json"])
        space.dvc("plots", "show", "--out", "plots")
        page = (space.root / "plots/index.html").read_text()
        assert all(
            title in page for title in ("Training time of every run", "Mean CPU use", "Mean memory")
        )
        shutil.rmtree(space.root / "plots")

    def test_killed_in_the_middle_only_the_missing_ones_are_made(self, space: Workspace) -> None:
        space.copy.settings |= {"repetitions": 4, "seed": 77}
        space.write_parameters()
        before = self.finished(space)
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=space.root,
            env=space.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while self.finished(space) < before + 2 and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done = self.finished(space) - before
        assert done >= 2 and space.repro() == 4 - done
        assert {run["status"] for run in space.table()} == {"finished"} and len(space.table()) == 4

    @staticmethod
    def finished(space: Workspace) -> int:
        return len(list((space.root / "results/runs").rglob("manifest.json")))


@pytest.mark.slow
def test_a_list_is_a_sweep_for_dvc_too(tmp_path: Path) -> None:
    """Two values, then one of them: what there is already is not trained again, and all of it is stored."""
    space = new_workspace(tmp_path / "space")
    space.copy.settings |= {"engines": FAKES[:1], "warm_up_examples": 0}
    epochs = space.copy.settings["epochs"]
    assert space.repro(epochs=[epochs + 1, epochs]) == 2
    assert space.repro(epochs=[epochs, epochs + 1]) == 0, "in whatever order"
    names = list(read_index(space.out / "index.json").named)
    assert names == [f"epochs-{epochs}", f"epochs-{epochs + 1}"]
    assert {run["epochs"] for run in space.table()} == {str(epochs), str(epochs + 1)}
    lock = (space.root / "dvc.lock").read_bytes()
    assert space.repro() == 0 and (space.root / "dvc.lock").read_bytes() == lock
    space.commit()
    listed = space.run(sys.executable, "scripts/prune.py")
    assert "nothing to remove: every run is named" in listed
    assert space.repro(epochs=epochs) == 0 and "epochs" not in space.table()[0]
