"""Who has Apptainer bind something where a training's files lie, also behind links."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.apptainer import Told
from evenground.images import Image
from evenground.preflight.call import Call
from evenground.preflight.words import why_not_started


def call(arguments: str, *ours: str, **environ: str) -> Call:
    """Apptainer, told this."""
    return Call(lambda image, command: command, Told(arguments, [], list(ours)), environ)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results that lies on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    return tmp_path / "results"


def test_a_bind_over_the_place_behind_a_link_is_named(results: Path) -> None:
    disk = results.resolve()
    bind = f"/srv:{disk}/runs"
    told = call(f"-B{bind}", str(disk), APPTAINER_BIND=f"{disk}:{disk}:ro,/srv:/mnt")
    assert told.binds_at(f"{results}/runs") == [
        f"take {disk}:{disk}:ro out of APPTAINER_BIND",
        f"leave -B{bind} out of --apptainer-args",
    ]
    assert call("", str(disk), APPTAINER_BIND=str(disk)).binds_at(f"{results}/runs") == []


@pytest.mark.parametrize("option", ["--pwd /srv", "--cwd=/srv"])
def test_a_working_directory_that_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    image = Image("jax", "", tmp_path / "jax.sif", tmp_path / "jax.json")
    said = "FATAL:   failed to set working directory: chdir /srv: no such file or directory"
    _, fix = why_not_started(said, image, call(f"{option} --nv"))
    assert fix == f"leave {option.split()[0]} out of --apptainer-args"
