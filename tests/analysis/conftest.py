"""Made results that several tests of this room read."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.synthetic import MadeResults, write_results

LOST = {("digits", "jax", 2): ("failed", "out-of-memory"), ("shapes", "keras", 3): ("missing", None)}


@pytest.fixture(scope="session")
def index_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of made results without a GPU, one failed and one missing run. Read it, do not change it."""
    return write_results(tmp_path_factory.mktemp("made"), MadeResults(lost=LOST))


@pytest.fixture(scope="session")
def gpu_index_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of made results with a GPU, every run finished. Read it, do not change it."""
    return write_results(tmp_path_factory.mktemp("made-gpu"), MadeResults(gpu=True))
