"""The real Snakefile with fake engines: what is trained, in which order, and what the tables say."""

from __future__ import annotations

import csv
import html
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evenground.records.index import read_index
from evenground.runs.index import missed_goals
from working_copy import WorkingCopy, fresh_copy, trainings_in, wait_until

Called = tuple[WorkingCopy, list[str]]
TABLE = "results/native/tables/runs.csv"
INDEX = "results/native/index.json"


def table(copy: WorkingCopy) -> list[dict[str, str]]:
    with (copy.root / TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def condition(copy: WorkingCopy) -> dict:  # type: ignore[type-arg]
    """The only condition in the index."""
    (only,) = json.loads((copy.root / INDEX).read_text())["conditions"]
    return only


def epochs_in_table(copy: WorkingCopy) -> set[int]:
    """The epochs that the runs behind the table really trained."""
    found = set()
    for run in condition(copy)["runs"]:
        lines = (copy.root / run["path"] / "events.jsonl").read_text().splitlines()
        found.add(sum('"epoch_end"' in line for line in lines))
    return found


@pytest.mark.slow
def test_stand_ins_are_judged_without_a_training(copy: WorkingCopy) -> None:
    """Two fake engines: first no claim can be judged, then they play the roles."""
    verdicts = copy.root / "results/native/tables/verdicts.csv"

    def times() -> list[dict[str, str]]:
        copy.call("--cores", "2", str(verdicts.relative_to(copy.root)))
        with verdicts.open(encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if row["claim"] == "T1"]

    assert {row["verdict"] for row in times()} == {
        "cannot be tested here"
    } and copy.trainings() == 4
    players = {"elixir": "fake_a", "python": "fake_b", "mnist": "tiny"}
    copy.settings["stand_ins"] = players
    ours, published = times()
    assert float(ours["estimate"]) > 0 and (ours["n_a"], ours["n_b"]) == ("2", "2")
    assert ours["demonstration"].startswith(
        "fake_a as elixir; fake_b as python; tiny as mnist; epochs 2 "
    )
    assert ours["verdict"] == published["verdict"] == "too few runs"
    assert copy.trainings() == 0


@pytest.mark.slow
def test_nothing_stale_and_nothing_for_nothing(copy: WorkingCopy) -> None:
    """Changed, reverted, fewer and more repetitions, an engine removed, a run deleted."""
    copy.settings["warm_up_examples"] = 0
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 4
    first = (copy.root / TABLE).read_text()
    assert len(table(copy)) == 4 and epochs_in_table(copy) == {2}

    copy.settings |= {"epochs": 3, "repetitions": 1}
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 2 and epochs_in_table(copy) == {3}

    copy.settings |= {"epochs": 2, "repetitions": 2}
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 0 and epochs_in_table(copy) == {2}
    assert (copy.root / TABLE).read_text() == first

    copy.settings["repetitions"] = 3
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 2 and len(table(copy)) == 6

    copy.settings |= {"engines": copy.settings["engines"][:1], "repetitions": 1}
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 0 and [row["engine"] for row in table(copy)] == ["fake_a"]

    shutil.rmtree(copy.root / condition(copy)["runs"][0]["path"])
    copy.call("--cores", "2", TABLE)
    assert copy.trainings() == 1 and len(table(copy)) == 1


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Called:
    """One call with more cores than a training takes, and what the fake engines logged."""
    copy = fresh_copy(tmp_path_factory.mktemp("called"))
    copy.settings["repetitions"] = 3
    copy.call("--cores", "8", "results/native/index.json")
    return copy, copy.log()


def test_order_is_enforced_whatever_the_cores(called: Called) -> None:
    copy, log = called
    wanted = [f"seed={2022 + run['repetition']}" for run in condition(copy)["runs"]]
    begun = [line for line in log if line.startswith("begin")]
    assert [
        next(word for word in line.split() if word.startswith("seed=")) for line in begun
    ] == wanted
    turns = [line.removeprefix("warm-up ").split()[0] for line in log]
    assert turns == ["begin", "end"] * (len(log) // 2), "two trainings ran at once"


def test_warm_up_comes_first_once_per_engine_and_is_not_counted(
    called: Called,
) -> None:
    copy, log = called
    begun = [line for line in log if "begin" in line]
    assert sum(line.startswith("warm-up") for line in begun) == 2
    assert begun[0].startswith("warm-up") and "epochs=1" in begun[0]
    runs = condition(copy)["runs"]
    records = [
        json.loads((copy.root / run["path"] / "environment.json").read_text()) for run in runs
    ]
    warm_ups = [record["warm_up"] for record in records if record["warm_up"]]
    assert len(runs) == 6 and len(warm_ups) == 2
    assert all(warm_up["examples"] == 32 and warm_up["wall_s"] > 0 for warm_up in warm_ups)


def test_a_run_folder_is_whole(called: Called) -> None:
    copy, _ = called
    names = {"environment.json", "events.jsonl", "manifest.json", "outcome.json"}
    names |= {"samples.csv", "samples.json", "spec.json", "train.log"}
    for run in condition(copy)["runs"]:
        folder = copy.root / run["path"]
        assert {path.name for path in folder.iterdir()} == names
        record = json.loads((folder / "environment.json").read_text())
        assert record["cores"] and record["memory_bytes"] and record["load_average_before"]
        assert record["cpus"]["n_chosen"] == min(2, record["cores"]) and record["cpus"]["chosen"]
        assert socket.gethostname() not in json.dumps(record)


def test_a_second_invocation_has_nothing_to_do(called: Called) -> None:
    copy, _ = called
    done = copy.call("--cores", "2", "results/native/index.json")
    assert "Nothing to be done" in done.stdout + done.stderr
    assert copy.trainings() == 0


def test_a_calibration_that_is_there_is_not_made_again_for_a_new_dataset(called: Called) -> None:
    copy, _ = called
    recorded = json.loads((copy.root / condition(copy)["calibration"]["path"]).read_text())
    assert list(recorded["figures"]) == ["made"]
    assert missed_goals(read_index(copy.root / INDEX)) == {"made"}


@pytest.mark.slow
def test_snakemakes_own_report_has_the_figures_with_their_captions(copy: WorkingCopy) -> None:
    copy.call("--cores", "2", "--report", "early.html", ok=False)
    assert not (copy.root / "early.html").exists()
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    copy.call("--cores", "2")
    results = copy.root / "results/native"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    copy.call("--report", "snakemake.html")
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    page = (copy.root / "snakemake.html").read_text()
    figures = json.loads((results / "figures/figures.json").read_text())
    assert len(figures) > 5
    for figure in figures:
        assert f"<p>{html.escape(figure['caption'], quote=False)}</p>" in page
        assert figure["title"] in page and f'"{figure["name"]}.svg"' in page
    tables = {path.name for path in (results / "tables").glob("*.csv")}
    assert all(f'"{name}"' in page for name in (*tables, "report.html"))


def test_a_changed_record_is_refused(called: Called, tmp_path: Path) -> None:
    copy, _ = called
    shutil.copytree(copy.root, tmp_path / "copy")
    run = tmp_path / "copy" / condition(copy)["runs"][0]["path"]
    (run / "samples.csv").write_text("t\n")
    command = [
        sys.executable,
        "scripts/index.py",
        "--plan",
        "results/native/plan.json",
        "--output",
        "new.json",
    ]
    done = subprocess.run(command, cwd=tmp_path / "copy", capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("error: a recorded run was changed: samples.csv")
        and done.stderr.count("\n") == 1
    )


@pytest.mark.slow
def test_a_failed_training_is_drawn_fails_the_invocation_and_is_tried_again(
    copy: WorkingCopy,
) -> None:
    copy.train_once()
    (copy.root / "fake_mode").write_text("crash")
    done = copy.call("--cores", "2", "all", ok=False)
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith("error: 1 of 1")
    ]
    assert len(said) == 1 and "crashed" in said[0]
    last = done.stderr.splitlines()[-2:]
    assert last[0] == "1 of 1 wanted runs did not finish:", "after Snakemake's own words"
    assert last[1].startswith(
        "  tiny fake_a r1: crashed: exit code 1; last line: the fake engine was told"
    )
    log = copy.root / last[1].rpartition("(")[2].rstrip(")")
    assert "the fake engine was told to crash" in log.read_text()
    assert (copy.root / "results/native/figures/figures.json").is_file(), "it draws before it fails"
    assert [(row["status"], row["reason"], row["attempts"]) for row in table(copy)] == [
        ("failed", "crashed", "1")
    ]
    assert not list((copy.root / "results/runs").rglob("*.json")), "only finished runs stand there"
    assert list((copy.root / "results/attempts").rglob("train.log")), "its log is kept"

    (copy.root / "fake_mode").unlink()
    assert "did not finish" not in copy.call("--cores", "2", "all").stderr
    page = (copy.root / "results/native/report.html").read_text()
    assert "<code>snakemake --configfile settings.yaml --cores 2 all</code>" in page, (
        "under: Do it again"
    )
    assert [(row["status"], row["attempts"]) for row in table(copy)] == [("finished", "2")]
    nothing = copy.call("--cores", "2", "--dry-run")
    assert "Nothing to be done" in nothing.stdout + nothing.stderr


@pytest.mark.slow
def test_a_killed_pipeline_leaves_no_training_behind(copy: WorkingCopy) -> None:
    (copy.root / "fake_mode").write_text("hang")
    copy.settings["warm_up_examples"] = 0
    (copy.root / "settings.yaml").write_text(yaml.safe_dump(copy.settings))
    command = [sys.executable, "-m", "snakemake", "--configfile", "settings.yaml", "--cores", "2"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    pipeline = subprocess.Popen(command, cwd=copy.root, env=copy.environ(), **quiet)
    assert wait_until(lambda: copy.trainings() > 0, 60)
    assert trainings_in(copy.root) > 0
    pipeline.kill()
    pipeline.wait()
    assert wait_until(lambda: trainings_in(copy.root) == 0, 10)


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


@pytest.mark.slow
def test_the_sampler_is_calibrated_once_before_the_first_training(copy: WorkingCopy) -> None:
    copy.train_once()
    made = copy.calibrated()
    made.unlink()
    copy.call("--cores", "2", "results/native/index.json")
    figures = json.loads(made.read_text())["figures"]
    assert figures["cpu_total_kernel"]["passed"] and len(figures) > 20
    begun_ns = int((copy.root / "order.log").read_text().split()[0])
    assert made.stat().st_mtime_ns < begun_ns
    recorded = condition(copy)["calibration"]
    assert (copy.root / recorded["path"]) == made and len(recorded["sha256"]) == 64
    again = copy.call("--cores", "2", "results/native/index.json")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.slow
def test_a_sampler_that_cannot_be_calibrated_is_a_result_and_stops_no_training(
    copy: WorkingCopy,
) -> None:
    copy.train_once()
    loads = copy.root / "src/evenground/sidecar/calibration/loads.py"
    future = "from __future__ import annotations\n"
    broken = future + 'if __name__ == "__main__":\n    raise SystemExit("no load today")\n'
    loads.write_text(loads.read_text().replace(future, broken))
    copy.call("--cores", "2", TABLE)
    assert [row["status"] for row in table(copy)] == ["finished"]
    assert missed_goals(read_index(copy.root / INDEX)) == {"the calibration itself"}
    assert "status 125" in (copy.root / "results/native/tables/calibration.md").read_text()
