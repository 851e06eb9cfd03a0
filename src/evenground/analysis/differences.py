"""In what recorded experiments differ: machine, work, code, libraries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from evenground.analysis.columns import text
from evenground.analysis.environment import card_of, read_environment
from evenground.analysis.experiment import Experiment, Placed, values_in_words, with_lead
from evenground.analysis.runs import read_runs
from evenground.analysis.table import Table, frame_of
from evenground.records.environment import Environment
from evenground.records.index import Condition

TABLE = (
    text("over", "The source or machine that the row's is compared with: the first one."),
    text("what", "What is recorded of both and is not the same."),
    text("in_first", "What is recorded of the first."),
    text("in_other", "What is recorded of the row's own."),
)
# A difference in one of these is other work, whose times must not be compared.
WORK = ("epochs", "batch_size", "learning_rate", "seed", "threads", "accelerator")
MACHINE = ("cpu_model", "cores", "memory_bytes", "driver", "kernel", "os")
ABSENT = "–"


def differences_table(experiment: Experiment) -> tuple[Table, list[str]]:
    """What is recorded of peers and is not the same, and what forbids to compare them."""
    frames = [with_lead(frame_of([], TABLE), experiment.conditions[0])]
    where: dict[str, list[str]] = {}
    for together in experiment.peers:
        first = together[0]
        found = [differences(first.condition, other.condition) for other in together[1:]]
        for line in warnings(together, found):
            where.setdefault(line, []).append(values_in_words(first, experiment))
        for other, frame in zip(together[1:], found, strict=True):
            led = with_lead(frame.assign(over=first.label), other)
            frames.append(led)
    lines = [_located(line, values) for line, values in where.items()]
    table = Table(
        name="differences",
        title="What differs",
        columns=experiment.columns(TABLE),
        rows=experiment.joined(frames, TABLE),
        notes=tuple(lines),
        hidden=experiment.hidden,
    )
    return table, lines


def _located(line: str, values: Sequence[str]) -> str:
    """A warning, once for all values at which it holds."""
    if values == [""]:
        return line
    return f"{line} At {'; '.join(values)}."


def differences(first: Condition, other: Condition) -> pd.DataFrame:
    """What is recorded of both and is not the same: columns what, in_first, in_other."""
    shared = {engine.name for engine in first.engines} & {engine.name for engine in other.engines}
    in_first, in_other = (_recorded(each) | _limits(each, shared) for each in (first, other))
    rows = []
    for what in dict.fromkeys([*in_first, *in_other]):
        row = {
            "what": what,
            "in_first": in_first.get(what, ABSENT),
            "in_other": in_other.get(what, ABSENT),
        }
        if row["in_first"] != row["in_other"]:
            rows.append(row)
    return pd.DataFrame(rows, columns=["what", "in_first", "in_other"])


def _other_work(found: pd.DataFrame) -> list[str]:
    """Those of the differences that make it other work, in words."""
    of_data = found["what"].str.startswith(("data of ", "examples of ", "network of "))
    rows = found[found["what"].isin(WORK) | of_data].to_dict("records")
    return [f"{row['what']} {row['in_first']} against {row['in_other']}" for row in rows]


def _limits(condition: Condition, engines: set[str]) -> dict[str, str]:
    """How much of their datasets these engines trained on."""
    limits = {}
    for engine in condition.engines:
        if engine.name in engines:
            limit = engine.train_limit
            limits[f"examples of {engine.name}"] = "all" if limit is None else f"first {limit:,}"
    return limits


def shared_runs(first: Condition, other: Condition) -> int:
    """How many recorded runs are the same files in both."""
    return len(_files(first) & _files(other))


def _files(condition: Condition) -> set[str | None]:
    return {run.recorded_as or run.manifest_sha256 for run in condition.finished}


def warnings(peers: Sequence[Placed], found: Sequence[pd.DataFrame]) -> list[str]:
    """What forbids to read peers as measurements of one thing on several machines.

    `found` has the `differences` of the first to each further one. Only other work and shared runs
    forbid it; that two have the same machine class is only noted.
    """
    lines = []
    for placed, table in zip(peers[1:], found, strict=True):
        if what := "; ".join(_other_work(table)):
            names = f"`{peers[0].label}` and `{placed.label}`"
            lines.append(f"**Not the same work, {names}: {what}.**")
    for a, b in itertools.combinations(peers, 2):
        if shared := shared_runs(a.condition, b.condition):
            runs = "1 run is" if shared == 1 else f"{shared} runs are"
            both = f"in both `{a.label}` and `{b.label}`"
            lines.append(f"**{runs} {both}: no comparison of two measurements.**")
    classes: dict[str, list[str]] = {}
    for placed in peers:
        classes.setdefault(placed.condition.machine.class_name, []).append(f"`{placed.label}`")
    for labels in classes.values():
        if len(labels) > 1:
            lines.append(f"Of one class of machine: {', '.join(labels)}.")
    return lines


def _recorded(condition: Condition) -> dict[str, str]:
    """Everything a condition and the environments of its runs say, as words by their names."""
    words = {"machine": f"{condition.machine.description} ({condition.machine.class_name})"}
    words["deployment"] = condition.deployment
    words |= {name: str(value) for name, value in condition.parameters}
    for dataset in condition.datasets:
        words[f"data of {dataset.name}"] = Path(dataset.prepared or ABSENT).name
        words[f"network of {dataset.name}"] = dataset.network
    seen: dict[str, list[str]] = {}
    for run in read_runs(condition):
        seen.setdefault(f"key of {run.wanted.dataset}, {run.wanted.engine}", []).append(
            run.wanted.key
        )
        for what, value in _environment(read_environment(run), run.wanted.engine).items():
            seen.setdefault(what, []).append(value)
    return words | {what: ", ".join(dict.fromkeys(values)) for what, values in seen.items()}


def _environment(record: Environment, engine: str) -> dict[str, str]:
    words = {name: str(getattr(record, name) or ABSENT) for name in MACHINE}
    words |= {"commit": record.git.label, f"Python of {engine}": record.python or ABSENT}
    words[f"image of {engine}"] = record.image.sha256[:12] if record.image else ABSENT
    words |= {f"GPU of {engine}, {name}": value for name, value in card_of(record).items()}
    return words | {f"{name} of {engine}": version for name, version in record.libraries.items()}
