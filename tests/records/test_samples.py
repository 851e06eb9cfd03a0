"""`samples.json` as the sidecar writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evenground import sidecar
from evenground.files import read_json
from evenground.records.samples import TOO_EARLY, Header, parse_header
from evenground.sidecar.columns import COLUMNS
from made_run_records import HEADER


def read(**more: Any) -> Header:
    return parse_header(json.dumps(HEADER.content() | more).encode(), Path("samples.json"))


@pytest.mark.parametrize(
    ("card", "windows_s"), [(None, [0.2, 0.5]), ("1", [0.5]), ("0/mig1", [0.2]), ("7", [])]
)
def test_the_cards_that_count_are_those_of_the_columns(
    card: str | None, windows_s: list[float]
) -> None:
    gpus = [{"index": 0, "util_window_s": 0.2}, {"index": 1, "util_window_s": 0.5}]
    assert [one.util_window_s for one in read(gpus=gpus, gpu_card=card).counted()] == windows_s


def test_a_column_that_came_later_is_absent_with_that_reason() -> None:
    missing = {"pss_bytes": "not readable"}
    columns = {name: {} for name in COLUMNS if name not in ("gpu_age_s", "gpu_energy_j")}
    header = read(columns=columns, missing=missing)
    early = {"gpu_energy_j": TOO_EARLY, "gpu_age_s": TOO_EARLY}
    assert header.absent() == {"pss_bytes": "not readable", **early}


def test_the_model_and_its_schema_describe_all_that_the_sampler_writes(tmp_path: Path) -> None:
    where = tmp_path / "samples.json"
    sidecar.run(["sleep", "0.2"], samples=tmp_path / "samples.csv", header=where, gpu=False)
    content = read_json(where)
    assert Header.read(where).content() == content
    jsonschema.validate(content, Header.model_json_schema())
    content["summary"]["rows"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, Header.model_json_schema())
