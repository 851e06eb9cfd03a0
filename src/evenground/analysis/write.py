"""Write the tables of the analysis, and the main numbers."""

from __future__ import annotations

from pathlib import Path

from evenground.analysis.answer import hidden_columns
from evenground.analysis.captions import TITLES, notes
from evenground.analysis.experiment import Experiment, alone
from evenground.analysis.metrics import metrics
from evenground.analysis.normalise import Normalised, read_normalised
from evenground.analysis.sentences import answers
from evenground.analysis.table import Table, write_table
from evenground.analysis.tables import columns_of, make_tables
from evenground.files import write_json
from evenground.records.index import Index


def write_tables(index: Index, normalised: Path, to: Path, metrics_file: Path) -> None:
    """Write every table with what its columns hold, and the main numbers as JSON.

    Raises EvengroundError if a frame or a calibration cannot be read.
    """
    experiment = alone(index)
    tables = tables_of(experiment, read_normalised(experiment, normalised))
    for table in tables.values():
        write_table(table, to)
    write_json(metrics_file, metrics(experiment, tables))


def tables_of(experiment: Experiment, frames: Normalised) -> dict[str, Table]:
    """The tables of an experiment by name; raises EvengroundError as `make_tables` does."""
    made = make_tables(experiment, frames)
    tables = {}
    for name, rows in made.items():
        said = notes(name, experiment, made["quality"], frames.circumstances)
        hidden = experiment.hidden
        if name == "answer":
            said = tuple(answers(experiment, rows)) + said
            hidden += hidden_columns(rows)
        tables[name] = Table(
            name=name,
            title=TITLES[name],
            columns=columns_of(experiment, name),
            rows=rows,
            notes=said,
            hidden=hidden,
        )
    return tables
