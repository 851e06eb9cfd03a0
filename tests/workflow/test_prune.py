"""`prune` in a real git and DVC repository: what each kind of ref keeps, and when it refuses."""

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
import yaml

from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs.plan import ATTEMPTS, RUNS
from evenground.runs.prune import refuse_busy
from working_copy import ROOT, copy_repository

INDEX = Path("results/native/index.json")
SIZE = 1000
# What DVC must find beside the runs before it keeps an experiment.
DRAWN = ("normalised/x", "tables/x", "figures/x", "parts/x", "metrics.json", "verdicts.json", "report.html")
OUTS = ("data/prepared/x", "results/calibration/x", *(f"results/native/{name}" for name in DRAWN))
# Every run is called after what names it; an older commit of main names `older`, nothing `never`.
KEPT = {"main", "side", "tagged", "signed", "tried", "stashed", "laid", "away", "tracked", "here", "planned"}
OLD = {"older", "never"}


def place(name: str) -> Path:
    return Path("machine/tiny/fake", name, "r1")


@dataclass
class Space:
    """A working copy in git and DVC, with a folder beside it as remote; no run is trained."""

    root: Path

    def run(self, *command: str | Path, ok: bool = True, cwd: Path | None = None, **variables: str) -> str:
        """Call a command: what it printed, or of one that must fail its error."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        named = {f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environ = {**os.environ, "PATH": path, **named, **variables}
        done = subprocess.run(command, cwd=cwd or self.root, env=environ, capture_output=True, text=True)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def dvc(self, *arguments: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def prune(self, *arguments: str) -> str:
        """Call it from elsewhere."""
        return self.run(sys.executable, self.root / "scripts/prune.py", *arguments, cwd=Path("/"))

    def refused(self, *arguments: str, **variables: str) -> str:
        """The one line it is refused with; no run is gone."""
        before = self.runs()
        script = self.root / "scripts/prune.py"
        said = self.run(sys.executable, script, "--yes", *arguments, ok=False, **variables)
        assert said.startswith("error: ") and said.count("\n") == 1
        assert self.runs() == before
        return said

    def make(self, name: str, index: Path = INDEX) -> None:
        """A run and its attempt, and an index that names it alone."""
        for folder in (self.root / RUNS / place(name), self.root / ATTEMPTS / place(name) / "1"):
            folder.mkdir(parents=True)
            (folder / "outcome.json").write_text(f"{name:<{SIZE}}")
        self.name(index, name)

    def name(self, index: Path, name: str) -> None:
        write_json(self.root / index, {"runs": [{"path": (RUNS / place(name)).as_posix()}]})

    def keep(self, name: str) -> None:
        """Make the run, let DVC keep the index and git what DVC says of it."""
        self.make(name)
        self.dvc("commit", "--force", "train")
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", name)

    def runs(self, top: Path = RUNS) -> set[str]:
        return {path.parent.name for path in (self.root / top).glob("*/*/*/*/r1")}

    def taken(self) -> int:
        return sum(path.stat().st_size for path in (self.root / "results").rglob("*") if path.is_file())

    def cached(self, ref: str) -> tuple[Path, Path]:
        """The index of a ref in DVC's cache and in its remote."""
        outs = yaml.safe_load(self.git("show", f"{ref}:dvc.lock"))["stages"]["train"]["outs"]
        (md5,) = [out["md5"] for out in outs if out["path"] == INDEX.as_posix()]
        place = Path("files/md5", md5[:2], md5[2:])
        return self.root / ".dvc/cache" / place, self.root.parent / "store" / place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Space:
    """One run for each kind of ref that names an index."""
    space = Space(tmp_path_factory.mktemp("prune") / "work")
    copy_repository(space.root)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (space.root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, space.root / name)
    for name in OUTS:
        (space.root / name).parent.mkdir(parents=True, exist_ok=True)
        (space.root / name).write_text("{}")
    space.git("init", "--quiet", "--initial-branch", "main")
    space.dvc("remote", "add", "--default", "store", str(space.root.with_name("store")))
    space.keep("older")
    space.keep("main")
    name_by_refs(space)
    space.dvc("push", "--all-commits")
    space.make("never")
    space.make("planned")
    plan = {"machine": "machine", "dataset": "tiny", "engine": "fake", "key": "planned", "repetition": 1}
    write_json(space.root / "results/native/plan.json", {"runs": [plan]})
    space.make("here")
    return space


