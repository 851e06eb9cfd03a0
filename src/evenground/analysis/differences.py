"""In what recorded experiments differ: machine, work, code, libraries."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from evenground.analysis.environment import card_of, read_environment
from evenground.analysis.runs import read_runs
from evenground.records.environment import Environment
from evenground.records.index import Index

# A difference in one of these is other work, whose times must not be compared.
WORK = ("epochs", "batch_size", "learning_rate", "seed", "threads", "accelerator")
MACHINE = ("cpu_model", "cores", "memory_bytes", "driver", "kernel", "os")
ABSENT = "–"


def differences(a: Index, b: Index) -> pd.DataFrame:
    """What is recorded of both and is not the same: columns what, in_a, in_b."""
    shared = {engine.name for engine in a.engines} & {engine.name for engine in b.engines}
    in_a, in_b = (_recorded(index) | _limits(index, shared) for index in (a, b))
    rows = [
        {"what": what, "in_a": in_a.get(what, ABSENT), "in_b": in_b.get(what, ABSENT)}
        for what in dict.fromkeys((*in_a, *in_b))
        if in_a.get(what) != in_b.get(what)
    ]
    return pd.DataFrame(rows, columns=["what", "in_a", "in_b"])


def other_work(found: pd.DataFrame) -> list[str]:
    """Those of the differences that make it other work, in words."""
    rows = found[
        found["what"].isin(WORK) | found["what"].str.startswith(("data of ", "examples of "))
    ]
    return [f"{row['what']} {row['in_a']} against {row['in_b']}" for row in rows.to_dict("records")]


def _limits(index: Index, engines: set[str]) -> dict[str, str]:
    """How much of their datasets these engines trained on."""
    return {
        f"examples of {engine.name}": "all"
        if engine.train_limit is None
        else f"first {engine.train_limit:,}"
        for engine in index.engines
        if engine.name in engines
    }


def shared_runs(a: Index, b: Index) -> int:
    """How many recorded runs are the same files in both."""
    in_a, in_b = (
        {run.recorded_as or run.manifest_sha256 for run in index.finished} for index in (a, b)
    )
    return len(in_a & in_b)


def warnings(indexes: Mapping[str, Index], found: Mapping[str, pd.DataFrame]) -> list[str]:
    """What forbids to read experiments (by their names) as measurements of one thing on several machines.

    `found` has the `differences` of the first to each further one, by its name. Only the work and the runs
    forbid it; that two have the same machine class is only noted.
    """
    first = next(iter(indexes))
    other = {name: "; ".join(other_work(table)) for name, table in found.items()}
    words = [
        f"**Not the same work, `{first}` and `{name}`: {what}.**"
        for name, what in other.items()
        if what
    ]
    for (a, of_a), (b, of_b) in itertools.combinations(indexes.items(), 2):
        if shared := shared_runs(of_a, of_b):
            told = f"{shared} {'run is' if shared == 1 else 'runs are'} in both `{a}` and `{b}`"
            words.append(f"**{told}: no comparison of two measurements.**")
    classes: dict[str, list[str]] = {}
    for name, index in indexes.items():
        classes.setdefault(index.machine.class_name, []).append(f"`{name}`")
    same = [", ".join(names) for names in classes.values() if len(names) > 1]
    return words + [f"Of one class of machine: {names}." for names in same]


def _recorded(index: Index) -> dict[str, str]:
    """Everything an index and the environments of its runs say, as words by their names."""
    words = {"machine": f"{index.machine.description} ({index.machine.class_name})"}
    words["deployment"] = index.deployment
    words |= {name: str(value) for name, value in index.parameters}
    words |= {f"data of {d.name}": Path(d.prepared or ABSENT).name for d in index.datasets}
    seen: dict[str, list[str]] = {}
    for run in read_runs(index):
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
