"""The metadata of a bundle: valid for others' tools, and true."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evenground.analysis.runs import all_runs
from evenground.files import sha256_bytes
from evenground.records.index import read_index
from made_bundle import complaints, files_of

METADATA = "ro-crate-metadata.json"
Entities = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def crate(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, unpacked by another program than ours."""
    folder = tmp_path_factory.mktemp("crate")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def entities(crate: Path) -> Entities:
    graph = json.loads((crate / METADATA).read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def test_every_requirement_is_met(crate: Path) -> None:
    assert complaints(crate) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "field"),
    [("CreateAction", "instrument"), ("Dataset", "license"), ("CreateAction", "@type")],
)
def test_a_requirement_that_is_not_met_is_found(
    crate: Path, tmp_path: Path, kind: str, field: str
) -> None:
    content = json.loads((crate / METADATA).read_text())
    for entity in content["@graph"]:
        if entity["@type"] == kind:
            entity.pop(field, None)
    (tmp_path / METADATA).write_text(json.dumps(content))
    for path in crate.rglob("*"):
        if path.is_file() and path.name != METADATA:
            (tmp_path / path.relative_to(crate)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(crate)).write_bytes(path.read_bytes())
    assert complaints(tmp_path)


def test_every_file_is_described_as_it_is(made: Path, entities: Entities) -> None:
    files = files_of(made)
    runs = {name.rpartition("/")[0] + "/" for name in files if name.startswith("results/runs/")}
    own = {METADATA, "README.md", "checksums.sha256"}
    lone = {name for name in files if name.rpartition("/")[0] + "/" not in runs} - own
    assert {part["@id"] for part in entities["./"]["hasPart"]} == lone | runs
    for name in lone:
        assert entities[name]["sha256"] == sha256_bytes(files[name])
        assert entities[name]["contentSize"] == str(len(files[name]))


def test_a_finished_training_says_what_it_used(crate: Path, entities: Entities) -> None:
    index = read_index(crate / "results/native/index.json")
    assert len(index.finished) == 3
    for run in all_runs(index):
        wanted, samples = run.wanted, run.samples()
        action = entities[f"#run-{wanted.dataset}-{wanted.engine}-r{wanted.repetition}"]
        assert action["@type"] == "CreateAction" and action["actionStatus"].endswith(
            "/CompletedActionStatus"
        )
        assert (crate / action["result"]["@id"]) == run.folder
        used = {u["name"]: u for u in (entities[link["@id"]] for link in action["resourceUsage"])}
        training_s = (run.events.train_end_ns - run.events.train_start_ns) / 1e9
        assert float(used["training_s"]["value"]) == training_s > 0.7
        assert float(used["cpu_s"]["value"]) == max(samples.columns["cpu_s"]) > 0
        assert (
            float(used["peak_rss_bytes"]["value"])
            == max(samples.columns["rss_bytes"])
            == 400 * 2**20
        )
        assert used["peak_rss_bytes"]["unitCode"].endswith("/BYTE")
        assert "peak_vram_used_bytes" not in used
        for link in [action["instrument"], *action["object"]]:
            assert link["@id"] in entities


def test_a_failed_training_says_why(entities: Entities) -> None:
    actions = [entities[link["@id"]] for link in entities["./"]["mentions"]]
    assert len(actions) == 4
    failed = [
        action for action in actions if action["actionStatus"].endswith("/FailedActionStatus")
    ]
    assert [(action["@id"], action["error"]) for action in failed] == [
        ("#run-tiny-fake_b-r2", "out-of-memory")
    ]
    assert "resourceUsage" not in failed[0] and "result" not in failed[0]


def test_parameters_and_versions_are_there(entities: Entities) -> None:
    assert entities["#parameter-epochs"]["value"] == 2
    assert entities["#engine-fake_a"]["softwareVersion"] == "1.5"
    assert "numpy 2.0" in entities["#engine-fake_b"]["description"]
    assert "arrays are not in this bundle" in entities["#dataset-tiny"]["description"]