def name_by_refs(space: Space) -> None:
    """From main: branches, tags, a remote's branch, an experiment, two stashes, an index in git; and back."""
    for name in ("side", "tagged", "signed", "away"):
        space.git("checkout", "--quiet", "-b", name, "main")
        space.keep(name)
    space.git("tag", "v1", "tagged")
    space.git("tag", "--annotate", "-m", "text", "v2", "signed")
    space.git("update-ref", "refs/remotes/origin/away", "away")
    space.git("checkout", "--quiet", "-b", "tracked", "main")
    space.make("tracked", Path("results/apptainer/index.json"))
    space.git("add", "--force", "results/apptainer/index.json")
    space.git("commit", "--quiet", "-m", "tracked")
    space.git("checkout", "--quiet", "main")
    space.git("branch", "--quiet", "-D", "tagged", "signed", "away")
    for name in ("laid", "stashed"):
        space.make(name)
        space.dvc("commit", "--force", "train")
        space.git("stash", "--quiet")
    space.make("tried")
    space.dvc("commit", "--force", "train")
    space.dvc("exp", "save", "--name", "tried")
    space.git("checkout", "--quiet", "main", "--", ".")


@pytest.fixture
def space(made: Space, tmp_path: Path) -> Space:
    """A copy of it, with its own remote."""
    shutil.copytree(made.root.parent, tmp_path / "copy", symlinks=True)
    local = f"['remote \"store\"']\n    url = {tmp_path / 'copy/store'}\n"
    (tmp_path / "copy/work/.dvc/config.local").write_text(local)
    return Space(tmp_path / "copy/work")


