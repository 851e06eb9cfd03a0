"""`ro-crate-metadata.json`: a bundle described as an RO-Crate 1.1 and Process Run Crate 0.5.

Source: https://w3id.org/ro/crate/1.1 and https://w3id.org/ro/wfrun/process/0.5. Every training is a
`CreateAction` with its engine, dataset, times, result and use of resources.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evenground.analysis.environment import read_environment
from evenground.analysis.runs import Run, all_runs, largest
from evenground.analysis.times import run_times
from evenground.records.index import Condition, Index, WantedRun
from evenground.records.plan import Dataset, Engine

METADATA = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://spdx.org/licenses/MIT"
STATUS = "http://schema.org"
TERMS = "https://w3id.org/ro/terms/workflow-run#"
# Terms of the profile that the context of RO-Crate itself does not define.
OWN_TERMS = ("resourceUsage", "containerImage", "ContainerImage", "registry", "tag")
UNITS = {
    "s": "https://qudt.org/vocab/unit/SEC",
    "bytes": "https://qudt.org/vocab/unit/BYTE",
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
    """The content of `ro-crate-metadata.json` for `files` (name in the bundle -> `File`).

    The same results give the same bytes. Raises EvengroundError if a run is not as recorded.
    """
    runs = {run.wanted: run for run in all_runs(index)}
    # A run is one entity, its folder; its files are in its manifest.
    folders = {str(run.path) for run in index.finished}
    listed = sorted(name for name in files if name.rpartition("/")[0] not in folders)
    parts = [_file(name, files[name]) for name in listed]
    parts += [_folder(run) for run in index.finished]
    actions: list[Entity] = []
    values: list[Entity] = []
    parameters: dict[str, Entity] = {}
    for name, condition in index.named.items():
        used = _parameters(condition)
        parameters |= {entity["@id"]: entity for entity in used}
        for wanted in condition.runs:
            action, referred = _action(name, wanted, runs.get(wanted), _links(used))
            actions.append(action)
            values += [action, *referred]
    graph = [_descriptor(), _root(index, _links(parts), _links(actions), runs), *_named(), *parts]
    graph += [_engine(engine, runs) for engine in index.engines]
    graph += [_dataset(dataset) for dataset in index.datasets]
    graph += parameters.values()
    graph += values
    context = [f"{SPECIFICATION}/context", {name: TERMS + name for name in OWN_TERMS}]
    return {"@context": context, "@graph": graph}


def description(index: Index) -> str:
    """A description of the bundle's contents, in words."""
    machines = [f"{each.description} (class {each.class_name})" for each in index.machines]
    return (
        f"{len(index.finished)} of {len(index.runs)} wanted trainings with what each of them "
        f"used over time, tables and figures. Machine: {'; '.join(machines)}, "
        f"{index.first.deployment}. "
        "To redraw all of it: evenground replay."
    )


def _links(entities: Iterable[Entity]) -> list[Entity]:
    """References to entities that stand in the graph."""
    return [{"@id": entity["@id"]} for entity in entities]


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": SPECIFICATION},
    }


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
    index: Index, parts: list[Entity], actions: list[Entity], runs: Mapping[WantedRun, Run]
) -> Entity:
    labels = " and ".join(engine.label for engine in index.engines)
    titles = ", ".join(dataset.title for dataset in index.datasets)
    # Not the time of packing: the same results give the same bytes.
    last_ns = max(run.process.exited_ns for run in runs.values())
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"evenground: {labels} on {titles}",
        "description": description(index),
        "datePublished": _time(last_ns),
        "license": {"@id": LICENCE},
        "conformsTo": {"@id": PROFILE},
        "hasPart": parts,
        "mentions": actions,
    }


def _file(name: str, file: File) -> Entity:
    suffix = f".{name.rpartition('.')[2]}"
    return {
        "@id": name,
        "@type": "File",
        "name": name.rpartition("/")[2],
        "encodingFormat": FORMATS.get(suffix, "text/plain"),
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
    }


def _folder(run: WantedRun) -> Entity:
    what = (
        "Samples, events, log and environment of one training; manifest.json has their checksums."
    )
    return {"@id": f"{run.path}/", "@type": "Dataset", "name": run.name, "description": what}


