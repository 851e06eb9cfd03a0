"""The main numbers of the tables by dataset and engine, for comparing two states of a project."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evenground.analysis.experiment import Experiment, Placed, name_of, of_condition
from evenground.analysis.table import Table

MEDIANS = ("training_s", "idle_s", "test_accuracy", "gpu_energy_j", "gpu_net_energy_j")
"""Measures whose medians are main numbers."""


def metrics(experiment: Experiment, tables: Mapping[str, Table]) -> dict[str, Any]:
    """Dataset -> engine -> number, below the name of the condition if there are several.

    Medians of times, accuracy, energy and peaks; flags and ratios. A missing number is left out:
    null would be mistaken for a value.
    """
    rows = {name: tables[name].rows for name in ("summary", "resources", "ratios")}
    found = {}
    for placed in experiment.conditions:
        found[name_of(placed, experiment)] = _of_condition(rows, placed)
    return found if len(found) > 1 else found[""]


def _of_condition(tables: Mapping[str, pd.DataFrame], placed: Placed) -> dict[str, Any]:
    found: dict[str, Any] = defaultdict(lambda: defaultdict(dict))

    def put(row: Mapping[Any, Any], name: str, value: float) -> None:
        if math.isfinite(value):
            found[row["dataset"]][row["engine"]][name] = value

    own = {name: of_condition(rows, placed) for name, rows in tables.items()}
    for row in own["summary"].to_dict("records"):
        if row["measure"] in MEDIANS:
            put(row, row["measure"], row["median"])
        if row["measure"] == "training_s" and row["n"]:
            put(row, "n_invalid", row["n_invalid"])
            put(row, "n_warned", row["n_warned"])
    for row in own["resources"].to_dict("records"):
        put(row, f"peak_{row['resource']}", row["peak_median"])
    for row in own["ratios"].to_dict("records"):
        if row["measure"] == "training_s":
            put(row, f"training_s_to_{row['baseline']}", row["ratio"])
    return found
