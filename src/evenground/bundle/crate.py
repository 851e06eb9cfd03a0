"""`ro-crate-metadata.json`: what a bundle holds, in the words of RO-Crate 1.1 and Process Run Crate 0.5.

Source: https://w3id.org/ro/crate/1.1 and https://w3id.org/ro/wfrun/process/0.5. Every training is a
`CreateAction` with its engine, its dataset, its times, its result and what it used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evenground.analysis.environment import read_environment
from evenground.analysis.index import Dataset, Engine, Index, WantedRun
from evenground.analysis.runs import Run, Samples, read_runs
from evenground.analysis.times import run_times

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://spdx.org/licenses/MIT"
STATUS = "http://schema.org"
TERMS = "https://w3id.org/ro/terms/workflow-run#"
OWN_TERMS = ("resourceUsage", "containerImage", "ContainerImage", "registry", "tag")
UNITS = {
    "s": "https://qudt.org/vocab/unit/SEC",
    "bytes": "https://qudt.org/vocab/unit/BYTE",
    "J": "https://qudt.org/vocab/unit/J",
}
FORMATS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".yaml": "application/yaml",
}
Entity = dict[str, Any]


@dataclass(frozen=True)
class File:
    """Size and checksum of a file in the bundle."""

    size_bytes: int
    sha256: str


def metadata(index: Index, files: Mapping[str, File]) -> Entity:
    """The content of `ro-crate-metadata.json`; the same results give the same bytes."""
    runs = {run.wanted: run for run in read_runs(index)}
    folders = {str(run.path) for run in index.finished}
    listed = {name: file for name, file in files.items() if name.rpartition("/")[0] not in folders}
    actions = [_action(wanted, runs.get(wanted), index) for wanted in index.runs]
    entities = [entity for action in actions for entity in action]
    parts = [_file(name, file) for name, file in sorted(listed.items())]
    parts += [_folder(run) for run in index.finished]
    engines = [_engine(engine, runs) for engine in index.engines]
    root = _root(
        index, [part["@id"] for part in parts], [action[0]["@id"] for action in actions], runs
    )
    graph = [_descriptor(), root, *_named(), *parts, *engines, *map(_dataset, index.datasets)]
    context = [f"{SPECIFICATION}/context", {name: TERMS + name for name in OWN_TERMS}]
    return {"@context": context, "@graph": [*graph, *_parameters(index), *entities]}


def _descriptor() -> Entity:
    about = {"about": {"@id": "./"}, "conformsTo": {"@id": SPECIFICATION}}
    return {"@id": METADATA, "@type": "CreativeWork", **about}


def _named() -> list[Entity]:
    """What the root refers to by an address."""
    licence = {
        "@id": LICENCE,
        "@type": "CreativeWork",
        "name": "MIT",
        "description": "The MIT licence.",
    }
    profile = {
        "@id": PROFILE,
        "@type": "CreativeWork",
        "name": "Process Run Crate",
        "version": "0.5",
    }
    return [profile, licence]


def _root(
    index: Index, parts: list[str], actions: list[str], runs: Mapping[WantedRun, Run]
) -> Entity:
    machine = index.machine
    labels = " and ".join(engine.label for engine in index.engines)
    titles = ", ".join(dataset.title for dataset in index.datasets)
    last_ns = max(run.process.exited_ns for run in runs.values())
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"evenground: {labels} on {titles}",
        "description": f"{len(index.finished)} of {len(index.runs)} wanted trainings with what each of them "
        f"used over time, tables and figures. Machine: {machine.description} (class {machine.class_name}, "
        f"{index.deployment}). To redraw all of it: evenground replay.",
        "datePublished": _time(last_ns),
        "license": {"@id": LICENCE},
        "conformsTo": {"@id": PROFILE},
        "hasPart": [{"@id": part} for part in parts],
        "mentions": [{"@id": action} for action in actions],
    }


def _file(name: str, file: File) -> Entity:
    suffix = f".{name.rpartition('.')[2]}"
    facts = {"contentSize": str(file.size_bytes), "sha256": file.sha256}
    encoding = {"encodingFormat": FORMATS.get(suffix, "text/plain")}
    return {"@id": name, "@type": "File", "name": name.rpartition("/")[2], **encoding, **facts}


def _folder(run: WantedRun) -> Entity:
    what = (
        "Samples, events, log and environment of one training; manifest.json has their checksums."
    )
    return {"@id": f"{run.path}/", "@type": "Dataset", "name": run.name, "description": what}


def _engine(engine: Engine, runs: Mapping[WantedRun, Run]) -> Entity:
    mine = [run for wanted, run in runs.items() if wanted.engine == engine.name]
    entity: Entity = {
        "@id": f"#engine-{engine.name}",
        "@type": "SoftwareApplication",
        "name": engine.label,
    }
    if mine:
        libraries = read_environment(mine[0]).libraries
        entity["description"] = ", ".join(
            f"{name} {version}" for name, version in libraries.items()
        )
        entity["softwareVersion"] = libraries.get(engine.name, read_environment(mine[0]).git.words)
    return entity


def _dataset(dataset: Dataset) -> Entity:
    fingerprint = str(dataset.prepared or "").rpartition("/")[2]
    what = f"Not in this bundle. Prepared for the network `{dataset.network}`, fingerprint {fingerprint}."
    return {
        "@id": f"#dataset-{dataset.name}",
        "@type": "CreativeWork",
        "name": dataset.title,
        "description": what,
    }


def _parameters(index: Index) -> list[Entity]:
    return [
        {"@id": f"#parameter-{name}", "@type": "PropertyValue", "name": name, "value": value}
        for name, value in index.parameters.items()
    ]


def _action(wanted: WantedRun, run: Run | None, index: Index) -> list[Entity]:
    """The training's action, then the values it refers to."""
    name = f"#run-{wanted.dataset}-{wanted.engine}-r{wanted.repetition}"
    objects = [f"#dataset-{wanted.dataset}", *(f"#parameter-{key}" for key in index.parameters)]
    action: Entity = {
        "@id": name,
        "@type": "CreateAction",
        "name": f"Training: {wanted.name}",
        "instrument": {"@id": f"#engine-{wanted.engine}"},
        "object": [{"@id": key} for key in objects],
    }
    if run is None:
        failed = {
            "actionStatus": f"{STATUS}/FailedActionStatus",
            "error": wanted.reason or wanted.status,
        }
        return [{**action, **failed}]
    usage = _usage(name, run)
    images = _image(name, run)
    action |= {
        "description": f"key {wanted.key}, commit {read_environment(run).git.words}",
        "startTime": _time(run.process.launched_ns),
        "endTime": _time(run.process.exited_ns),
        "actionStatus": f"{STATUS}/CompletedActionStatus",
        "result": {"@id": f"{wanted.path}/"},
        "resourceUsage": [{"@id": value["@id"]} for value in usage],
    }
    if images:
        action["containerImage"] = {"@id": images[0]["@id"]}
    return [action, *usage, *images]


