"""One made working copy and its bundle, for all tests of this room. Read them, do not change them."""

from __future__ import annotations

from pathlib import Path

import pytest

import bundle as script
from made_bundle import INDEX, Files, call, files_of, listed, made_copy, save_data


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the index, tables and figures of a working copy: three of four trainings finished."""
    return made_copy(tmp_path_factory.mktemp("copy")).parent


@pytest.fixture(scope="session")
def made(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that working copy, written by `evenground bundle`."""
    path = tmp_path_factory.mktemp("bundle") / "runs.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenground.report.draw.save", save_data)
        assert call(script.main, path, "--results", copy) == 0
    return path


@pytest.fixture(scope="session")
def files(made: Path) -> Files:
    """Name -> content of what a replay reads of that bundle."""
    needed = ("results/runs/", "results/calibration/", "results/contact_sheets/", INDEX)
    return listed({n: c for n, c in files_of(made).items() if n.startswith(needed)})
