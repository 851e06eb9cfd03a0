"""`dvc repro` cut off in every way, two callers, damaged runs, a full disk: what the next invocation does then."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvc_workspace import OUT, Workspace, new_workspace
from evenground.files import read_json
from evenground.runs.index import check_run
from working_copy import wait_until

ENDED_WITHIN_S = 15
ASIDE = "./evenground aside"
FULL_DISK = """set -eu
on_disk() {  # a small file system in place of a folder, with its content
    mv "$1" aside; mkdir "$1"; mount -t tmpfs -o size=64m tmpfs "$1"; cp -a aside/. "$1"
}
off_disk() { cp -a "$1"/. aside; umount "$1"; rmdir "$1"; mv aside "$1"; }
fill() { head -c 100000000 /dev/zero > "$1/filler" 2>/dev/null || true; truncate -s "-$2" "$1/filler"; }
on_disk results; fill results 20K
"$1" -m dvc repro > full_results.log 2>&1 && exit 10
rm results/filler; off_disk results; on_disk .dvc/cache; fill .dvc/cache 20K
"$1" -m dvc repro > full_cache.log 2>&1 && exit 11
rm .dvc/cache/filler; off_disk .dvc/cache
"""


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    space = new_workspace(tmp_path_factory.mktemp("failures"))
    space.copy.settings |= {"warm_up_examples": 0, "time_limit_s": 120.0}
    yield space
    for pid in processes(space.root):
        os.kill(
            pid, signal.SIGKILL
        )  # only where a test failed: the next training on this machine would wait


def processes(root: Path) -> dict[int, list[bytes]]:
    """Every process that works in `root`, with its command line."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == root:
                found[int(process.name)] = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
    return found


def runs(space: Workspace) -> list[Path]:
    """Every run folder; what stands there is whole."""
    found = list((space.root / "results/runs").glob("*/*/*/*/r*"))
    for folder in found:
        check_run(folder)
    return found


class Held:
    """`dvc repro` in a process group of its own, at work on a training that waits for `let_go`."""

    def __init__(self, space: Workspace) -> None:
        self.space, self.root = space, space.root
        space.copy.log()
        (self.root / "fake_mode").write_text("hold")
        space.write_parameters()
        command = [sys.executable, "-m", "dvc", "repro"]
        self.log = self.root.with_name("said")
        with self.log.open("w") as log:
            to = {"stdout": log, "stderr": subprocess.STDOUT, "start_new_session": True}
            self.dvc = subprocess.Popen(command, cwd=self.root, env=space.environ(), **to)
        assert wait_until((self.root / "order.log").is_file, 60), self.said()

    def said(self) -> str:
        return self.log.read_text()

    def let_go(self) -> None:
        (self.root / "fake_mode").unlink()

    def pid(self, what: str) -> int:
        ends = {
            "engine": b"fake_engine/train.py",
            "train.py": b"scripts/train.py",
            "snakemake": b"snakemake",
        }
        # Commands of an environment start its Python with an option.
        scripts = {
            pid: next((word for word in words[1:] if not word.startswith(b"-")), b"")
            for pid, words in processes(self.root).items()
        }
        (found,) = (pid for pid, script in scripts.items() if script.endswith(ends[what]))
        return found

    def ended(self) -> str:
        """What it printed; all of it has ended, and not well."""
        assert self.dvc.wait(60) != 0
        assert wait_until(lambda: not processes(self.root), ENDED_WITHIN_S), processes(self.root)
        return self.said()


def lost_attempts(space: Workspace) -> int:
    """How many attempts are recorded as lost."""
    outcomes = (space.root / "results/attempts").rglob("outcome.json")
    return sum(read_json(path)["reason"] == "lost" for path in outcomes)


def begun(space: Workspace) -> int:
    return space.copy.trainings()


def command_in(said: str) -> str:
    """The one command of ours that a refusal names."""
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    return line[line.index(ASIDE) :].replace(ASIDE, f"{sys.executable} scripts/aside.py")


