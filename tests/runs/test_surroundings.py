"""A training's record of its surroundings: what of it is known, and the reason where it is not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from evenground.config import load_experiment
from evenground.errors import EvengroundError
from evenground.records.image import ImageRecord
from evenground.records.surroundings import SurroundingsRecord
from evenground.runs import surroundings
from evenground.runs.surroundings import mapped_files, surroundings_of
from evenground.runs.training import Training
from evenground.surroundings.mounts import foreign_mounts
from planned import make_plan, training_of
from surroundings.mountinfo import OVERLAY, bound, written
from working_copy import fresh_copy

IMAGE = ImageRecord(name="jax-1", sha256="a" * 64, bytes=1, mtime_ns=1, labels={})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A native training of a working copy."""
    copy = fresh_copy(tmp_path_factory.mktemp("copy"))
    plan = make_plan(load_experiment({**copy.settings, "repetitions": 1}), copy.root)
    return training_of(plan, plan.runs[0])


def record(
    training: Training, folder: Path, *files: Path | str, missing: str = ""
) -> SurroundingsRecord:
    """The record, where the engine mapped these files."""
    mapped = folder / "mapped.json"
    found = {"files": [str(file) for file in files], "missing": missing}
    mapped.write_text(json.dumps(found))
    return surroundings_of(
        training, folder / "home", mapped_files(training, folder / "home", mapped)
    )


def test_natively_there_is_no_image_and_nothing_is_mounted_over_one(
    plain: Training, tmp_path: Path
) -> None:
    found = record(plain, tmp_path, "/usr/lib/libc.so.6", tmp_path / "lib/x.so")
    assert (found.image, found.mounts, found.cold_start, found.missing) == (None, [], False, {})
    assert found.mapped == {"system": 1} and found.foreign == [f"{tmp_path}/lib/x.so"]
    assert found.variables and "PATH" in found.variables and "HOME" not in found.variables
    assert plain.spec.warm_up_examples > 0
    assert record(replace(plain, cold=True), tmp_path).cold_start is False
    without = plain.spec.model_copy(update={"warm_up_examples": 0})
    assert record(replace(plain, cold=True, spec=without), tmp_path).cold_start is True


def test_no_path_of_the_working_copy_is_told(plain: Training, tmp_path: Path) -> None:
    outside = plain.root.with_name("elsewhere") / "x.so"
    found = record(plain, tmp_path, plain.root / "scripts/x.so", outside)
    assert found.mapped == {"working copy": 1} and found.foreign == [str(outside)]
    assert f"{plain.root}/" not in json.dumps(found.foreign)


