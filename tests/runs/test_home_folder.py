"""A training's home folder is emptied and removed whatever a program left in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from evenground.runs.variables import home_folder
from ordinary_user import ordinary_user

NAME = f"evenground-test-left-{os.getpid()}"


def left_by_a_program(home: Path) -> None:
    """A folder as of Go's module cache: nothing in it may be removed; and a link to what is not its own."""
    (home / "go/pkg").mkdir(parents=True)
    (home / "go/pkg/mod.go").write_text("package mod")
    (home / "go/linked").symlink_to("/etc")
    for folder in (home / "go/pkg", home / "go"):
        folder.chmod(0o500)


def test_read_only_folders_are_gone_at_the_end() -> None:
    with ordinary_user():
        with home_folder(NAME) as home:
            left_by_a_program(home)
        assert not home.exists() and Path("/etc").is_dir()


def test_read_only_folders_of_a_killed_training_are_emptied() -> None:
    with ordinary_user():
        home = Path("/tmp", f"{NAME}-{os.getuid()}")
        home.mkdir()
        left_by_a_program(home)
        home.chmod(0o500)
        with home_folder(NAME) as found:
            assert found == home and [path.name for path in home.iterdir()] == ["tmp"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave there what a user may not remove")
def test_a_folder_that_cannot_be_emptied_is_left_alone_and_another_one_taken() -> None:
    with ordinary_user():
        home = Path("/tmp", f"{NAME}-{os.getuid()}")
        home.mkdir()
    (home / "theirs").mkdir()
    (home / "theirs/kept").touch()
    try:
        with ordinary_user(), home_folder(NAME) as other:
            assert other != home and (other / "tmp").is_dir()
        assert (home / "theirs/kept").exists()
    finally:
        shutil.rmtree(home)