def _usage(action: str, run: Run) -> list[Entity]:
    """What one training used; a value that was not measured is left out."""
    times, samples = run_times(run.events, run.process), run.samples()
    values = {
        "training_s": (times.training_s, "s"),
        "whole_process_s": (times.whole_process_s, "s"),
        "cpu_s": (_largest(samples, "cpu_s"), "s"),
        "peak_rss_bytes": (_largest(samples, "rss_bytes"), "bytes"),
        "peak_vram_used_bytes": (_largest(samples, "vram_used_bytes"), "bytes"),
    }
    return [
        {
            "@id": f"{action}-{name}",
            "@type": "PropertyValue",
            "name": name,
            "propertyID": f"evenground:{name}",
            "value": str(value),
            "unitCode": UNITS[unit],
        }
        for name, (value, unit) in values.items()
        if not math.isnan(value)
    ]


def _largest(samples: Samples, column: str) -> float:
    values = samples.columns.get(column, np.array([]))
    known = values[~np.isnan(values)]
    return float(known.max()) if known.size else math.nan


def _image(action: str, run: Run) -> list[Entity]:
    image = read_environment(run).image
    if not image:
        return []
    kind = {
        "additionalType": {"@id": f"{TERMS}SIFImage"},
        "registry": "none",
        "tag": image.sha256[:12],
    }
    named = {"@id": f"{action}-image", "@type": "ContainerImage", "name": image.name}
    return [{**named, **kind, "sha256": image.sha256}]


def _time(unix_ns: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).isoformat(timespec="milliseconds")
