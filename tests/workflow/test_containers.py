"""`snakemake --use-singularity`: refused in one line where it cannot run, else from base image to figures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evenground.files import sha256_file
from fake_image import why_no_container
from working_copy import ROOT, WorkingCopy, copy_repository, trainings_in, wait_until

OUT = Path("results/apptainer")
# Snakemake's executor for Slurm looks for its programs with `which` at every start.
NEEDED = ("bash", "sh", "env", "git", "tee", "dirname", "which")


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines for the user of an invocation that failed, and was meant to."""
    assert done.returncode and "Traceback" not in done.stdout + done.stderr
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]


def path_without_apptainer(folder: Path) -> str:
    """A PATH with the programs the pipeline calls, and no Apptainer."""
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return str(folder)


def test_without_apptainer_nothing_is_built_or_trained(
    copy: WorkingCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_without_apptainer(tmp_path / "bin"))
    copy.settings["engines"] = ["jax"]
    done = copy.call("--cores", "1", "--use-singularity", ok=False)
    assert len(errors(done)) == 1 and errors(done)[0].startswith(
        "error: Apptainer: not installed ("
    )
    assert "install Apptainer" in errors(done)[0]
    assert (
        not list((copy.root / "results").rglob("outcome.json"))
        and not (copy.root / "cache").exists()
    )
    assert (copy.root / OUT / "plan.json").is_file() and not (
        copy.root / "results/native/plan.json"
    ).exists()

    done = copy.call("--cores", "1", "--use-singularity", "preflight", ok=False)
    assert " NO  Apptainer: not installed -> install" in done.stdout
    assert (
        "  !  image jax: to be built" in done.stdout
        and "dataset tiny: generated here" in done.stdout
    )


def test_the_parameter_alone_means_the_same_as_the_flag(
    copy: WorkingCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_without_apptainer(tmp_path / "bin"))
    copy.settings |= {"engines": ["jax"], "deployment": "apptainer"}
    assert errors(copy.call("--cores", "1", ok=False))[0].startswith(
        "error: Apptainer: not installed ("
    )


def test_an_engine_without_an_environment_is_one_clear_line(copy: WorkingCopy) -> None:
    said = errors(copy.call("--cores", "1", "--use-singularity", "--dry-run", ok=False))
    assert len(said) == 1 and "'fake_a' has no environment to put into a container" in said[0]


# Of each training one: what repetitions add is shown natively, and a container's training is no other.
QUICK = ["--workflow-profile", "profiles/quick", "--config", "repetitions=1"]


