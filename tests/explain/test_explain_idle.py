"""The target `explain_idle`, called by root and by an ordinary user: causes that are found, and refusals."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evenground.environments.build import MARKER, env_dir
from explain.made import as_user, give, py_spy
from working_copy import ROOT, WorkingCopy, fresh_copy

SLEEPS = {
    "wait_inside": "epoch 1",
    "wait_between": "after epoch 1",
    "wait_after_last": "after epoch 2",
}
Row = dict[str, str]
OUT = Path("results/native/explain_idle")
WAITING = {"name": "waiting", "folder": "tests/explain/waiting_engine"}
REFUSED = {**WAITING, "name": "refused", "arm_of": "waiting", "options": {"undumpable": True}}
SHELL = {"name": "dummy", "folder": "tests/engines/dummy_shell"}
ONE = {"repetitions": 1, "epochs": 2, "warm_up_examples": 0, "time_limit_s": 60.0}


def made_copy(to: Path, *engines: object) -> WorkingCopy:
    """A working copy with these engines, and py-spy's environment as if it had been built."""
    copy = fresh_copy(to)
    for folder in (WAITING["folder"], SHELL["folder"]):
        shutil.copytree(ROOT / folder, to / folder)
    script = to / SHELL["folder"] / "train.sh"
    script.write_text(script.read_text().replace("event train_end;", "sleep 1; event train_end;"))
    copy.settings |= {"engines": [*engines], **ONE}
    environment = to / "cache/envs" / env_dir("explain").name
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/py-spy").symlink_to(py_spy())
    (environment / "bin/python").symlink_to(sys.executable)
    (environment / MARKER).write_text('{"packages": {}}')
    return copy


