"""Who has Apptainer bind something where a training's files lie, also behind links."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.containers.apptainer import Told
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import explain


def launcher(arguments: str, *ours: str, **environ: str) -> Launcher:
    """How Apptainer is launched with these settings."""
    return Launcher(lambda image, command: command, Told(arguments, [], list(ours)), environ)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results that lies on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    return tmp_path / "results"


def test_a_bind_over_the_place_behind_a_link_is_named(results: Path) -> None:
    disk = results.resolve()
    bind = f"/srv:{disk}/runs"
    told = launcher(f"-B{bind}", str(disk), APPTAINER_BIND=f"{disk}:{disk}:ro,/srv:/mnt")
    assert told.fix([], f"{results}/runs") == (
        f"take {disk}:{disk}:ro out of APPTAINER_BIND and leave -B{bind} out of --apptainer-args"
    )
    assert launcher("", str(disk), APPTAINER_BIND=str(disk)).fix([], f"{results}/runs") == ""


@pytest.mark.parametrize("option", ["--pwd /srv", "--cwd=/srv"])
def test_a_working_directory_that_is_not_there_is_named(option: str) -> None:
    said = "FATAL:   failed to set working directory: chdir /srv: no such file or directory"
    _, fix = explain(said, launcher(f"{option} --nv"))
    assert fix == f"leave {option.split()[0]} out of --apptainer-args"
