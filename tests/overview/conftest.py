"""The overview that all tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.overview.write import write_all
from made_overview import LOST, RESULTS, SETTINGS, A, B, run
from made_parts import write_parts


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight parts and their overview; the path of parts.json. Read it, do not change it."""
    where = write_parts(tmp_path_factory.mktemp("parts"), [A, B], SETTINGS, run, LOST, **RESULTS)
    write_all(where, where.parent)
    return where
