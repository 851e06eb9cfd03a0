"""Made results, changed as if a run had been recorded otherwise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.synthetic import write_manifest
from evenground.analysis import write
from evenground.analysis.experiment import Experiment, alone
from evenground.analysis.measured import Measured
from evenground.analysis.metrics import metrics
from evenground.analysis.normalise import normalise_all, read_normalised, write_normalised
from evenground.analysis.tables import make_tables
from evenground.records.environment import Environment
from evenground.records.index import Index, read_index

Change = Callable[[pd.DataFrame], Any]
CALM = {
    "image": None,
    "variables": {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "0"},
    "process": {"nice": "0", "policy": "other", "stack (bytes)": "8388608"},
    "mounts": [],
    "mapped": {"environment": 131, "system": 12},
    "foreign": [],
    "cold_start": False,
    "missing": {},
}
"""Surroundings of a run that nothing speaks against."""


def tables_of(index: Index) -> dict[str, pd.DataFrame]:
    """Every table of an index."""
    experiment = alone(index)
    return make_tables(experiment, normalise_all(experiment))


def metrics_of(index: Index) -> dict[str, Any]:
    """The main numbers of an index."""
    experiment = alone(index)
    return metrics(experiment, write.tables_of(experiment, normalise_all(experiment)))


def notes_of(index: Index, name: str) -> str:
    """The notes of a table."""
    experiment = alone(index)
    return "\n".join(write.tables_of(experiment, normalise_all(experiment))[name].notes)


def tables_by_files(path: Path) -> dict[str, pd.DataFrame]:
    """The same through the files of the normalise step."""
    index = read_index(path)
    write_normalised(index, path.parent / "normalised")
    experiment = alone(index)
    return make_tables(experiment, read_normalised(experiment, path.parent / "normalised"))


def measured_of(experiment: Experiment) -> Measured:
    """What the verdicts of all conditions rest on."""
    frames = normalise_all(experiment)
    quality = make_tables(experiment, frames)["quality"]
    return Measured(
        measures=frames.measures,
        circumstances=frames.circumstances,
        quality=quality,
    )


def measure(index: Index) -> Measured:
    """The same of the only condition of an index, without the columns that say which it is."""
    experiment = alone(index)
    (placed,) = experiment.conditions
    return measured_of(experiment).of(placed)


def change_index(path: Path, **fields: Any) -> None:
    """Put fields into the only condition of the index."""
    content = json.loads(path.read_text())
    content["conditions"][0] |= fields
    path.write_text(json.dumps(content))


def change_report(path: Path, **fields: Any) -> None:
    """Put fields into the settings of the analysis of the only condition of the index."""
    (condition,) = json.loads(path.read_text())["conditions"]
    change_index(path, report=condition["report"] | fields)


def change_run(
    path: Path,
    number: int,
    samples: Change | None = None,
    environment: dict[str, Any] | None = None,
    condition: int = 0,
) -> None:
    """Change the samples of the run of that place in a condition of the index, or its environment."""
    content = json.loads(path.read_text())
    run = content["conditions"][condition]["runs"][number]
    folder = path.parent.parent / run["path"]
    if samples:
        # As text, for a number that is read and written need not be the same digits.
        frame = pd.read_csv(io.StringIO((folder / "samples.csv").read_text()), dtype="object")
        samples(frame)
        frame.to_csv(folder / "samples.csv", index=False)
        info = json.loads((folder / "samples.json").read_text())
        info["columns"] = {name: info["columns"].get(name, {}) for name in frame.columns}
        (folder / "samples.json").write_text(json.dumps(info))
    if environment is not None:
        content_of_file = {"schema": Environment.SCHEMA, **environment}
        (folder / "environment.json").write_text(json.dumps(content_of_file))
    about = json.loads((folder / "manifest.json").read_text())["run"]
    run["manifest_sha256"] = write_manifest(folder, about)
    path.write_text(json.dumps(content))


def surround(path: Path, number: int, in_image: bool = False, **changes: Any) -> None:
    """Let the run of that place in the index have calm surroundings, but for `changes`."""
    image = {"name": "made", "sha256": "0" * 64} if in_image else None
    change_run(path, number, environment={"image": image, "surroundings": {**CALM, **changes}})


def say_of_baseline(run: Path, baseline: dict[str, Any] | None) -> None:
    """Let a recorded run be one of a sampler that says this of the card before the launch; None: nothing."""
    info = json.loads((run / "samples.json").read_text())
    info.pop("gpu_baseline", None)
    info |= {} if baseline is None else {"gpu_baseline": baseline}
    (run / "samples.json").write_text(json.dumps(info))


def say_not_seen(run: Path, *words: str) -> None:
    """Let a recorded run be one of a sampler that says it could not see something."""
    info = json.loads((run / "samples.json").read_text())
    info["summary"]["not_seen"] = words
    (run / "samples.json").write_text(json.dumps(info))


def set_clock_of(run: Path, when_ns: int, by_s: float) -> None:
    """Let a recorded run be that of a machine whose clock was set by `by_s` at `when_ns` of its own time."""
    by_ns = round(by_s * 1e9)

    def moved(t_unix_ns: int) -> int:
        return t_unix_ns + by_ns if t_unix_ns > when_ns else t_unix_ns

    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    lines = [json.dumps({**event, "t_unix_ns": moved(event["t_unix_ns"])}) for event in events]
    (run / "events.jsonl").write_text("\n".join(lines) + "\n")
    head, *rows = (run / "samples.csv").read_text().splitlines()
    for index, row in enumerate(rows):
        unix, _, rest = row.partition(",")
        rows[index] = f"{moved(int(unix))},{rest}"
    (run / "samples.csv").write_text("\n".join([head, *rows]) + "\n")
    info = json.loads((run / "samples.json").read_text())
    info["summary"]["exited_unix_ns"] = moved(info["summary"]["exited_unix_ns"])
    (run / "samples.json").write_text(json.dumps(info))
