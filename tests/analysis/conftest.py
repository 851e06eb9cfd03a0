"""Made results that several tests of this room read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.remade import change_run
from analysis.synthetic import Made, MadeResults, made_run, write_results

LOST = {
    ("digits", "jax", 2): ("failed", "out-of-memory"),
    ("shapes", "keras", 3): ("missing", None),
}


@pytest.fixture(scope="session")
def index_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of made results without a GPU, one failed and one missing run. Read it, do not change it."""
    return write_results(tmp_path_factory.mktemp("made"), MadeResults(lost=LOST))


@pytest.fixture(scope="session")
def gpu_index_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of made results with a GPU, every run finished. Read it, do not change it."""
    return write_results(tmp_path_factory.mktemp("made-gpu"), MadeResults(gpu=True))


# By how much each run takes longer than in `made_run`: blocks drift, and the engines differ beside that.
NOISE = {"keras": (0.00, 0.03, 0.02, 0.07, 0.05, 0.12), "jax": (0.01, 0.01, 0.06, 0.04, 0.11, 0.10)}


def noisy(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """A run of that noise, a little more of it on the one dataset than on the other."""
    made = made_run(dataset, engine, 1, gpu)
    factor = 1 + NOISE[engine][repetition - 1] * (1.2 if dataset == "shapes" else 1.0)
    return replace(made, first_batch_s=made.first_batch_s * factor, steady_s=made.steady_s * factor)


@pytest.fixture(scope="session")
def blocks_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index of six blocks, in the third of which one run is invalid. Read it, do not change it."""
    lost = {("shapes", "keras", 6): ("failed", "crashed")}
    path = write_results(
        tmp_path_factory.mktemp("blocks"), MadeResults(repetitions=6, make=noisy, lost=lost)
    )
    runs = json.loads(path.read_text())["conditions"][0]["runs"]
    third = next(
        k for k, run in enumerate(runs) if (run["engine"], run["repetition"]) == ("jax", 3)
    )
    change_run(path, third, lambda frame: frame.__setitem__("missed_slots", "9"))
    return path