def test_what_the_run_has_behind_links_is_not_foreign(
    plain: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says where a file really lies, and a cache on another disk is reached by a link."""
    real = tmp_path / "disk/cache"
    (real / "envs/jax/bin").mkdir(parents=True)
    (real / "envs/jax/bin/python").symlink_to(sys.executable)
    (tmp_path / "cache").symlink_to(real)
    (tmp_path / "disk/home").mkdir()
    (tmp_path / "home").symlink_to("disk/home")
    monkeypatch.setenv("EVENGROUND_CACHE", str(tmp_path / "cache"))
    training = replace(plain, python=tmp_path / "cache/envs/jax/bin/python")
    files = [real / "envs/jax/lib/x.so", real / "axon/xla.so", tmp_path / "disk/home/x.so"]
    found = record(training, tmp_path, *files, Path(sys.executable).resolve())
    assert found.foreign == []
    assert found.mapped == {"Python": 1, "cache": 1, "environment": 1, "home folder": 1}


def see(mountinfo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be what is mounted."""
    monkeypatch.setattr(surroundings, "MOUNTINFO", mountinfo)
    reads = partial(foreign_mounts, mountinfo=mountinfo)
    monkeypatch.setattr(surroundings, "foreign_mounts", reads)


@pytest.fixture
def contained(plain: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """The same in an image, with /usr bound over it."""
    see(written(OVERLAY + bound("/usr"), tmp_path), monkeypatch)
    return replace(plain, image=IMAGE, container="/cache/images/jax-1.sif")


def test_in_an_image_what_is_bound_over_it_is_foreign(contained: Training, tmp_path: Path) -> None:
    found = record(contained, tmp_path, "/usr/lib/x.so", "/opt/evenground/engine/bin/python3.12")
    assert (found.image, found.mounts, found.missing) == ("mounted", ["/usr"], {})
    assert found.mapped == {"image": 1} and found.foreign == ["/usr/lib/x.so"]


def test_a_disk_that_the_machine_has_in_the_working_copy_belongs_to_it(
    plain: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = f"{plain.root}/results"
    see(written(OVERLAY + bound(disk), tmp_path), monkeypatch)
    here = replace(plain, image=IMAGE, container="/cache/images/jax-1.sif")
    assert record(here, tmp_path, f"{disk}/x.so").mounts == ["./results"]
    found = record(replace(here, mounted=[disk]), tmp_path, f"{disk}/x.so")
    assert (found.mounts, found.mapped, found.foreign) == ([], {"working copy": 1}, [])


def test_a_finished_training_is_not_lost_for_a_link_that_changed_meanwhile(
    contained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def misled(root: Path) -> list[str]:
        raise EvengroundError("a container looks for /x there", "data/x", "make it another link")

    monkeypatch.setattr(surroundings, "folders_elsewhere", misled)
    found = record(contained, tmp_path, "/bin/sh")
    assert found.mounts is None and found.mapped is None
    assert found.missing["mounts"].startswith(
        "what is bound for it cannot be told: a container looks"
    )


@pytest.mark.parametrize(
    ("container", "image", "reason"),
    [
        ("/cache/images/jax-1.sif", "mounted", {}),
        ("/tmp/rootfs-123/root", "unpacked", {}),
        ("", None, {"image": "Apptainer does not say what it runs"}),
    ],
)
def test_how_the_image_was_made_readable(
    contained: Training, tmp_path: Path, container: str, image: str | None, reason: dict[str, str]
) -> None:
    found = record(replace(contained, container=container), tmp_path, "/bin/sh")
    assert found.image == image and found.missing == reason


def test_without_proc_nothing_is_known_of_mounts(
    contained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(tmp_path / "none", monkeypatch)
    found = record(contained, tmp_path, "/bin/sh")
    assert found.mounts is None and found.mapped is None and found.foreign is None
    assert found.missing["mounts"] == "the mounts cannot be read: No such file or directory"
    assert "No such file" in found.missing["mapped"]


def test_what_the_sampler_could_not_see_has_its_reason(plain: Training, tmp_path: Path) -> None:
    found = record(plain, tmp_path, missing="no process lived until it was looked at")
    assert (found.mapped, found.foreign) == (None, None)
    assert found.missing == {"mapped": "no process lived until it was looked at"}
    found = record(plain, tmp_path, "/bin/sh", missing="some were another user's")
    assert (found.mapped, found.foreign) == ({"system": 1}, [])
    assert found.missing == {"mapped": "some were another user's"}
    (tmp_path / "mapped.json").unlink()
    files = mapped_files(plain, tmp_path / "home", tmp_path / "mapped.json")
    found = surroundings_of(plain, tmp_path / "home", files)
    assert found.mapped is None and found.missing["mapped"].startswith(
        "the sampler left no list of them: "
    )


def test_what_a_shell_hands_down_is_recorded() -> None:
    code = "import json; from evenground.runs.surroundings import inherited; print(json.dumps(inherited()))"
    words = f"ulimit -s 4096 -n 200; exec {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    command = ["nice", "-n", "5", "bash", "-c", words]
    source = Path(surroundings.__file__).parents[2]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, check=True
    )
    found = json.loads(done.stdout)
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    assert (found["nice"], found["stack (bytes)"], found["open files"]) == (
        str(nice),
        str(4096 * 1024),
        "200",
    )
    assert found["policy"] == "other"
