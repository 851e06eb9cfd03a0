"""Made records of a study and of data, each valid by itself; keywords change fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evenground.records.base import Record
from evenground.records.dataset import EmptyClasses, Fetched, FetchedFile, Prepared
from evenground.records.index import Index, Indexes, IndexOfPart, WantedRun
from evenground.records.plan import (
    Dataset,
    Engine,
    FileBeside,
    Machine,
    Parameters,
    PlanFile,
    Report,
    Run,
    Wanted,
)
from evenground.records.verdicts import Look, Row, RunBehind, Verdicts

MACHINE = Machine(class_name="made-nogpu-1", description="Made CPU, 2 cores")
PARAMETERS = Parameters(
    repetitions=2,
    epochs=3,
    batch_size=32,
    learning_rate=0.001,
    seed=2022,
    threads=2,
    accelerator="cpu",
    sampling_rate_hz=10.0,
    linger_s=3.0,
)
T_NS = 1_700_000_000_000_000_000
SHA256 = "0" * 64
SHEET = "results/contact_sheets/d-x.json"


def made_run(engine: str = "a", repetition: int = 1, **changes: Any) -> Run:
    fields = {"machine": MACHINE.class_name, "dataset": "d", "engine": engine, "key": "k1"}
    return Run.model_validate({**fields, "repetition": repetition, "order": 1, **changes})


def _of(runs: Sequence[Wanted]) -> dict[str, Any]:
    """The engines and datasets of runs."""
    engines = dict.fromkeys(run.engine for run in runs)
    datasets = dict.fromkeys([run.dataset for run in runs] or ["d"])
    return {
        "engines": tuple(Engine(name=name, label=name, colour="#000000") for name in engines),
        "datasets": tuple(Dataset(name=name, title=name, network="mlp") for name in datasets),
    }


def made_plan(*runs: Run, **changes: Any) -> PlanFile:
    """A plan that wants these runs."""
    fields = {
        "machine": MACHINE,
        "deployment": "native",
        "report": Report(grid_s=0.1),
        "parameters": PARAMETERS,
        "calibration": "results/calibration/made/x.json",
        "contact_sheets": {run.dataset: SHEET for run in runs},
        "sources": {run.engine: ("/elsewhere",) for run in runs},
        "runs": runs,
        "written_unix_ns": T_NS,
    }
    return PlanFile.model_validate(fields | _of(runs) | changes)


def made_wanted(run: Run, status: str = "finished", **changes: Any) -> WantedRun:
    """A run of an index: with its folder if it finished."""
    finished = {"path": f"results/runs/{run.path}", "manifest_sha256": SHA256}
    fields: dict[str, Any] = {"status": status, "attempts": 1}
    if status == "finished":
        fields |= finished
    return WantedRun.model_validate(run.model_dump(exclude={"machine"}) | fields | changes)


def made_index(*runs: WantedRun, **changes: Any) -> Index:
    """An index of these runs."""
    fields = {
        "machine": MACHINE,
        "deployment": "native",
        "report": Report(grid_s=0.1),
        "parameters": PARAMETERS,
        "calibration": FileBeside(path="results/calibration/made/x.json", sha256=SHA256),
        "runs": runs,
    }
    return Index.model_validate(fields | _of(runs) | changes)


def write_index(path: Path, *runs: Run) -> None:
    """An index in which these runs, of one class of machine, finished."""
    machine = Machine(class_name=runs[0].machine, description="Made CPU, 2 cores")
    made_index(*(made_wanted(run) for run in runs), machine=machine).write(path)


def made_indexes(*runs: Run) -> Indexes:
    """The list of the indexes of parts with one run each."""
    parts = []
    for run in runs:
        part = IndexOfPart(
            name=run.key,
            machine=run.machine,
            settings={},
            index="index.json",
            sha256=SHA256,
            runs=(run,),
        )
        parts.append(part)
    return Indexes(parts=tuple(parts))


def made_prepared(**changes: Any) -> Prepared:
    prepared = Prepared(
        name="d",
        title="D",
        classes=("zero", "one"),
        licence="none",
        height=28,
        width=28,
        channels=1,
        train_examples=96,
        test_examples=32,
        arrays={"train_images.npy": SHA256},
        empty_classes=EmptyClasses(training=(), test=()),
    )
    return prepared.model_copy(update=changes)


def made_fetched() -> Fetched:
    return Fetched(
        dataset="d", files={"a.gz": FetchedFile(bytes=3, sha256=SHA256, source="mirror")}
    )


def made_group(*runs: int) -> dict[str, Any]:
    """A group of a row: the numbers of its runs."""
    group: dict[str, Any] = {"role": "a", "dataset_of_claim": "d", "runs": runs}
    group |= {"values": [1.0] * len(runs), "without_idle": [None] * len(runs), "resolution": 0.1}
    return group | {"repetitions_left_out": [], "extrapolated_from_examples": None}


def made_row(claim: str = "A", reading: str = "reproduced", **changes: Any) -> dict[str, Any]:
    """A row of verdicts.json: what has no value there is null or empty."""
    fields: dict[str, Any] = dict.fromkeys(Row.model_fields)
    texts = ["part", "effect", "in_prediction", "method", "demonstration", "reason", "left_out"]
    texts += [name for name in fields if name.endswith("_words")]
    fields |= dict.fromkeys(texts, "")
    fields |= dict.fromkeys(["groups", "counted", "follows_from"], ())
    del fields["cv_words"]
    name = "-".join(filter(None, [claim, changes.get("part")]))
    fields |= {"id": name, "claim": claim, "reading": reading, "verdict": reading, "CV_words": ""}
    fields |= {"instrument": "corrected", "kind": "verdict", "unit": "1", "section": "5.1"}
    fields |= {
        "statement": "It is so.",
        "because": "as it is",
        "needs": {"accelerator": None, "arm": None},
    }
    fields |= {"direction": "greater", "bound": 1.0, "published": 1.3, "tolerance": 0.1}
    fields |= {"tolerance_elsewhere": 0.25, "confidence": 0.95, "estimator": "ratio"}
    return {**fields, "region": (1.0, None), **changes}


def made_verdicts(*rows: dict[str, Any]) -> Verdicts:
    """Verdicts of these rows, which may rest on two runs."""
    runs = [made_wanted(made_run(repetition=number)) for number in (1, 2)]
    names = set(RunBehind.model_fields)
    return Verdicts(
        sources={"claims.yaml": SHA256},
        machine=MACHINE.class_name,
        deployment="native",
        stand_ins={},
        design="blocks",
        look=Look(n=2, number=1, planned=(2,), by_precision=False, confidence=0.95, words="One."),
        summary=("**Verdicts**: none.",),
        verdicts=tuple(Row.model_validate(row) for row in rows),
        runs=tuple(RunBehind.model_validate(run.model_dump(include=names)) for run in runs),
    )


MADE: dict[str, Record] = {
    "plan": made_plan(made_run()),
    "index": made_index(made_wanted(made_run())),
    "verdicts": made_verdicts(made_row() | {"groups": [made_group(0)]}),
    "dataset": made_prepared(),
    "fetched": made_fetched(),
}
"""Format -> a record of it."""