def call(copy: WorkingCopy, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`snakemake explain_idle` as `root` or an `ordinary` user."""
    before = as_user(user)
    (copy.root / "settings.yaml").write_text(yaml.safe_dump(copy.settings))
    if before:
        give(copy.root)
    command = [sys.executable, "-m", "snakemake", "explain_idle", "--configfile", "settings.yaml"]
    env = {**copy.environ(), "HOME": str(copy.root), "XDG_CACHE_HOME": str(copy.root / "cache")}
    words = [*before, *command, *(arguments or ("--cores", "2"))]
    return subprocess.run(
        words, cwd=copy.root, env=env, capture_output=True, text=True, check=False
    )


def rows(copy: WorkingCopy, engine: str, **where: str) -> list[Row]:
    with (copy.root / OUT / "idle_causes.csv").open(encoding="utf-8") as file:
        wanted = {"engine": engine, **where}
        return [row for row in csv.DictReader(file) if wanted.items() <= row.items()]


@pytest.mark.slow
@pytest.mark.parametrize("user", ["root", "ordinary"])
def test_the_table_names_what_each_engine_waits_for(tmp_path: Path, user: str) -> None:
    as_user(user)
    copy = made_copy(tmp_path, WAITING, SHELL, *([REFUSED] if user == "ordinary" else []))
    done = call(copy, user)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"what the engines waited for: {OUT / 'idle_causes.md'}" in done.stderr + done.stdout
    _sleeps_are_named(copy)
    _shell_is_named(copy)
    _the_tracers_are_ancestors(copy)
    _nothing_is_counted(copy)
    if user == "ordinary":
        _refusal_is_named(copy)


def _sleeps_are_named(copy: WorkingCopy) -> None:
    """Whatever else a loaded machine makes of the engine: each sleep has its window, in its phase."""
    engine = (ROOT / WAITING["folder"] / "train.py").read_text().splitlines()
    found = rows(copy, "waiting", tracer="py-spy")
    for name, phase in SLEEPS.items():
        line = engine.index(f"def {name}() -> None:") + 2
        where = f"{name} ({WAITING['folder']}/train.py:{line})"
        (row,) = (row for row in found if where in row["frames"] and float(row["share"]) > 0.4)
        frames = row["frames"].split(" ← ")
        assert "nanosleep" in frames[0] or "select" in frames[0], frames
        assert (row["phase"], row["thread"]) == (phase, "MainThread")
        assert 0.8 < float(row["length_s"]) < 2.0
        (waits, *_) = rows(copy, "waiting", tracer="kernel", window=row["window"])
        assert waits["frames"].startswith(("clock_nanosleep (", "restart_syscall (", "pselect6 ("))


def _shell_is_named(copy: WorkingCopy) -> None:
    found = rows(copy, "dummy")
    assert {row["tracer"] for row in found} == {"kernel"} and {row["phase"] for row in found} == {
        "after epoch 2"
    }
    calls = {(row["process"], row["frames"].split(" ")[0]) for row in found}
    assert ("sleep", "clock_nanosleep") in calls and "wait4" in {call for _, call in calls}


def _the_tracers_are_ancestors(copy: WorkingCopy) -> None:
    """Where Yama's ptrace_scope is 1, an ordinary user's tracers must be; here it may be 0 or not there."""
    (log,) = (copy.root / OUT).glob("tiny/waiting/*/1/train.log")
    last = log.read_text().splitlines()[-1]
    assert last.startswith("ancestors:") and last.index("py-spy") < last.rindex("python"), last


def _nothing_is_counted(copy: WorkingCopy) -> None:
    assert (
        not (copy.root / "results/runs").exists() and not (copy.root / "results/attempts").exists()
    )


def _refusal_is_named(copy: WorkingCopy) -> None:
    assert rows(copy, "refused", tracer="py-spy") and rows(copy, "refused", tracer="kernel")
    # That it runs, anybody may see.
    for row in rows(copy, "refused"):
        if not row["frames"].startswith("runs"):
            assert row["reason"].startswith("not permitted: ") and row["frames"] == ""


@pytest.mark.slow
def test_a_failed_training_has_its_row_fails_the_invocation_and_is_made_anew(
    tmp_path: Path,
) -> None:
    user = "root" if os.geteuid() == 0 else "ordinary"
    copy = made_copy(tmp_path, {"name": "fake", "folder": "tests/fake_engine"}, SHELL)
    (copy.root / "fake_mode").write_text("crash")
    done = call(copy, user)
    assert done.returncode != 0
    assert "error: 1 of 2 extra trainings failed: tiny fake (" in done.stdout + done.stderr
    (failed,) = rows(copy, "fake")
    assert failed["reason"].startswith(
        "the training failed: crashed: exit code 1; last line: the fake engine"
    )
    assert rows(copy, "dummy", tracer="kernel")
    (copy.root / "fake_mode").unlink()
    again = call(copy, user)
    assert again.returncode == 0, again.stdout + again.stderr
    assert [row["reason"] for row in rows(copy, "fake")] == ["no idle window"]
    assert sorted(
        path.parent.name for path in (copy.root / OUT).glob("tiny/fake/*/*/explained.json")
    ) == [
        "1",
        "2",
    ]
    assert len(list((copy.root / OUT).glob("tiny/dummy/*/*/explained.json"))) == 1, (
        "it is there: not made anew"
    )


@pytest.mark.slow
def test_a_value_more_is_another_condition_of_the_same_table(tmp_path: Path) -> None:
    """What is there is not made again, and has the name that its condition has today."""
    user = "root" if os.geteuid() == 0 else "ordinary"
    copy = made_copy(tmp_path, SHELL)
    for epochs, names in ((2, {""}), ([2, 3], {"epochs-2", "epochs-3"}), (2, {""})):
        copy.settings["epochs"] = epochs
        done = call(copy, user)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {row["condition"] for row in rows(copy, "dummy")} == names
    assert len(list((copy.root / OUT).glob("tiny/dummy/*/*/explained.json"))) == 2


@pytest.mark.parametrize(
    ("settings", "arguments", "where"),
    [
        ({"deployment": "apptainer"}, (), "in containers"),
        ({}, ("--executor", "slurm", "--jobs", "2"), "on a cluster"),
    ],
)
def test_only_native_trainings_of_this_machine_are_traced(
    tmp_path: Path, settings: dict[str, str], arguments: tuple[str, ...], where: str
) -> None:
    copy = made_copy(tmp_path, SHELL)
    copy.settings |= settings
    done = call(copy, "root" if os.geteuid() == 0 else "ordinary", *arguments)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and where in said, said
    assert not (copy.root / OUT).exists()