@dataclass
class Contained:
    """A working copy, after its quick experiment ran in containers."""

    root: Path
    environ: dict[str, str]
    said: str

    def call(self, *arguments: str, within: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        command = [*within, sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
        command += QUICK
        return subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True
        )

    def condition(self) -> dict[str, Any]:
        """The only condition in the index."""
        (condition,) = json.loads((self.root / OUT / "index.json").read_text())["conditions"]
        return condition

    def runs(self) -> list[dict[str, Any]]:
        return self.condition()["runs"]

    def image(self, name: str) -> Path:
        return next(Path(self.environ["EVENGROUND_CACHE"], "images").glob(f"{name}-*.sif"))

    def record(self, name: str) -> Path:
        return next((self.root / "results/images").glob(f"{name}-*.json"))

    def attempts(self) -> int:
        return len(list((self.root / "results/attempts").rglob("outcome.json")))

    @contextmanager
    def one_run_missing(self) -> Iterator[None]:
        """Take a finished training of JAX away, so that an invocation would train; put it back afterwards."""
        path = self.root / next(run["path"] for run in self.runs() if run["engine"] == "jax")
        aside = path.rename(self.root / "aside")
        try:
            yield
        finally:
            shutil.rmtree(path, ignore_errors=True)
            aside.rename(path)


def why_not() -> str | None:
    """The reason why containers cannot be built and run here; None where they can."""
    if reason := why_no_container():
        return reason
    if os.geteuid() or shutil.which("mmdebstrap") is None:
        return "the base image needs root and mmdebstrap"
    return None


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Contained:
    """The quick experiment from nothing: base image, both engines' images, every training, every figure."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("contained")
    base = folder / "base.sif"
    subprocess.run([ROOT / "containers/local_base.sh", base], check=True, capture_output=True)
    copy_repository(folder / "copy")
    given = {
        "EVENGROUND_CACHE": str(folder / "cache"),
        "EVENGROUND_CONTAINER_BASE": str(base),
        "PYTHONPATH": "",
    }
    made = Contained(folder / "copy", {**os.environ, **given, "CUDA_VISIBLE_DEVICES": "0,1"}, "")
    done = made.call("--use-singularity")
    assert done.returncode == 0, done.stdout + done.stderr
    made.said = done.stdout + done.stderr
    return made


@pytest.mark.slow
@pytest.mark.container
class TestInContainers:
    """In this order: what a finished invocation left, then what spoils it."""

    def test_every_training_ran_and_every_figure_is_there(self, contained: Contained) -> None:
        runs = contained.runs()
        assert len(runs) == 4 and {run["status"] for run in runs} == {"finished"}
        named = [word for word in contained.said.split() if word.endswith(".svg")]
        assert len(named) == 23 and all(word.startswith(f"{OUT}/figures/") for word in named)
        assert all((contained.root / word).stat().st_size > 0 for word in named)
        assert "apptainer" in (contained.root / OUT / "tables/summary.md").read_text()
        assert not (contained.root / "results/native/tables").exists(), "native tables are others"

    def test_every_run_says_in_which_image(self, contained: Contained) -> None:
        digests = {name: sha256_file(contained.image(name)) for name in ("jax", "keras")}
        for run in contained.runs():
            record = json.loads((contained.root / run["path"] / "environment.json").read_text())
            assert record["deployment"] == "apptainer" and record["warm_up"]
            assert record["image"]["sha256"] == digests[run["engine"]]
            assert record["image"]["labels"]["evenground.lock"] == run["engine"]
            assert run["engine"] in record["libraries"], "the image's packages, not this machine's"
            variables = record["surroundings"]["variables"]
            assert variables["CUDA_VISIBLE_DEVICES"] == "", "an engine told cpu sees no card"
            assert str(contained.root) not in json.dumps(record)

    def test_the_sampler_sees_the_training_from_inside(self, contained: Contained) -> None:
        for run in contained.runs():
            lines = (contained.root / run["path"] / "samples.csv").read_text().splitlines()
            names = lines[0].split(",")
            last = dict(zip(names, lines[-1].split(","), strict=True))
            assert float(last["cpu_s"]) > 0.5, "CPU of the whole tree"
        figures = json.loads(
            (contained.root / contained.condition()["calibration"]["path"]).read_text()
        )["figures"]
        assert figures["cpu_total_kernel"]["passed"]

    def test_nothing_is_left_in_the_working_copy(self, contained: Contained) -> None:
        hidden = {path.name for path in contained.root.iterdir() if path.name.startswith(".")}
        assert hidden <= {".snakemake", ".cache"}, "a container's home"

    def test_a_second_invocation_has_nothing_to_do_and_needs_no_image(
        self, contained: Contained
    ) -> None:
        contained.image("keras").rename(contained.root / "keras.sif")
        done = contained.call("--use-singularity")
        assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr
        images = Path(contained.environ["EVENGROUND_CACHE"], "images")
        (contained.root / "keras.sif").rename(images / f"{contained.record('keras').stem}.sif")

    def test_native_runs_are_others(self, contained: Contained) -> None:
        done = contained.call("--dry-run")
        assert done.returncode == 0, done.stdout + done.stderr
        assert any(line.split() == ["train", "4"] for line in done.stdout.splitlines()), done.stdout

    def test_a_training_in_an_image_that_was_copied_in(self, contained: Contained) -> None:
        """The record is gone and the image's time is another: it is looked at again, and is the same."""
        contained.record("jax").unlink()
        os.utime(contained.image("jax"))
        with contained.one_run_missing():
            before = contained.attempts()
            done = contained.call("containers")
            assert done.returncode == 0 and "building" not in done.stdout, done.stdout + done.stderr
            assert contained.record("jax").is_file() and contained.attempts() == before
            done = contained.call("--use-singularity", "runs")
            assert done.returncode == 0 and contained.attempts() == before + 1, (
                done.stdout + done.stderr
            )

    def test_an_image_of_something_else_is_refused(
        self, contained: Contained, tmp_path: Path
    ) -> None:
        """An image of Keras under the name of JAX's, in a cache of its own."""
        environ = {**contained.environ, "EVENGROUND_CACHE": str(tmp_path)}
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / contained.image("jax").name).symlink_to(contained.image("keras"))
        words = [
            "scripts/image.py",
            "jax",
            "--record",
            str(tmp_path / "r.json"),
            "--log",
            str(tmp_path / "log"),
            "--experiment",
            "results/apptainer/experiment.json",
            "--told",
            "",
        ]
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=contained.root, env=environ, capture_output=True, text=True
        )
        said = errors(done)
        assert (
            len(said) == 1 and "was not built from this definition, pins, files and base" in said[0]
        )
        assert not (tmp_path / "r.json").exists()

    def test_a_killed_pipeline_leaves_no_training_behind(self, contained: Contained) -> None:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--use-singularity"]
        command += QUICK
        with contained.one_run_missing():
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            pipeline = subprocess.Popen(command, cwd=contained.root, env=contained.environ, **quiet)
            assert wait_until(lambda: trainings_in(contained.root) > 0, 60)
            pipeline.kill()
            pipeline.wait()
            assert wait_until(lambda: trainings_in(contained.root) == 0, 20)
            contained.call("--unlock")

    def test_a_user_who_may_not_make_namespaces_is_told_apptainers_reason(
        self, contained: Contained
    ) -> None:
        """A user namespace without a group in it: the kernel lets nobody there make another one."""
        nobody = ["unshare", "--map-root-user", "unshare", "--user", "--map-user=1000"]
        before = contained.attempts()
        with contained.one_run_missing():
            said = errors(contained.call("--use-singularity", within=nobody))
        assert len(said) == 1 and said[0].startswith("error: container of jax: ERROR : ")
        assert "user namespace" in said[0] and contained.attempts() == before

    def test_a_truncated_image_is_refused_before_any_training(self, contained: Contained) -> None:
        image = contained.image("jax")
        whole = image.rename(contained.root / "whole.sif")
        image.write_bytes(whole.read_bytes()[:1_000_000])
        before = contained.attempts()
        with contained.one_run_missing():
            said = errors(contained.call("--use-singularity"))
            assert len(said) == 1 and said[0].startswith(
                "error: image jax: the image of 'jax' is truncated: 1,000,000 "
            )
            record = contained.record("jax").rename(contained.root / "record.json")
            said = errors(contained.call("--use-singularity", "containers"))
            assert len(said) == 1 and "the image of 'jax' cannot be run: FATAL" in said[0]
            assert "copy the image in again" in said[0]
            record.rename(contained.root / "results/images" / f"{image.stem}.json")
        whole.replace(image)
        assert contained.attempts() == before

    def test_another_image_than_that_of_finished_runs_is_refused(
        self, contained: Contained
    ) -> None:
        image = contained.image("jax")
        kept = shutil.copy2(image, contained.root / "kept.sif")
        with image.open("ab") as file:
            file.write(b"\0")
        before = contained.attempts()
        with contained.one_run_missing():
            said = errors(contained.call("--use-singularity"))
            assert len(said) == 1 and "recorded is sha256:" in said[0]
            contained.record("jax").unlink()
            said = errors(contained.call("--use-singularity"))
            assert len(said) == 1 and "finished runs were made in sha256:" in said[0]
            image.unlink()
            said = errors(contained.call("--use-singularity"))
            assert len(said) == 1 and "is missing, finished runs were made in sha256:" in said[0]
        Path(kept).rename(image)
        assert contained.attempts() == before
