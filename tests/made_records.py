"""Made records of a study and of data, each valid by itself; keywords change fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evenground.records.base import Record
from evenground.records.dataset import EmptyClasses, Fetched, FetchedFile, Prepared
from evenground.records.index import Condition, Index, WantedRun
from evenground.records.plan import (
    Dataset,
    Engine,
    FileBeside,
    Machine,
    Parameters,
    PlanFile,
    PlannedCondition,
    Report,
    Run,
    Wanted,
)
from evenground.records.table import TableColumn, TableFile
from evenground.records.verdicts import ConditionVerdicts, Look, Row, RunBehind, Verdicts

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
        "datasets": tuple(
            Dataset(name=name, title=name, network="mlp", train_examples=60_000)
            for name in datasets
        ),
    }


def _described(runs: Sequence[Wanted], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a condition of these runs; swept `values` are also its parameters."""
    values = changes.get("values", {})
    fields = {
        "machine": MACHINE,
        "deployment": "native",
        "values": values,
        "report": Report(grid_s=0.1),
        "parameters": PARAMETERS.model_copy(update=values),
        "runs": tuple(runs),
    }
    return fields | _of(runs)


def made_planned(*runs: Run, **changes: Any) -> PlannedCondition:
    """A condition of a plan that wants these runs."""
    fields = _described(runs, changes) | {"calibration": "results/calibration/made/x.json"}
    return PlannedCondition.model_validate(fields | changes)


def plan_of(*conditions: PlannedCondition, **changes: Any) -> PlanFile:
    """A plan of these conditions."""
    runs = [run for condition in conditions for run in condition.runs]
    fields = {
        "swept": tuple(conditions[0].values),
        "conditions": conditions,
        "contact_sheets": {run.dataset: SHEET for run in runs},
        "sources": {run.engine: ("/elsewhere",) for run in runs},
        "written_unix_ns": T_NS,
    }
    return PlanFile.model_validate(fields | changes)


def made_plan(*runs: Run, **changes: Any) -> PlanFile:
    """A plan of one condition that wants these runs."""
    return plan_of(made_planned(*runs, **changes))


def made_wanted(run: Run, status: str = "finished", **changes: Any) -> WantedRun:
    """A run of an index: with its folder if it finished."""
    finished = {"path": f"results/runs/{run.path}", "manifest_sha256": SHA256}
    fields: dict[str, Any] = {"status": status, "attempts": 1}
    if status == "finished":
        fields |= finished
    return WantedRun.model_validate(run.model_dump(exclude={"machine"}) | fields | changes)


def made_condition(*runs: WantedRun, **changes: Any) -> Condition:
    """A condition of an index with these runs."""
    calibration = FileBeside(path="results/calibration/made/x.json", sha256=SHA256)
    fields = _described(runs, changes) | {"calibration": calibration}
    return Condition.model_validate(fields | changes)


def index_of(*conditions: Condition, **changes: Any) -> Index:
    """An index of these conditions."""
    fields = {"swept": tuple(conditions[0].values), "conditions": conditions}
    return Index.model_validate(fields | changes)


def made_index(*runs: WantedRun, **changes: Any) -> Index:
    """An index of one condition with these runs."""
    return index_of(made_condition(*runs, **changes))


def write_index(path: Path, *runs: Run) -> None:
    """An index in which these runs finished, with a condition for each of their machine classes."""
    conditions = []
    for name in dict.fromkeys(run.machine for run in runs):
        own = [made_wanted(run) for run in runs if run.machine == name]
        machine = Machine(class_name=name, description="Made CPU, 2 cores")
        conditions.append(made_condition(*own, machine=machine))
    index_of(*conditions).write(path)


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
    """Verdicts of these rows on one condition, which may rest on two runs."""
    runs = [made_wanted(made_run(repetition=number)) for number in (1, 2)]
    names = set(RunBehind.model_fields)
    condition = ConditionVerdicts(
        machine=MACHINE.class_name,
        values={},
        stand_ins={},
        design="blocks",
        look=Look(n=2, number=1, planned=(2,), by_precision=False, confidence=0.95, words="One."),
        summary=("**Verdicts**: none.",),
        verdicts=tuple(Row.model_validate(row) for row in rows),
        runs=tuple(RunBehind.model_validate(run.model_dump(include=names)) for run in runs),
    )
    return Verdicts(sources={"claims.yaml": SHA256}, deployment="native", conditions=(condition,))


def made_table(**changes: Any) -> TableFile:
    """What a table says of itself: a column of text, and one in the unit of each row."""
    unit = TableColumn(name="unit", kind="text", meaning="Unit of the row.")
    used = TableColumn(name="used", kind="number", unit_in="unit", meaning="How much was used.")
    table = TableFile(name="t", title="T", columns=(unit, used), notes=("Made.",))
    return table.model_copy(update=changes)


MADE: dict[str, Record] = {
    "plan": made_plan(made_run()),
    "index": made_index(made_wanted(made_run())),
    "verdicts": made_verdicts(made_row() | {"groups": [made_group(0)]}),
    "table": made_table(),
    "dataset": made_prepared(),
    "fetched": made_fetched(),
}
"""Format -> a record of it."""
