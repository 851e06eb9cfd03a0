"""Lists and several machine classes in the real Snakefile, with fake engines."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evenground.files import read_json, sha256_file, write_json
from evenground.records.index import read_index
from evenground.runs.machine import this_machine
from working_copy import WorkingCopy, fresh_copy

RESULTS = "results/native"
OTHER = "cray-1-8c-64g-nogpu-1"


def table(copy: WorkingCopy, name: str) -> list[dict[str, str]]:
    path = copy.root / RESULTS / "tables" / f"{name}.csv"
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_of(copy: WorkingCopy, machine: str) -> None:
    """Copy every recorded run as if it had been made on a machine of another class, and slower."""
    here = copy.root / "results/runs" / this_machine().name
    shutil.copytree(here, here.with_name(machine))
    for folder in sorted(here.with_name(machine).glob("*/*/*/r*")):
        for name in ("outcome.json", "environment.json"):
            content = read_json(folder / name)
            if name == "outcome.json":
                content["run"]["machine"] = machine
            else:
                content["machine"] = {"class": machine, "description": "Cray 1, 8 cores"}
            write_json(folder / name, content)
        manifest = read_json(folder / "manifest.json")
        manifest["run"]["machine"] = machine
        manifest["files"] = {name: sha256_file(folder / name) for name in manifest["files"]}
        write_json(folder / "manifest.json", manifest)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    copy = fresh_copy(tmp_path_factory.mktemp("sweep") / "work")
    copy.settings |= {"warm_up_examples": 0}
    copy.calibrated()
    return copy


def counts_of_times(rows: list[dict[str, str]]) -> set[str]:
    """How many runs are behind each training time; idle time may not be known of a run on a busy machine."""
    return {row["n"] for row in rows if row["measure"] == "training_s"}


@pytest.mark.slow
class TestASweep:
    """In this order: two values, a third one, and back to one."""

    def test_two_values_are_two_conditions_in_one_index(self, swept: WorkingCopy) -> None:
        swept.settings["batch_size"] = [4, 8]
        said = swept.call("--cores", "2").stdout
        assert swept.trainings() == 2 * 2 * 2
        assert f"report:  {RESULTS}/report.html" in said
        rows = table(swept, "summary")
        assert sorted({row["batch_size"] for row in rows}) == ["4", "8"]
        index = read_index(swept.root / RESULTS / "index.json")
        assert index.swept == ("batch_size",)
        assert [len(condition.finished) for condition in index.conditions] == [4, 4]
        assert len(table(swept, "runs")) == 8 and counts_of_times(rows) == {"2"}
        figures = [one["name"] for one in read_json(swept.root / RESULTS / "figures/figures.json")]
        assert any(name.startswith("scaling_tiny_batch_size_time") for name in figures)
        assert (swept.root / RESULTS / "complete.json").is_file()

    def test_nothing_is_done_twice(self, swept: WorkingCopy) -> None:
        again = swept.call("--cores", "2")
        assert "Nothing to be done" in again.stdout + again.stderr and swept.trainings() == 0

    def test_a_value_more_trains_that_value_only(self, swept: WorkingCopy) -> None:
        swept.settings["batch_size"] = [4, 8, 16]
        swept.call("--cores", "2")
        assert swept.trainings() == 2 * 2
        assert {row["batch_size"] for row in table(swept, "runs")} == {"4", "8", "16"}

    def test_one_value_again_needs_no_training(self, swept: WorkingCopy) -> None:
        swept.settings["batch_size"] = 8
        swept.call("--cores", "2")
        assert swept.trainings() == 0
        rows = table(swept, "summary")
        assert "batch_size" not in rows[0] and counts_of_times(rows) == {"2"}
        index = read_index(swept.root / RESULTS / "index.json")
        assert index.swept == () and list(index.named) == [""] and len(index.finished) == 4


@pytest.mark.slow
def test_two_machine_classes_in_one_results_folder(copy: WorkingCopy) -> None:
    """Runs of another class were copied here: both are in one index and in each table."""
    copy.settings |= {"warm_up_examples": 0}
    copy.calibrated()
    copy.call("--cores", "2", "runs")
    copy.trainings()
    as_of(copy, OTHER)
    copy.settings["machine"] = ["here", OTHER]
    copy.call("--cores", "2")
    assert copy.trainings() == 0
    here = this_machine().name
    rows = table(copy, "summary")
    assert list(dict.fromkeys(row["machine"] for row in rows)) == [here, OTHER]
    assert counts_of_times(rows) == {"2"}
    said = (copy.root / RESULTS / "tables/summary.md").read_text()
    assert "Cray 1, 8 cores" in said and this_machine().description in said
    assert {row["agree"] for row in table(copy, "agreement")} == {"not comparable"}


def script(copy: WorkingCopy, name: str, *arguments: str) -> str:
    """What a script of the working copy prints; it must succeed."""
    command = [sys.executable, f"scripts/{name}.py", *arguments]
    done = subprocess.run(
        command, cwd=copy.root, env=copy.environ(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_sweep_on_two_machines_is_packed_compared_and_adopted(
    copy: WorkingCopy, tmp_path: Path
) -> None:
    copy.settings |= {"warm_up_examples": 0, "batch_size": [4, 8]}
    copy.calibrated()
    copy.call("--cores", "2", "runs")
    as_of(copy, OTHER)
    copy.settings["machine"] = ["here", OTHER]
    copy.call("--cores", "2")
    here = this_machine().name
    assert f"16 runs of {here}, {OTHER}" in script(copy, "bundle", "sweep.zip")

    said = script(copy, "compare", "sweep.zip", RESULTS)
    shared = f"4 runs are in both `sweep, {OTHER}` and `native, {OTHER}`"
    assert f"{shared}: no comparison of two measurements.** At batch size 4; batch size 8." in said

    other = fresh_copy(tmp_path / "other")
    script(other, "adopt", str(copy.root / "sweep.zip"))
    other.settings = read_json(other.root / "results/adopted/sweep.json")
    other.call("--cores", "2")
    assert other.trainings() == 0
    for name in ("summary", "ratios", "across", "runs", "agreement"):
        assert table(other, name) == table(copy, name)


@pytest.mark.slow
def test_a_condition_that_fails_fails_the_invocation_after_all_was_drawn(copy: WorkingCopy) -> None:
    copy.settings |= {"warm_up_examples": 0, "repetitions": 1, "batch_size": [4]}
    copy.calibrated()
    copy.call("--cores", "2", "runs")
    copy.settings["batch_size"] = [4, 8]
    (copy.root / "fake_mode").write_text("crash")
    failed = copy.call("--cores", "2", ok=False)
    assert "2 of 4 wanted runs did not finish" in failed.stdout + failed.stderr
    rows = table(copy, "runs")
    assert {(row["batch_size"], row["status"]) for row in rows} == {
        ("4", "finished"),
        ("8", "failed"),
    }
    assert (copy.root / RESULTS / "report.html").is_file()
    (copy.root / "fake_mode").unlink()
    copy.trainings()
    copy.call("--cores", "2")
    assert copy.trainings() == 2 and (copy.root / RESULTS / "complete.json").is_file()
