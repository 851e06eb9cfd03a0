"""The conditions of one or several recorded experiments, and the columns that tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from evenground.analysis import columns
from evenground.analysis.columns import Columns, names_of
from evenground.analysis.files import read_rows, typed
from evenground.errors import EvengroundError, set_aside
from evenground.records import plan
from evenground.records.index import Condition, Index
from evenground.records.plan import Engine, Machine
from evenground.records.table import Kind, TableColumn

Value = int | float | str
# Nothing is averaged over two values of any of these, nor of a swept parameter: what they share is
# a group, whose runs differ in their repetition only.
LEAD = names_of(columns.LEAD)
OF_CONDITION = names_of(columns.OF_CONDITION)


@dataclass(frozen=True)
class Placed:
    """A condition, and the values that tell its rows from those of the others."""

    condition: Condition
    index: Index
    """The index that it is in."""
    source: str
    """The source that the index is; empty for a single one."""
    lead: Mapping[str, Value]
    """Column -> value, in the order of the columns."""
    label: str
    """What tells it from its peers, for readers."""

    @property
    def values(self) -> tuple[Value, ...]:
        """The values of the swept parameters: conditions that share them are comparable."""
        return tuple(value for name, value in self.lead.items() if name not in LEAD)


@dataclass(frozen=True)
class Experiment:
    """Recorded experiments as one: a single one under the empty name, or several by source."""

    sources: Mapping[str, Index]

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters that any of them sweeps."""
        names = [name for index in self.sources.values() for name in index.swept]
        return tuple(dict.fromkeys(names))

    @property
    def group(self) -> tuple[str, ...]:
        """The columns of a group: its runs differ in the repetition only."""
        return self.lead + OF_CONDITION

    @property
    def lead(self) -> tuple[str, ...]:
        """The columns that tell conditions apart."""
        named = LEAD if len(self.sources) > 1 else LEAD[1:]
        return named + self.swept

    @property
    def sides(self) -> list[str]:
        """The columns that tell peers apart: the machine only where a source has several."""
        if len(self.sources) == 1:
            return ["machine"]
        if any(len(index.machines) > 1 for index in self.sources.values()):
            return ["source", "machine"]
        return ["source"]

    @cached_property
    def conditions(self) -> list[Placed]:
        """The conditions of all sources, those of the first one first."""
        placed = []
        for source, index in self.sources.items():
            for condition in index.conditions:
                values: dict[str, Value] = {
                    "source": source,
                    "machine": condition.machine.class_name,
                    "deployment": condition.deployment,
                }
                for name in self.swept:
                    # A source that does not sweep it has one value all the same.
                    values[name] = getattr(condition.parameters, name)
                    if self._kinds[name] == "text":
                        values[name] = str(values[name])
                lead = {name: values[name] for name in self.lead}
                label = ", ".join(str(values[name]) for name in self.sides)
                one = Placed(
                    condition=condition,
                    index=index,
                    source=source,
                    lead=lead,
                    label=label,
                )
                placed.append(one)
        return placed

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        """Swept parameter -> the kind of its values: some are words, as `all` threads."""
        kinds: dict[str, Kind] = {}
        for name in self.swept:
            indexes = self.sources.values()
            values = [getattr(c.parameters, name) for index in indexes for c in index.conditions]
            kinds[name] = "number"
            if all(isinstance(value, int) for value in values):
                kinds[name] = "whole"
            if any(isinstance(value, str) for value in values):
                kinds[name] = "text"
        return kinds

    @cached_property
    def differing(self) -> list[str]:
        """The columns that tell conditions apart and have several values."""
        found = []
        for name in self.lead:
            values = {placed.lead[name] for placed in self.conditions}
            if len(values) > 1:
                found.append(name)
        return found

    @cached_property
    def names(self) -> dict[tuple[Value, ...], str]:
        """A condition's leading values -> what tells it from the others, also in a file's name."""
        conditions = self.conditions
        pairs = [(str(each.lead["machine"]), each.condition.values) for each in conditions]
        leads = [tuple(each.lead.values()) for each in conditions]
        return dict(zip(leads, plan.names_of(pairs), strict=True))

    def columns(self, declared: Columns) -> Columns:
        """The columns of a table of all conditions; `declared` are those for a single one."""
        known = {column.name: column for column in columns.LEAD}
        found = [known[name] for name in self.lead if name in known]
        for name, kind in self._kinds.items():
            meaning = f"The parameter `{name}` (docs/parameters.md)."
            found.append(TableColumn(name=name, kind=kind, digits=None, meaning=meaning))
        for column in declared:
            found.append(column)
            if column == columns.DATASET:
                found.append(columns.NETWORK)
        return tuple(found)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The columns that no table shows: one value in all rows, or given by the dataset."""
        same = [name for name in self.lead if name not in self.differing]
        return (*same, columns.NETWORK.name)

    def joined(self, frames: Sequence[pd.DataFrame], declared: Columns) -> pd.DataFrame:
        """The rows of all conditions below each other; `declared` are the columns of a single one."""
        # An empty frame has no types of its own, and would take them from the others.
        filled = [frame for frame in frames if len(frame)]
        rows = pd.concat(filled, ignore_index=True) if filled else frames[0]
        return typed(rows, self.columns(declared))

    @property
    def machines(self) -> list[Machine]:
        """The machine classes, each once."""
        machines = [machine for index in self.sources.values() for machine in index.machines]
        return list({machine.class_name: machine for machine in reversed(machines)}.values())[::-1]

    @property
    def engines(self) -> list[Engine]:
        """The engines of any condition, each once."""
        engines: dict[str, Engine] = {}
        for index in self.sources.values():
            for engine in index.engines:
                engines.setdefault(engine.name, engine)
        return list(engines.values())

    @property
    def peers(self) -> list[list[Placed]]:
        """The conditions that share the values of all swept parameters, where there are several."""
        found: dict[tuple[Value, ...], list[Placed]] = {}
        for placed in self.conditions:
            found.setdefault(placed.values, []).append(placed)
        return [together for together in found.values() if len(together) > 1]


def name_of(placed: Placed, experiment: Experiment) -> str:
    """What tells a condition from the others, also in a file's name; empty for a single one."""
    return experiment.names[tuple(placed.lead.values())]


