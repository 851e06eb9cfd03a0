"""Made results, analysed, as material for figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.synthetic import MadeResults, write_results
from report.made import analysed, write_prepared

DATASETS = (("digits", "Digits", "mlp"),)
LOST = {("digits", "jax", 2): ("failed", "out-of-memory")}


@pytest.fixture(scope="session")
def without_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Analysed results of a machine without a GPU, one run lost, with prepared pictures."""
    root = tmp_path_factory.mktemp("without-gpu")
    pictures = np.arange(20 * 28 * 28, dtype=np.uint32).reshape(20, 28, 28, 1).astype(np.uint8)
    write_prepared(
        root / "data/prepared/digits/abc", pictures, list(range(10)) * 2, list("0123456789")
    )
    return analysed(write_results(root, MadeResults(datasets=DATASETS, lost=LOST)))


@pytest.fixture(scope="session")
def with_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Analysed results of a machine with a GPU, without prepared pictures."""
    root = tmp_path_factory.mktemp("with-gpu")
    return analysed(write_results(root, MadeResults(datasets=DATASETS, gpu=True)))
