"""How a training's end is judged: every reason has the case that leads to it."""

from __future__ import annotations

from typing import Any

import pytest

from evenground.runs.outcome import process_outcome
from evenground.sidecar import Summary

GOOD = Summary(1, 1, 2, 2, exit_code=0)


@pytest.mark.parametrize(
    ("change", "kills", "reason"),
    [
        ({}, 0, None),
        ({"exit_code": 3}, 0, "crashed"),
        ({"exit_code": 127}, 0, "crashed"),
        ({"exit_code": 127, "not_started": "no such file"}, 0, "not-started"),
        ({"exit_code": None, "signal": 11}, 0, "killed-by-signal"),
        ({"exit_code": None, "signal": 9}, 1, "out-of-memory"),
        ({"exit_code": None, "signal": 15, "timed_out": True}, 0, "time-limit"),
    ],
)
def test_reason(change: dict[str, Any], kills: int, reason: str | None) -> None:
    assert process_outcome(GOOD._replace(**change), kills).reason == reason
