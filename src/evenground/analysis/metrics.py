"""The main numbers of the tables, nested by dataset and engine, to compare two states of a project."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

MEDIANS = (
    ("training_time", "training_s"),
    ("training_time", "idle_s"),
    ("accuracy", "test_accuracy"),
)


def metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Dataset -> engine -> number: medians of times, accuracy and energy, flagged runs, peaks, the ratio.

    A number that is missing is left out: null would be taken for a value.
    """
    found: dict[str, Any] = {}

    def put(row: Mapping[str, Any], name: str, value: float) -> None:
        if math.isfinite(value):
            found.setdefault(row["dataset"], {}).setdefault(row["engine"], {})[name] = value

    for table, measure in MEDIANS:
        for row in _rows(tables[table]):
            if row["measure"] == measure:
                put(row, measure, row["median"])
            if measure == row["measure"] == "training_s" and row["n"]:
                put(row, "n_invalid", row["n_invalid"])
                put(row, "n_warned", row["n_warned"])
    for row in _rows(tables["resources"]):
        put(row, f"peak_{row['resource']}", row["peak_median"])
    for row in _rows(tables["energy"]):
        put(row, "gpu_energy_j", row["energy_j_median"])
        put(row, "gpu_net_energy_j", row["net_j_median"])
    for row in _rows(tables["time_ratio"]):
        if row["measure"] == "training_s":
            put(row, f"training_s_to_{row['baseline']}", row["ratio"])
    return found


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
