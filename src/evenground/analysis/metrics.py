"""The main numbers of the tables by dataset and engine, for comparing two states of a project."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

MEDIANS = {"training_s": "training_time", "idle_s": "training_time", "test_accuracy": "accuracy"}
"""Measure -> the table that has its medians."""


def metrics(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Dataset -> engine -> number: medians of times, accuracy, energy, peaks; flags and ratios.

    A missing number is left out: null would be mistaken for a value.
    """
    found: dict[str, Any] = defaultdict(lambda: defaultdict(dict))

    def put(row: Mapping[Any, Any], name: str, value: float) -> None:
        if math.isfinite(value):
            found[row["dataset"]][row["engine"]][name] = value

    for measure, name in MEDIANS.items():
        table = tables[name]
        for row in table[table["measure"] == measure].to_dict("records"):
            put(row, measure, row["median"])
            if measure == "training_s" and row["n"]:
                put(row, "n_invalid", row["n_invalid"])
                put(row, "n_warned", row["n_warned"])
    for row in tables["resources"].to_dict("records"):
        put(row, f"peak_{row['resource']}", row["peak_median"])
    for row in tables["energy"].to_dict("records"):
        put(row, "gpu_energy_j", row["energy_j_median"])
        put(row, "gpu_net_energy_j", row["net_j_median"])
    ratios = tables["time_ratio"]
    for row in ratios[ratios["measure"] == "training_s"].to_dict("records"):
        put(row, f"training_s_to_{row['baseline']}", row["ratio"])
    return found
