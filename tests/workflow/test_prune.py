"""`prune` as it is called: what indexes, plans and `--keep` hold, and when it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from evenground.bundle.unpack import extract, find_index
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.plan import Machine, Run
from evenground.runs.plan import ATTEMPTS, RUNS
from evenground.runs.prune import refuse_busy
from made_records import index_of, made_condition, made_plan, made_run, made_wanted, write_index
from working_copy import ROOT, copy_repository

INDEX = "results/native/index.json"
SIZE = 1000
# What DVC must find beside the runs before it stores them.
DRAWN = ("normalised/x", "tables/x", "figures/x", "metrics.json", "verdicts.json", "report.html")
OUTS = ("data/prepared/x", "results/calibration/x", "results/contact_sheets/x")
OUTS += tuple(f"results/native/{name}" for name in DRAWN)
# Every run is called after what names it.
KEPT = {"main", "second", "image", "planned"}
OLD = {"other", "never"}


def place(name: str) -> Path:
    return Path("machine/tiny/fake", name, "r1")


def run(name: str) -> Run:
    return made_run("fake", machine="machine", dataset="tiny", key=name)


def write_sweep(path: Path, *names: str) -> None:
    """An index of a condition for each run."""
    conditions = []
    machine = Machine(class_name="machine", description="Made CPU, 2 cores")
    for epochs, name in enumerate(names, 1):
        values = {"epochs": epochs}
        conditions.append(made_condition(made_wanted(run(name)), machine=machine, values=values))
    index_of(*conditions).write(path)


@dataclass
class Space:
    """A working copy with DVC's configuration and without git; no run is trained."""

    root: Path

    def run(self, *command: str | Path, ok: bool = True, cwd: Path | None = None) -> str:
        """Call a command: what it printed, or of one that must fail its error."""
        who = {
            f"GIT_{who}_{what}": "t@t"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        environ = {**os.environ, **who}
        done = subprocess.run(
            command, cwd=cwd or self.root, env=environ, capture_output=True, text=True
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def prune(self, *arguments: str | Path) -> str:
        """Call it from elsewhere."""
        return self.run(sys.executable, self.root / "scripts/prune.py", *arguments, cwd=Path("/"))

    def refused(self, *arguments: str | Path) -> str:
        """The one line it is refused with; no run is gone."""
        before = self.runs()
        said = self.run(
            sys.executable, self.root / "scripts/prune.py", "--yes", *arguments, ok=False
        )
        assert said.startswith("error: ") and said.count("\n") == 1
        assert self.runs() == before
        return said

    def make(self, name: str) -> None:
        """A run and its attempt."""
        for folder in (self.root / RUNS / place(name), self.root / ATTEMPTS / place(name) / "1"):
            folder.mkdir(parents=True)
            (folder / "outcome.json").write_text(f"{name:<{SIZE}}")

    def runs(self, top: Path = RUNS) -> set[str]:
        return {path.parent.name for path in (self.root / top).glob("*/*/*/*/r1")}

    def taken(self) -> int:
        return sum(
            path.stat().st_size for path in (self.root / "results").rglob("*") if path.is_file()
        )


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """One run for each kind of file that names runs."""
    space = Space(tmp_path / "work")
    copy_repository(space.root)
    (space.root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", space.root / ".dvc/config")
    for name in KEPT | OLD:
        space.make(name)
    write_sweep(space.root / INDEX, "main", "second")
    write_index(space.root / "results/apptainer/index.json", run("image"))
    made_plan(run("planned")).write(space.root / "results/native/plan.json")
    return space


@pytest.fixture
def bundle() -> Path:
    (file,) = (ROOT / "published").glob("*.zip")
    return file


@pytest.mark.slow
class TestPrune:
    def test_only_what_no_index_names_goes_and_what_is_listed_is_freed(self, space: Space) -> None:
        before = space.taken()
        said = space.prune()
        assert space.runs() == space.runs(ATTEMPTS) == KEPT | OLD and space.taken() == before
        assert set(re.findall(r"results/runs/machine/tiny/fake/(\w+)/r1\n", said)) == OLD
        assert f"{4 * SIZE:,} bytes in all; runs: 2, folders of attempts: 2" in said
        assert said.endswith("nothing was removed; to remove them: evenground prune --yes\n")
        assert "dvc gc" in space.prune("--yes")
        assert space.runs() == space.runs(ATTEMPTS) == KEPT and before - space.taken() == 4 * SIZE
        assert "nothing to remove" in space.prune("--yes") and before - space.taken() == 4 * SIZE

    def test_without_its_file_each_of_them_goes(self, space: Space) -> None:
        (space.root / INDEX).unlink()
        shutil.rmtree(space.root / "results/apptainer")
        space.prune("--yes")
        assert space.runs() == space.runs(ATTEMPTS) == {"planned"}

    def test_indexes_that_are_given_keep_their_runs(self, space: Space, tmp_path: Path) -> None:
        one, two = tmp_path / "one index.json", tmp_path / "two.json"
        write_index(one, run("other"))
        write_sweep(two, "main", "never")
        said = space.prune("--keep", one)
        assert "fake/never/" in said and "fake/other/" not in said
        assert said.endswith(f"evenground prune --keep '{one}' --yes\n")
        space.prune("--yes", "--keep", one, "--keep", two)
        assert space.runs() == space.runs(ATTEMPTS) == KEPT | OLD

    def test_a_bundle_that_is_given_keeps_its_runs(
        self, space: Space, tmp_path: Path, bundle: Path
    ) -> None:
        extract(bundle, tmp_path / "bundle")
        named = sorted(read_index(find_index(tmp_path / "bundle")).run_paths)
        for path in named[:2]:
            (space.root / RUNS / path).mkdir(parents=True)
        space.prune("--yes", "--keep", bundle)
        assert all((space.root / RUNS / path).is_dir() for path in named[:2])
        assert space.runs(ATTEMPTS) == KEPT
        space.prune("--yes")
        assert not any((space.root / RUNS / path).exists() for path in named[:2])

    def test_a_file_to_keep_that_cannot_be_read_is_refused(
        self, space: Space, tmp_path: Path, bundle: Path
    ) -> None:
        torn = tmp_path / "torn.json"
        assert "the file is missing" in space.refused("--keep", torn)
        torn.write_text('{"runs": [')
        assert "name an index.json or a bundle that is whole" in space.refused("--keep", torn)
        torn.write_text('{"verdicts": []}')
        assert f"broken index, it has no schema number ({torn})" in space.refused("--keep", torn)
        half = tmp_path / "half.zip"
        half.write_bytes(bundle.read_bytes()[:100_000])
        assert f"it cannot be read: File is not a zip file ({half})" in space.refused(
            "--keep", half
        )

    def test_a_torn_index_here_is_refused(self, space: Space) -> None:
        (space.root / INDEX).write_text("{")
        assert "not valid JSON" in space.refused()

    def test_without_any_index_nothing_goes(self, space: Space, tmp_path: Path) -> None:
        shutil.rmtree(space.root / "results/native")
        shutil.rmtree(space.root / "results/apptainer")
        assert "no index and no plan here names any run" in space.refused()
        write_index(tmp_path / "index.json", run("other"))
        space.prune("--yes", "--keep", tmp_path / "index.json")
        assert space.runs() == {"other"}

    def test_outside_of_dvc(self, space: Space) -> None:
        shutil.rmtree(space.root / ".dvc")
        assert "DVC cannot be asked" in space.refused()

    def test_while_snakemake_or_dvc_is_at_work(self, space: Space) -> None:
        locks = space.root / ".snakemake/locks"
        locks.mkdir(parents=True)
        (locks / "0.input.lock").touch()
        assert "if none runs: snakemake --unlock --cores 1" in space.refused()
        shutil.rmtree(locks)
        lock = space.root / ".dvc/tmp/rwlock"
        at_work = {str(space.root / RUNS): {"pid": os.getpid(), "cmd": "dvc repro"}}
        lock.write_text(json.dumps({"write": at_work, "read": {}}))
        assert f"(PID {os.getpid()}): dvc repro" in space.refused()
        ended = subprocess.Popen(["true"])
        ended.wait()
        lock.write_text(lock.read_text().replace(str(os.getpid()), str(ended.pid)))
        space.prune("--yes")
        assert space.runs() == KEPT

    def test_what_it_says_of_the_cache(self, space: Space) -> None:
        """Copies stay until the new dvc.lock is committed; a branch keeps its own, which come back."""
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, space.root / name)
        for name in OUTS:
            (space.root / name).parent.mkdir(parents=True, exist_ok=True)
            (space.root / name).write_text("{}")
        space.git("init", "--quiet", "--initial-branch", "main")
        stored(space, "all of them")
        space.git("branch", "before")
        space.prune("--yes")
        assert space.runs() == KEPT
        stored(space, "fewer")
        collect = (
            "gc",
            "--force",
            "--workspace",
            "--all-branches",
            "--all-tags",
            "--all-experiments",
        )
        space.dvc(*collect)
        assert copies(space) == KEPT | OLD
        space.git("checkout", "--quiet", "before")
        space.dvc("checkout", "--force", "results/runs")
        assert space.runs() == KEPT | OLD
        space.git("checkout", "--quiet", "main")
        space.git("branch", "--quiet", "-D", "before")
        space.dvc("checkout", "--force", "results/runs")
        space.dvc(*collect)
        assert copies(space) == KEPT


def stored(space: Space, message: str) -> None:
    """Let DVC store what lies there, and git what DVC says of it."""
    space.dvc("commit", "--force", "train")
    space.git("add", "-A")
    space.git("commit", "--quiet", "-m", message)


def copies(space: Space) -> set[str]:
    """Runs of which DVC's cache has a copy."""
    files = [path for path in (space.root / ".dvc/cache/files").rglob("*") if path.is_file()]
    return {path.read_text().strip() for path in files if path.stat().st_size == SIZE}


@pytest.mark.slow
def test_the_lock_of_a_killed_snakemake(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('rule x:\n    output: "x"\n    shell: "exec sleep 60"\n')
    call = [sys.executable, "-m", "snakemake", "--cores", "1"]
    process = subprocess.Popen(
        call,
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list((tmp_path / ".snakemake").glob("locks/*")) and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(EvengroundError, match=r"snakemake --unlock --cores 1"):
        refuse_busy(tmp_path)
    subprocess.run([*call, "--unlock"], cwd=tmp_path, check=True, capture_output=True)
    refuse_busy(tmp_path)
