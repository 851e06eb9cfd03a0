"""Made results, analysed, as material for figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.synthetic import MadeResults, made_sheet, write_results
from report.made import analysed

DATASETS = (("digits", "Digits", "mlp"),)
LOST = {("digits", "jax", 2): ("failed", "out-of-memory")}


@pytest.fixture(scope="session")
def without_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Analysed results of a machine without a GPU, one run lost, with a contact sheet."""
    root = tmp_path_factory.mktemp("without-gpu")
    made = MadeResults(datasets=DATASETS, lost=LOST, sheet=made_sheet("0123456789"))
    return analysed(write_results(root, made))


@pytest.fixture(scope="session")
def with_gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Analysed results of a machine with a GPU, without a contact sheet."""
    root = tmp_path_factory.mktemp("with-gpu")
    return analysed(write_results(root, MadeResults(datasets=DATASETS, gpu=True)))
