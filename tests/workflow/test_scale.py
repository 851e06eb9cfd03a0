"""Many runs: planning a thousand and a sweep of ten thousand, and a `dvc repro` over those that are there."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evenground.files import read_json, sha256_file, write_json
from evenground.records.index import read_index
from working_copy import ROOT, TINY, WorkingCopy, fresh_copy

REPETITIONS = 250
RUNS = 2 * 2 * REPETITIONS
# CPU seconds, which a busy machine does not stretch as it does time.
PLAN_LIMIT_S = 5.0
NO_OP_LIMIT_S = 15.0
# Two datasets, two engines, 25 points of 100 repetitions.
SWEEP = {"batch_size": [4, 8, 12, 16, 20], "threads": [1, 2, 3, 4, "all"], "repetitions": 100}
# The whole takes 17 s with nothing beside it, and 20.5 CPU seconds beside other work on both cores.
SWEEP_LIMIT_S = 30.0
SWEEP_LIMIT_BYTES = 2 * 2**30


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """Two datasets, two engines, one repetition of each trained."""
    copy = fresh_copy(tmp_path_factory.mktemp("scale") / "work")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (copy.root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy.root / name)
    registry = {"tiny": TINY, "small": {**TINY, "title": "Small", "train_examples": 60}}
    copy.settings |= {"datasets": ["tiny", "small"], "registry": registry, "deployment": "native"}
    copy.settings |= {"repetitions": 1, "warm_up_examples": 0}
    repro(copy, git=True)
    return copy


def cpu_s() -> float:
    """CPU seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def plan(copy: WorkingCopy, trainings: int) -> float:
    """Plan that many trainings in a dry run; CPU seconds that it took."""
    began_s = cpu_s()
    output = copy.call("--dry-run", "--cores", "1").stdout
    assert re.search(rf"^train +{trainings}$", output, re.M)
    return cpu_s() - began_s


def repro(copy: WorkingCopy, git: bool = False) -> float:
    """Call `dvc repro` with the settings as parameters; CPU seconds that it took."""
    (copy.root / "params.yaml").write_text(yaml.safe_dump(copy.settings, sort_keys=False))
    environ = {**copy.environ(), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    if git:
        subprocess.run(["git", "init", "--quiet"], cwd=copy.root, check=True)
    began_s = cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=copy.root,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return cpu_s() - began_s


def repeat(root: Path) -> None:
    """Let every recorded run stand there REPETITIONS times."""
    for first in sorted((root / "results/runs").rglob("r1")):
        for repetition in range(2, REPETITIONS + 1):
            folder = first.with_name(f"r{repetition}")
            shutil.copytree(first, folder)
            for name in ("outcome.json", "manifest.json"):
                content = read_json(folder / name)
                content["run"]["repetition"] = repetition
                if name == "manifest.json":
                    content["files"]["outcome.json"] = sha256_file(folder / "outcome.json")
                write_json(folder / name, content)


@pytest.mark.slow
class TestAThousandRuns:
    """In this order: planned, then there."""

    def test_are_planned_in_time(self, copy: WorkingCopy) -> None:
        copy.settings["repetitions"] = REPETITIONS
        took_s = plan(copy, trainings=RUNS - 4)
        print(f"planned in {took_s:.1f} CPU s")
        assert took_s < PLAN_LIMIT_S

    def test_that_are_there_cost_little(self, copy: WorkingCopy) -> None:
        repeat(copy.root)
        copy.settings |= {"repetitions": REPETITIONS}
        copy.log()
        recorded_s = repro(copy)
        assert len(read_index(copy.root / "results/native/index.json").runs) == RUNS
        lock = (copy.root / "dvc.lock").read_bytes()
        took_s = repro(copy)
        assert copy.trainings() == 0 and (copy.root / "dvc.lock").read_bytes() == lock
        print(f"recorded in {recorded_s:.1f} CPU s, nothing to do in {took_s:.1f}")
        assert took_s < NO_OP_LIMIT_S, took_s


@pytest.mark.slow
def test_a_sweep_of_ten_thousand_runs_is_planned_in_time_and_memory(copy: WorkingCopy) -> None:
    swept = WorkingCopy(copy.root, {**copy.settings, **SWEEP})
    took_s = plan(swept, trainings=10_000)
    most_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"planned in {took_s:.1f} CPU s and {most_bytes / 2**20:.0f} MiB")
    assert took_s < SWEEP_LIMIT_S
    assert most_bytes < SWEEP_LIMIT_BYTES