@pytest.mark.slow
class TestCutOff:
    """One workspace, in this order: that each invocation begins its training shows that the one before is overcome.

    Two runs are wanted; in the end five trainings were cut off and two finished.
    """

    def test_ctrl_c(self, space: Workspace) -> None:
        held = Held(space)
        os.killpg(held.dvc.pid, signal.SIGINT)
        assert "Terminating processes on user request" in held.ended()
        assert begun(space) == 1 and runs(space) == []
        assert not list((space.root / ".snakemake").glob("locks/*"))

    def test_a_killed_training_script(self, space: Workspace) -> None:
        held = Held(space)
        pid = held.pid("train.py")
        held.let_go()
        os.kill(pid, signal.SIGKILL)
        assert "the next invocation records why" in held.ended()
        assert begun(space) == 2 and len(runs(space)) == 1, "the other one was made"
        assert lost_attempts(space) == 1, "that of the invocation before"

    def test_a_killed_engine(self, space: Workspace) -> None:
        held = Held(space)
        os.kill(held.pid("engine"), signal.SIGKILL)
        held.let_go()
        assert "1 of 2 wanted runs did not finish" in held.ended()
        assert begun(space) == 1 and len(runs(space)) == 1, "not tried again in the same invocation"
        assert lost_attempts(space) == 2
        assert {(run["status"], run["reason"]) for run in space.table()} == {
            ("finished", ""),
            ("failed", "killed-by-signal"),
        }

    def test_a_killed_snakemake(self, space: Workspace) -> None:
        held = Held(space)
        os.kill(held.pid("snakemake"), signal.SIGKILL)
        assert "exited with -9" in held.ended()
        assert begun(space) == 1 and len(runs(space)) == 1
        assert list((space.root / ".snakemake").glob("locks/*")), "Snakemake's own lock is left"
        lock = space.root / ".snakemake/evenground.lock"
        known = lock.read_text()
        lock.write_text("before-a-restart 1")
        assert "if no invocation is at work there: snakemake --unlock --cores 1" in space.dvc(
            "repro", ok=False
        )
        lock.write_text(known)

    def test_a_killed_dvc_ends_all_that_it_called(self, space: Workspace) -> None:
        held = Held(space)
        held.dvc.kill()
        held.ended()
        assert begun(space) == 1 and len(runs(space)) == 1
        assert (space.root / ".dvc/tmp/lock").is_file(), "DVC's locks are left"
        assert str(held.dvc.pid) in (space.root / ".dvc/tmp/rwlock").read_text()

    def test_two_callers(self, space: Workspace) -> None:
        """The others are refused in words, the first goes on as if nothing had been."""
        held = Held(space)
        plan = (space.root / OUT / "plan.json").read_bytes()
        blocked = space.dvc("repro", ok=False)
        assert "it is being blocked by" in blocked and f"(PID {held.dvc.pid})" in blocked
        said = space.run("snakemake", "--cores", "1", "--config", "seed=9", ok=False)
        line = (
            f"another invocation of the pipeline is at work in this folder ({space.root}, process "
        )
        assert f"{line}{held.pid('snakemake')}): wait for it to end" in said
        assert (space.root / OUT / "plan.json").read_bytes() == plan
        held.let_go()
        assert held.dvc.wait(120) == 0, held.said()
        assert "had been killed. Auto removed it from the lock file" in held.said()
        assert begun(space) == 1 and len(runs(space)) == 2
        assert [run["status"] for run in space.table()] == ["finished", "finished"]


@pytest.mark.slow
class TestDamaged:
    """After the above: the two finished runs are harmed in turn."""

    def test_half_a_run_folder(self, space: Workspace) -> None:
        half = runs(space)[0]
        (half / "manifest.json").unlink()
        said = space.repro_says(ok=False)
        assert "1 of 2 run folders are not whole: no manifest.json" in said and begun(space) == 0
        space.run("sh", "-c", command_in(said))
        space.run("snakemake", "--cores", "1")
        assert begun(space) == 1 and len(runs(space)) == 2

    def test_a_truncated_file_and_a_truncated_manifest(self, space: Workspace) -> None:
        for name in ("samples.csv", "manifest.json"):
            file = runs(space)[0] / name
            before = file.read_bytes()
            file.write_bytes(before[: len(before) // 2])
            said = space.dvc("repro", ok=False)
            assert f"a recorded run was changed: {name}" in said
            assert command_in(said).endswith(f"scripts/aside.py {file.parent}")
            file.write_bytes(before)

    def test_stray_files(self, space: Workspace) -> None:
        run = runs(space)[0]
        (run / "my notes.txt").write_text("x")
        said = space.dvc("repro", ok=False)
        assert "a recorded run was changed: my notes.txt" in said
        space.run("sh", "-c", command_in(said))
        (run.parents[4] / "notes.txt").write_text("beside the runs: no harm")
        table = (space.root / OUT / "tables/runs.csv").read_bytes()
        assert "Nothing to be done" in space.run("snakemake", "--cores", "1") and begun(space) == 0
        assert (space.root / OUT / "tables/runs.csv").read_bytes() == table and len(
            runs(space)
        ) == 2


@pytest.mark.slow
def test_a_full_disk(space: Workspace) -> None:
    """First below `results`, then of DVC's cache; both in a mount namespace of their own."""
    unshare = ["unshare", "--map-root-user", "--mount"]
    probe = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, *probe], capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    space.copy.settings |= {"seed": 31}
    space.write_parameters()
    before = len(runs(space))
    space.run(*unshare, "sh", "-c", FULL_DISK, "sh", sys.executable)
    said = (space.root / "full_results.log").read_text()
    assert "error: disk is full" in said and "make room and start again" in said
    assert "No space left on device" in (space.root / "full_cache.log").read_text()
    assert begun(space) >= 2 and len(runs(space)) == before + 2
    assert space.repro() == 0, "what could not be stored is not made again"
    assert [run["status"] for run in space.table()] == ["finished", "finished"]
    shutil.rmtree(space.root / "results/runs")
    space.dvc("checkout", "results/runs")
    assert len(runs(space)) == before + 2
