"""`samples.json` as the sidecar of today and of yesterday writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenground.records.samples import NEWER_COLUMNS, OLDER, Header, parse_header
from evenground.sidecar import columns
from evenground.sidecar.columns import Missing
from evenground.sidecar.output import header

SUMMARY = {"launched_unix_ns": 1, "launched_mono_ns": 1, "exited_unix_ns": 2, "exited_mono_ns": 2}


def read(**more: Any) -> Header:
    content = header(10.0, Missing(), None, []) | {"summary": SUMMARY} | more
    return parse_header(json.dumps(content).encode(), Path("samples.json"))


def test_columns_that_older_samples_lack_are_missing_with_a_reason() -> None:
    assert set(NEWER_COLUMNS) <= set(columns.GPU_COLUMNS)
    older = {name: {} for name in columns.COLUMNS if name not in NEWER_COLUMNS}
    assert read(columns=older).missing == dict.fromkeys(NEWER_COLUMNS, OLDER)
    assert (
        read(columns=older, missing={"gpu_age_s": "switched off"}).missing["gpu_age_s"]
        == "switched off"
    )
    assert read().missing == {}


@pytest.mark.parametrize(
    ("card", "windows_s"), [(None, [0.2, 0.5]), ("1", [0.5]), ("0/mig1", [0.2]), ("7", [])]
)
def test_the_cards_that_count_are_those_of_the_columns(
    card: str | None, windows_s: list[float]
) -> None:
    gpus = [{"index": 0, "util_window_s": 0.2}, {"index": 1, "util_window_s": 0.5}]
    assert [one.util_window_s for one in read(gpus=gpus, gpu_card=card).counted()] == windows_s
