"""An arm that trains on the first examples only, through the pipeline: trained, indexed, judged, shown."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from working_copy import WorkingCopy

RESULTS = Path("results/native")
# One step an epoch of 80 examples; a fake engine takes as long for any number of them.
ARM = {"name": "part", "folder": "tests/fake_engine", "arm_of": "fake_a", "train_limit": 32}


def rows(copy: WorkingCopy, table: str, **where: str) -> list[dict[str, str]]:
    with (copy.root / RESULTS / f"tables/{table}.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if where.items() <= row.items()]


@pytest.mark.slow
def test_a_limited_arm_is_trained_extrapolated_and_named(copy: WorkingCopy) -> None:
    # Half of its epochs have a step after the first one: how exact the extrapolation is can be told.
    copy.settings["epochs"] = 4
    copy.settings["engines"] = [*copy.settings["engines"], ARM]
    copy.settings["stand_ins"] = {
        "elixir": "fake_a",
        "elixir_without_exla": "part",
        "mnist": "tiny",
    }
    copy.call("--cores", "2", str(RESULTS / "report.html"))
    (condition,) = json.loads((copy.root / RESULTS / "index.json").read_text())["conditions"]
    assert [engine["train_limit"] for engine in condition["engines"]] == [None, None, 32]
    assert condition["datasets"][0]["train_examples"] == 80
    trained = {}
    for run in condition["runs"]:
        events = (copy.root / run["path"] / "events.jsonl").read_text().splitlines()
        loaded = next(event for event in map(json.loads, events) if event["event"] == "load_end")
        trained[run["engine"], run["repetition"]] = loaded["train_examples"]
    assert trained == {
        (e, r): 32 if e == "part" else 80 for e in ("fake_a", "fake_b", "part") for r in (1, 2)
    }

    ours, published = rows(copy, "verdicts", claim="X1")
    assert float(ours["estimate"]) > 1 and (ours["n_a"], ours["n_b"]) == ("2", "2")
    assert ours["reason"].endswith("part extrapolated from 32 of 80 examples")
    # Between two samples nothing passes on the thesis's clock, and a fake training takes no time.
    assert "part extrapolated from 32 of 80 examples" in published["reason"]
    assert {row["reason"] for row in rows(copy, "ratios", engine="part")} == {
        "trained on 32 examples only"
    }
    assert float(rows(copy, "summary", engine="part", measure="training_s")[0]["median"]) < 1
    assert "Fake (part), 32 examples" in (copy.root / RESULTS / "report.html").read_text()
