"""How the columns of tables are declared, and those that several tables share."""

from __future__ import annotations

from collections.abc import Iterable

from evenground.records.table import TableColumn

Columns = tuple[TableColumn, ...]
# A table shows NAME_median, NAME_min and NAME_max as one column.
SPREAD = ("median", "min", "max")


def columns(*parts: TableColumn | Columns) -> Columns:
    """The columns of a table, one after the other."""
    found: list[TableColumn] = []
    for part in parts:
        if isinstance(part, TableColumn):
            found.append(part)
        else:
            found.extend(part)
    return tuple(found)


def text(name: str, meaning: str) -> TableColumn:
    """A column of text."""
    return TableColumn(name=name, kind="text", meaning=meaning)


def whole(name: str, meaning: str) -> TableColumn:
    """A column of whole numbers, such as counts."""
    return TableColumn(name=name, kind="whole", meaning=meaning)


def number(name: str, unit: str | TableColumn, meaning: str) -> TableColumn:
    """A column of numbers; its `unit` may be a column that has the unit of each row."""
    if isinstance(unit, TableColumn):
        return TableColumn(name=name, kind="number", unit_in=unit.name, meaning=meaning)
    return TableColumn(name=name, kind="number", unit=unit, meaning=meaning)


def interval(unit: str | TableColumn) -> Columns:
    """The ends of an interval."""
    return (
        number("low_95", unit, "Lower end of the 95 % interval."),
        number("high_95", unit, "Upper end of the 95 % interval."),
    )


def spread(stem: str, unit: str | TableColumn, meaning: str) -> Columns:
    """The columns STEM_median, STEM_min and STEM_max over runs; no full stop ends `meaning`."""
    whole_meaning = f"{meaning}: median, smallest and largest over the runs."
    parts = [number(f"{stem}_{part}", unit, whole_meaning) for part in SPREAD]
    return tuple(part.model_copy(update={"spread": stem}) for part in parts)


def with_interval(name: str, unit: str | TableColumn, meaning: str) -> Columns:
    """The column NAME with the ends of its interval, which are shown as one column."""
    parts = (number(name, unit, meaning), *interval(unit))
    return tuple(part.model_copy(update={"spread": name}) for part in parts)


def names_of(declared: Iterable[TableColumn]) -> tuple[str, ...]:
    """The names of columns."""
    return tuple(column.name for column in declared)


SOURCE = text("source", "The bundle or folder that the row's runs are from.")
MACHINE = text("machine", "Class of the machine.")
DEPLOYMENT = text("deployment", "`native`, or `apptainer`: in containers.")
NETWORK = text("network", "The network that was trained.")
DATASET = text("dataset", "Name of the dataset.")
ENGINE = text("engine", "Name of the engine.")
REPETITION = whole("repetition", "Number of the repetition, from 1 on.")
LEAD = (SOURCE, MACHINE, DEPLOYMENT)
OF_CONDITION = (DATASET, NETWORK, ENGINE)
GROUP = (DATASET, ENGINE)
RUN = (DATASET, ENGINE, REPETITION)

MEASURE = text("measure", "What was measured, as a column of `runs`.")
RESOURCE = text("resource", "What was used, as a column of `timelines`.")
PHASE = text("phase", "Phase of the run.")
UNIT = text("unit", "Unit of the row's numbers.")
TIME = number("t_s", "s", "Time after the start of training.")
DEVICE = text("device", "What the engine says that it computed on.")
N = whole("n", "Finished runs behind the row's numbers.")
N_WANTED = whole("n_wanted", "Runs that the experiment wants.")
FLAGGED = (
    whole("n_invalid", "Runs with a finding that makes them invalid (table `quality`)."),
    whole("n_warned", "Runs with a finding that is a warning (table `quality`)."),
)
REASON = text("reason", "Why a number is missing, or what is to be known of it.")