@pytest.mark.slow
class TestPrune:
    def test_only_what_no_ref_names_goes_and_what_is_listed_is_freed(self, space: Space) -> None:
        assert space.runs() == space.runs(ATTEMPTS) == KEPT | OLD
        before = space.taken()
        said = space.prune()
        assert space.runs() == space.runs(ATTEMPTS) == KEPT | OLD and space.taken() == before
        assert set(re.findall(r"results/runs/machine/tiny/fake/(\w+)  1 repetition", said)) == OLD
        assert (
            f"{4 * SIZE:,} bytes in all; runs: 2, folders of attempts: 2" in said
            and "evenground prune --yes" in said
        )
        assert "dvc gc" in space.prune("--yes")
        assert space.runs() == space.runs(ATTEMPTS) == KEPT and before - space.taken() == 4 * SIZE
        assert "nothing to remove" in space.prune("--yes") and before - space.taken() == 4 * SIZE

    def test_without_their_refs_they_go(self, space: Space) -> None:
        """Each kind of ref is what kept its run."""
        refs = ["side", "v1", "v2", "origin/away", "stash@{0}", "stash@{1}", "tracked", "main"]
        experiment = space.git("for-each-ref", "--format=%(refname:short)", "refs/exps/??/**").split()
        skips = [word for ref in [*refs, *experiment] for word in ("--skip", ref)]
        said = space.prune(*skips)
        assert f"runs: {len(KEPT | OLD) - 2}," in said
        assert f"--skip '{refs[4]}'" in said.splitlines()[-1] and said.rstrip().endswith("--yes")
        space.prune("--yes", *skips)
        assert space.runs() == {"here", "planned"}

    def test_a_detached_head_names_too(self, space: Space) -> None:
        space.git("checkout", "--quiet", "--detach", "main~1")
        space.prune("--yes")
        assert space.runs() == KEPT | {"older"}

    def test_an_index_only_in_the_remote_is_fetched(self, space: Space) -> None:
        here, there = space.cached("v1")
        here.unlink()
        assert there.is_file()
        space.prune("--yes")
        assert space.runs() == KEPT and here.is_file()

    def test_an_index_that_is_nowhere_is_refused_or_skipped(self, space: Space) -> None:
        for file in space.cached("v1"):
            file.unlink()
        said = space.refused()
        assert "neither in DVC's cache nor in its remote (v1): dvc fetch --all-branches --all-tags" in said
        assert "--skip 'v1'" in said
        space.prune("--yes", "--skip", "v1")
        assert space.runs() == KEPT - {"tagged"}

    def test_a_damaged_index_in_the_cache_is_not_believed(self, space: Space) -> None:
        here, there = space.cached("v1")
        here.chmod(0o644)
        here.write_text('{"runs": []}')
        away = there.rename(there.with_suffix(".away"))
        assert "nor in its remote (v1)" in space.refused()
        away.rename(there)
        space.prune("--yes")
        assert space.runs() == KEPT

    def test_without_a_remote(self, space: Space) -> None:
        space.cached("v1")[0].unlink()
        space.dvc("remote", "remove", "store")
        assert "nor in its remote (it has none) (v1)" in space.refused()

    def test_a_ref_that_is_not_there_cannot_be_skipped(self, space: Space) -> None:
        assert "no branch, tag, experiment or stash 'sied'" in space.refused("--skip", "sied")

    def test_a_lock_that_cannot_be_read(self, space: Space) -> None:
        space.git("checkout", "--quiet", "-b", "broken")
        (space.root / "dvc.lock").write_text("<<<<<<< HEAD\n: [")
        space.git("commit", "--quiet", "-a", "-m", "broken")
        assert "a dvc.lock cannot be read (broken)" in space.refused()

    def test_outside_of_git_or_dvc(self, space: Space, tmp_path: Path) -> None:
        (space.root / ".dvc").rename(tmp_path / "aside")
        assert "DVC cannot be asked" in space.refused()
        (tmp_path / "aside").rename(space.root / ".dvc")
        assert "git cannot say which runs are named" in space.refused(PATH="")
        shutil.rmtree(space.root / ".git")
        assert "git cannot say which runs are named: fatal: not a git repository" in space.refused()
        space.run("git", "init", "--quiet", str(space.root.parent))
        assert "'dvc.yaml' did not match" in space.refused()

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
        """Copies stay until the new dvc.lock is committed and no other ref has them."""
        for ref in space.git("for-each-ref", "--format=%(refname)").split():
            if ref != "refs/heads/main":
                space.git("update-ref", "-d", ref)
        space.dvc("commit", "--force", "train")
        space.git("commit", "--quiet", "-a", "-m", "all of them")
        space.prune("--yes")
        assert space.runs() == {"main", "here", "planned"} - {"main"}
        collect = ("gc", "--force", "--workspace", "--all-branches", "--all-tags", "--all-experiments")
        space.dvc(*collect)
        assert copies(space) >= {"here", "never", "older"}
        space.dvc("commit", "--force", "train")
        space.git("commit", "--quiet", "-a", "-m", "fewer")
        space.dvc(*collect)
        assert copies(space) == {"here", "planned"}


def copies(space: Space) -> set[str]:
    """Runs of which DVC's cache has a copy."""
    files = [path for path in (space.root / ".dvc/cache/files").rglob("*") if path.is_file()]
    return {path.read_text().strip() for path in files if path.stat().st_size == SIZE}


@pytest.mark.slow
def test_the_lock_of_a_killed_snakemake(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('rule x:\n    output: "x"\n    shell: "exec sleep 60"\n')
    call = [sys.executable, "-m", "snakemake", "--cores", "1"]
    process = subprocess.Popen(
        call, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not list((tmp_path / ".snakemake").glob("locks/*")) and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(EvengroundError, match=r"snakemake --unlock --cores 1"):
        refuse_busy(tmp_path)
    subprocess.run([*call, "--unlock"], cwd=tmp_path, check=True, capture_output=True)
    refuse_busy(tmp_path)
