"""A file of ours is taken apart by its model in `records` only (docs/records.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = {"read_json", "write_json"}
OF_JSON = {"load", "loads", "dump"}
# These know the formats, or stand alone: the sidecar and engines import nothing of ours.
APART = ("src/evenground/records/", "src/evenground/sidecar/", "scripts/engines/")
# Whoever else reads or writes JSON, and what: none of it is one of the records.
OTHER_JSON = {
    "src/evenground/files.py": "reading and writing themselves",
    "src/evenground/bundle/adopt.py": "experiment.json, whose model is in config",
    "src/evenground/runs/study.py": "experiment.json, whose model is in config",
    "src/evenground/bundle/make.py": "experiment.json",
    "scripts/image.py": "experiment.json",
    "src/evenground/containers/build.py": "what Apptainer prints",
    "src/evenground/containers/images.py": "labels, which Apptainer writes into an image",
    "scripts/parity.py": "results of the parity test, which engines write",
    "scripts/preflight.py": "experiment.json",
    "scripts/train.py": "an option that is JSON",
    "scripts/probe.py": "a line from one process of ours to the next",
    "src/evenground/runs/surroundings.py": "the sampler's list of mapped files",
    "src/evenground/workflow/shown.py": "figures.json",
    "src/evenground/made.py": "made/*.json, which no other module reads",
    "src/evenground/containers/apptainer.py": "a line from one process of ours to the next",
    "src/evenground/preflight/probe.py": "a line from one process of ours to the next",
    "src/evenground/preflight/trial.py": "a line from one process of ours to the next",
    "src/evenground/analysis/quality.py": "cells of a table",
    "src/evenground/analysis/write.py": "metrics.json, which DVC reads",
    "src/evenground/report/draw.py": "figures.json",
    "src/evenground/report/page/build.py": "figures.json",
    "scripts/complete.py": "figures.json",
    "src/evenground/explain/stacks.py": "a file of py-spy",
    "src/evenground/environments/whole.py": "packages of an environment",
    "scripts/bench_harness.py": "measurements of itself",
    "scripts/bench_sidecar.py": "measurements of itself",
    "scripts/gpu_check.py": "a check's own files",
    "scripts/gpu_steps/report.py": "a check's own files",
    "scripts/gpu_steps/engines.py": "a check's own files",
    "scripts/gpu_steps/bench.py": "what the sidecar wrote for the check",
    "scripts/gpu_steps/sampler.py": "what the sidecar wrote for the check",
    "scripts/gpu_steps/facts.py": "lines of processes",
}
MODULES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
CHECKED = {path.relative_to(ROOT).as_posix(): path for path in sorted(MODULES)}


def json_in(source: str) -> list[str]:
    """Where source text reads or writes JSON, as `LINE: CODE`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        ours = isinstance(node, ast.Name) and node.id in OURS
        of_json = isinstance(node, ast.Attribute) and node.attr in OF_JSON
        if ours or (of_json and ast.unparse(node).startswith("json.")):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and node.module == "json":
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("name", [name for name in CHECKED if not name.startswith(APART)])
def test_no_module_takes_a_record_apart_by_key(name: str) -> None:
    found = json_in(CHECKED[name].read_text(encoding="utf-8"))
    if name in OTHER_JSON:
        assert found, "it reads and writes no JSON any more: take it from the list"
    else:
        assert not found, "read it by its model in records: docs/records.md"


@pytest.mark.parametrize(
    "source",
    [
        "from evenground.files import read_json\nread_json(path)['runs']",
        "import json\ncontent = json.loads(path.read_text())['runs']",
        "import json\nwith path.open() as file:\n    json.load(file)['runs']",
        "import json\nparser.add_argument('--index', type=json.loads)",
        "from json import loads",
        "write_json(path, {'runs': runs})",
    ],
)
def test_the_rule_sees_every_way_to_do_it(source: str) -> None:
    assert json_in(source)