def words_of(placed: Placed, experiment: Experiment) -> list[str]:
    """What tells a condition from the others, for readers, e.g. `batch size 64`."""
    words = []
    for name in experiment.differing:
        value = str(placed.lead[name])
        words.append(value if name in LEAD else f"{parameter_words(name)} {value}")
    return words


def values_in_words(placed: Placed, experiment: Experiment) -> str:
    """The values that it shares with its peers, e.g. `batch size 64, epochs 3`."""
    names = experiment.swept
    return ", ".join(f"{parameter_words(name)} {placed.lead[name]}" for name in names)


def parameter_words(parameter: str) -> str:
    """A parameter's name for readers, e.g. `batch size`."""
    return parameter.replace("_", " ")


def alone(index: Index) -> Experiment:
    """One experiment, whose rows need no source."""
    return Experiment(sources={"": index})


def with_lead(frame: pd.DataFrame, placed: Placed) -> pd.DataFrame:
    """The rows of one condition with the columns that say so in front, and their network."""
    led = frame.copy()
    if "dataset" in led:
        place = list(led.columns).index("dataset") + 1
        led.insert(place, "network", _networks(led, placed))
    for position, (name, value) in enumerate(placed.lead.items()):
        led.insert(position, name, value)
    return led


def read_led(path: Path, experiment: Experiment, declared: Columns) -> pd.DataFrame:
    """The rows of all conditions as written to a file; `declared` are the columns of a single one.

    Raises EvengroundError if it is missing or broken, or has a row of no condition.
    """
    frame = read_rows(path, experiment.columns(declared))
    known = set()
    for placed in experiment.conditions:
        for dataset, engine in placed.condition.groups():
            known.add((*placed.lead.values(), dataset.name, dataset.network, engine.name))
    found = frame[list(experiment.group)].drop_duplicates()
    if not set(found.itertuples(index=False, name=None)) <= known:
        what = "broken table, a row is of no condition of the index"
        raise EvengroundError(what, str(path), set_aside(path))
    return frame


def of_condition(frame: pd.DataFrame, placed: Placed) -> pd.DataFrame:
    """The rows of one condition, without the columns that say so: the only place that parts rows.

    What is computed of them is over repetitions alone, never over machines, deployments, networks,
    sources or values of a parameter.
    """
    rows = frame
    for name, value in placed.lead.items():
        rows = rows[rows[name] == value]
    _refuse_mixed(rows, placed)
    return rows.drop(columns=[*placed.lead, "network"]).reset_index(drop=True)


def _refuse_mixed(rows: pd.DataFrame, placed: Placed) -> None:
    """The condition itself, not what tells it from others, says of what all rows must be."""
    condition = placed.condition
    expected: dict[str, Any] = {"machine": condition.machine.class_name}
    expected["deployment"] = condition.deployment
    if "source" in rows:
        expected["source"] = placed.source
    for name in condition.values:
        expected[name] = str(getattr(condition.parameters, name))
    expected["network"] = _networks(rows, placed)
    for name, value in expected.items():
        assert (rows[name].astype("str") == value).all(), f"several values of {name} in one group"


def _networks(rows: pd.DataFrame, placed: Placed) -> pd.Series[str]:
    """The network of each row's dataset."""
    networks = {dataset.name: dataset.network for dataset in placed.condition.datasets}
    return rows["dataset"].map(networks)
