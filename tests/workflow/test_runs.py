"""The real Snakefile with fake engines: what is trained, in which order, and what the tables say."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from working_copy import WorkingCopy

TABLE = "results/tables/runs.csv"


def table(copy: WorkingCopy) -> list[dict[str, str]]:
    with (copy.root / TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def index(copy: WorkingCopy) -> dict:  # type: ignore[type-arg]
    return json.loads((copy.root / "results/index.json").read_text())


def epochs_in_table(copy: WorkingCopy) -> set[int]:
    """The epochs that the runs behind the table really trained."""
    found = set()
    for run in index(copy)["runs"]:
        lines = (copy.root / run["path"] / "events.jsonl").read_text().splitlines()
        found.add(sum('"epoch_end"' in line for line in lines))
    return found


def test_nothing_stale_and_nothing_for_nothing(copy: WorkingCopy) -> None:
    """Changed, reverted, fewer and more repetitions, an engine removed, a run deleted."""
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 4
    first = (copy.root / TABLE).read_text()
    assert len(table(copy)) == 4 and epochs_in_table(copy) == {2}

    again = copy.call("--cores", "2", TABLE)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert copy.trainings() == 0

    copy.settings["epochs"] = 3
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 4 and epochs_in_table(copy) == {3}

    copy.settings["epochs"] = 2
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 0 and epochs_in_table(copy) == {2}
    assert (copy.root / TABLE).read_text() == first

    copy.settings["repetitions"] = 1
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 0 and len(table(copy)) == 2

    copy.settings["repetitions"] = 3
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 2 and len(table(copy)) == 6

    copy.settings["engines"] = copy.settings["engines"][:1]
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 0 and {row["engine"] for row in table(copy)} == {"fake_a"}

    shutil.rmtree(copy.root / index(copy)["runs"][0]["path"])
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 1 and len(table(copy)) == 3


def test_order_is_enforced_whatever_the_cores(copy: WorkingCopy) -> None:
    copy.settings["repetitions"] = 4
    copy.call("--cores", "8", "results/index.json")
    log = copy.log()
    seeds = {run["order"]: (run["engine"], 2022 + run["repetition"]) for run in index(copy)["runs"]}
    begun = [line for line in log if line.startswith("begin")]
    assert [int(line.split("seed=")[1].split()[0]) for line in begun] == [seeds[k][1] for k in sorted(seeds)]
    ended = [line.removeprefix("warm-up ").split()[0] for line in log]
    assert ended == ["begin", "end"] * (len(log) // 2), "two trainings ran at once"


def test_warm_up_comes_first_once_per_engine_and_is_not_counted(copy: WorkingCopy) -> None:
    copy.call("--cores", "2", "results/index.json")
    log = [line for line in copy.log() if "begin" in line]
    assert sum(line.startswith("warm-up") for line in log) == 2
    assert log[0].startswith("warm-up") and "epochs=1" in log[0]
    recorded = [
        json.loads((copy.root / run["path"] / "environment.json").read_text())["warm_up"]
        for run in index(copy)["runs"]
    ]
    assert sum(record is not None for record in recorded) == 2
    assert all(record["images"] == 32 and record["wall_s"] > 0 for record in recorded if record)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("crash", "crashed"),
        ("kill", "killed-by-signal"),
        ("broken", "broken-events"),
        ("lazy", "incomplete-events"),
        ("hang", "time-limit"),
    ],
)
def test_a_failed_training_is_an_outcome_and_is_tried_again(
    copy: WorkingCopy, mode: str, reason: str
) -> None:
    copy.settings |= {"repetitions": 1, "engines": copy.settings["engines"][:1], "warm_up_images": 0}
    copy.settings["time_limit_s"] = 2.0
    (copy.root / "fake_mode").write_text(mode)
    done = copy.call("--cores", "2", "all", ok=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: 1 of 1")]
    assert len(said) == 1 and reason in said[0]
    assert (copy.root / "results/figures/figures.json").is_file(), "it draws before it fails"
    assert [(row["status"], row["reason"], row["attempts"]) for row in table(copy)] == [
        ("failed", reason, "1")
    ]
    assert not list((copy.root / "results/runs").rglob("*.json")), "only finished runs stand there"
    assert list((copy.root / "results/attempts").rglob("train.log")), "its log is kept"

    (copy.root / "fake_mode").unlink()
    copy.call("--cores", "2", "all")
    assert [(row["status"], row["attempts"]) for row in table(copy)] == [("finished", "2")]
    nothing = copy.call("--cores", "2", "--dry-run")
    assert "Nothing to be done" in nothing.stdout + nothing.stderr


def test_a_changed_record_is_refused(copy: WorkingCopy) -> None:
    copy.settings |= {"repetitions": 1, "engines": copy.settings["engines"][:1]}
    copy.call("--cores", "2", "results/index.json")
    run = copy.root / index(copy)["runs"][0]["path"]
    (run / "samples.csv").write_text("t\n")
    command = [
        sys.executable,
        "scripts/index.py",
        "--plan",
        "results/plan.json",
        "--output",
        "results/index.json",
    ]
    done = subprocess.run(command, cwd=copy.root, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("error: a recorded run was changed: samples.csv")
        and done.stderr.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch' = 3 (params.yaml): did you mean 'epochs'?"),
        ({"datasets": ["mnits"]}, "unknown dataset 'mnits'"),
        ({"engines": ["karas"]}, "unknown engine 'karas'"),
    ],
)
def test_bad_configuration_is_one_clear_line(
    copy: WorkingCopy, change: dict[str, object], message: str
) -> None:
    copy.settings |= change
    done = copy.call("--cores", "2", "--dry-run", ok=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
    assert len(said) == 1 and said[0].startswith("error: ")


def test_a_run_folder_is_whole(copy: WorkingCopy) -> None:
    copy.settings |= {"repetitions": 1}
    copy.call("--cores", "2", "results/index.json")
    names = {"environment.json", "events.jsonl", "manifest.json", "outcome.json"}
    names |= {"samples.csv", "samples.json", "train.log"}
    for run in index(copy)["runs"]:
        folder = copy.root / run["path"]
        assert {path.name for path in folder.iterdir()} == names
        record = json.loads((folder / "environment.json").read_text())
        assert record["cores"] and record["memory_bytes"] and record["load_average_before"]
        assert Path.home().name not in json.dumps(record) or Path.home().name == "root"
