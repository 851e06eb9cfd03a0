"""Keys of runs: what changes them, so that runs are trained anew, and what does not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from working_copy import ROOT, copy_repository

PRINT_KEYS = """
import json, pathlib
from evenground.config import load_experiment
from evenground.runs.plan import make_plans
wanted = {"engines": ["keras", "jax", "axon"], "datasets": ["mnist", "cifar10", "shapes"]}
(plan,) = make_plans([load_experiment({**wanted, "repetitions": 1})], pathlib.Path())
print(json.dumps({f"{run.engine} on {run.dataset}": run.key for run in plan.runs}))
"""
SRC = "src/evenground/"
ENGINES = "scripts/engines/"
PYTHON = ENGINES + "python_protocol/evenground_engine.py"
Edit = tuple[str, str, str]
"""File below the working copy, its old text, the new one; no old text: a new file."""


def keys_in(root: Path) -> dict[str, str]:
    """The keys as the code in this folder makes them."""
    command = [sys.executable, "-c", PRINT_KEYS]
    environ = {"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keys: dict[str, str] = json.loads(done.stdout)
    return keys


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copied")
    copy_repository(root)
    return root


@pytest.fixture(scope="module")
def before(copied: Path) -> dict[str, str]:
    return keys_in(copied)


def retrained(copied: Path, before: dict[str, str], edits: list[Edit]) -> set[str]:
    """The trainings that have other keys after edits, which are undone."""
    try:
        for name, old, new in edits:
            path = copied / name
            text = path.read_text(encoding="utf-8") if old else ""
            assert old in text, name
            path.write_text(text.replace(old, new, 1), encoding="utf-8")
        after = keys_in(copied)
    finally:
        for name, *_ in edits:
            (copied / name).unlink()
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, copied / name)
    return {name for name, key in after.items() if key != before[name]}


COLUMN = '    "io_bytes": Column("B", "read and written"),\n'
FREE: dict[str, list[Edit]] = {
    "a column of the sampler": [
        (SRC + "sidecar/columns.py", '    "processes": ', COLUMN + '    "processes": ')
    ],
    "a format of datasets": [
        (SRC + "datasets/formats/text.py", "", "def read(entry, raw): ...\n"),
        (SRC + "datasets/registry.py", "MODULES = {", 'MODULES = {"text": ("text",),'),
        (SRC + "datasets/registry.py", 'Literal["idx",', 'Literal["idx", "text",'),
        (SRC + "datasets/registry.py", "    shapes: ", "    text: bool = False\n    shapes: "),
    ],
    "an optional field of an event": [
        (SRC + "records/events.py", "    engine: Text\n", "    engine: Text\n    note: str = ''\n")
    ],
    "what an engine is called": [(ENGINES + "keras/engine.yaml", "label: Keras", "label: Keras 3")],
    "docstrings of engines": [
        (ENGINES + "keras/train.py", '"""Writes the events', '"""Tells'),
        (ENGINES + "axon/core/lib/evenground/json/encoder.ex", '@doc "The parts', '@doc "Parts'),
        (PYTHON, '"""A mistake that the user can fix', '"""A mistake'),
    ],
    "comments in functions": [
        (ENGINES + "keras/train.py", "# Without this Keras would wait", "# Keras would wait"),
        (ENGINES + "axon/core/lib/evenground/json/encoder.ex", "# Sorted, because", "# Because"),
        (SRC + "runs/command.py", "from __future__", "# The command.\nfrom __future__"),
    ],
}


@pytest.mark.parametrize("what", FREE)
def test_what_decides_no_result_retrains_nothing(
    copied: Path, before: dict[str, str], what: str
) -> None:
    assert len(before) == 9
    assert retrained(copied, before, FREE[what]) == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "concerned"),
    [
        ("scripts/engines/keras/train.py", '"tf32": False', '"tf32": True', "keras on"),
        (ENGINES + "axon/core/lib/evenground/json/encoder.ex", '"null"', '"nil"', "axon on"),
        (PYTHON, "MAX_REASON_CHARACTERS = 600", "MAX_REASON_CHARACTERS = 601", "(keras|jax) on"),
        (SRC + "datasets/formats/cifar.py", "= 32, 3", "= 32, 4", "on cifar10"),
        (SRC + "datasets/formats/arrays.py", "import zlib", "import zlib as z", "on"),
        (SRC + "runs/command.py", 'replace("_", "-")', 'replace("_", "=")', "on"),
        (SRC + "sidecar/__init__.py", "MEASUREMENT = 1", "MEASUREMENT = 2", "on"),
        (SRC + "records/versions.py", "PROTOCOL = 1", "PROTOCOL = 2", "on"),
    ],
)
def test_what_decides_results_retrains_what_it_concerns(
    copied: Path, before: dict[str, str], name: str, old: str, new: str, concerned: str
) -> None:
    wanted = {training for training in before if re.search(concerned, training)}
    assert wanted and retrained(copied, before, [(name, old, new)]) == wanted