def _engine(engine: Engine, runs: Mapping[WantedRun, Run]) -> Entity:
    entity: Entity = {
        "@id": f"#engine-{engine.name}",
        "@type": "SoftwareApplication",
        "name": engine.label,
    }
    mine = [run for wanted, run in runs.items() if wanted.engine == engine.name]
    if mine:
        # All runs of an engine use the same lock, and so the same libraries.
        environment = read_environment(mine[0])
        libraries = environment.libraries
        entity["description"] = ", ".join(
            f"{name} {version}" for name, version in libraries.items()
        )
        # An engine that is not named after a library is code of this repository: its version is
        # the commit.
        entity["softwareVersion"] = libraries.get(engine.name, environment.git.label)
    return entity


def _dataset(dataset: Dataset) -> Entity:
    fingerprint = str(dataset.prepared or "").rpartition("/")[2]
    what = (
        f"Its arrays are not in this bundle. Prepared for the network `{dataset.network}`, "
        f"fingerprint {fingerprint}."
    )
    return {
        "@id": f"#dataset-{dataset.name}",
        "@type": "CreativeWork",
        "name": dataset.title,
        "description": what,
    }


def _parameters(condition: Condition) -> list[Entity]:
    entities = []
    for name, value in condition.parameters:
        # A swept parameter is another entity for each of its values.
        label = f"{name}-{value}" if name in condition.values else name
        entity = {"@id": f"#parameter-{label}", "@type": "PropertyValue", "name": name}
        entities.append(entity | {"value": value})
    return entities


def _action(
    condition: str, wanted: WantedRun, run: Run | None, parameters: list[Entity]
) -> tuple[Entity, list[Entity]]:
    """The action of a training, and the values it refers to; `run` is None if it did not finish."""
    labels = [condition, wanted.dataset, wanted.engine, f"r{wanted.repetition}"]
    name = f"#run-{'-'.join(filter(None, labels))}"
    objects = [{"@id": f"#dataset-{wanted.dataset}"}, *parameters]
    action: Entity = {
        "@id": name,
        "@type": "CreateAction",
        "name": f"Training: {wanted.name}",
        "instrument": {"@id": f"#engine-{wanted.engine}"},
        "object": objects,
    }
    if run is None:
        action["actionStatus"] = f"{STATUS}/FailedActionStatus"
        action["error"] = wanted.reason or wanted.status
        return action, []
    usage = _usage(name, run)
    action["description"] = f"key {wanted.key}, commit {read_environment(run).git.label}"
    action["startTime"] = _time(run.process.launched_ns)
    action["endTime"] = _time(run.process.exited_ns)
    action["actionStatus"] = f"{STATUS}/CompletedActionStatus"
    action["result"] = {"@id": f"{wanted.path}/"}
    action["resourceUsage"] = _links(usage)
    image = _image(name, run)
    if image is None:
        return action, usage
    action["containerImage"] = {"@id": image["@id"]}
    return action, [*usage, image]


def _usage(action: str, run: Run) -> list[Entity]:
    """What one training used; a value that was not measured is left out."""
    times = run_times(run.events, run.process)
    samples = run.samples().columns
    values = {
        "training_s": (times["training_s"], "s"),
        "whole_process_s": (times["whole_process_s"], "s"),
        "cpu_s": (largest(samples["cpu_s"]), "s"),
        "peak_rss_bytes": (largest(samples["rss_bytes"]), "bytes"),
        "peak_vram_used_bytes": (largest(samples["vram_used_bytes"]), "bytes"),
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


def _image(action: str, run: Run) -> Entity | None:
    """The image that the training ran in; None for a native one."""
    image = read_environment(run).image
    if not image:
        return None
    return {
        "@id": f"{action}-image",
        "@type": "ContainerImage",
        "name": image.name,
        "additionalType": {"@id": f"{TERMS}SIFImage"},
        # An image file comes from no registry, and its tag is what tells it from others.
        "registry": "none",
        "tag": image.sha256[:12],
        "sha256": image.sha256,
    }


def _time(unix_ns: int) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).isoformat(timespec="milliseconds")
