"""What a scheduler is asked for: a node by its kind, cores, minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs.plan import NODES
from evenground.runs.request import cores_to_ask, lengths_of, minutes_to_ask, request_of


@pytest.mark.parametrize(
    ("recorded_s", "limit_s", "warm_up", "minutes"),
    [
        ((), 3600.0, False, 70),  # the limit and ten minutes
        ((), 3600.0, True, 130),
        ((100.0, 200.0), 3600.0, True, 20),  # three times the longest
        ((1.0,), 3600.0, False, 11),  # whole minutes
        ((3000.0,), 3600.0, False, 70),  # never more than it may take
    ],
)
def test_minutes(
    recorded_s: tuple[float, ...], limit_s: float, warm_up: bool, minutes: int
) -> None:
    assert minutes_to_ask(recorded_s, limit_s, warm_up) == minutes


def test_lengths_are_those_of_the_same_key_on_the_same_class(tmp_path: Path) -> None:
    times = {
        "a/mnist/keras/k1/r1": 5,
        "a/mnist/keras/k1/r2": 7,
        "a/mnist/keras/k2/r1": 90,
        "b/mnist/keras/k1/r1": 80,
    }
    for place, seconds in times.items():
        ended = {"started_unix_ns": 10**9, "ended_unix_ns": (1 + seconds) * 10**9}
        write_json(tmp_path / "results/runs" / place / "outcome.json", ended)
    assert lengths_of(tmp_path, Path("a/mnist/keras/k1/r3")) == (5.0, 7.0)
    assert lengths_of(tmp_path, Path("a/mnist/jax/k1/r3")) == ()


def test_cores_are_the_kinds_or_the_experiments() -> None:
    assert cores_to_ask(8, "all") == 8 and cores_to_ask(8, 2) == 8 and cores_to_ask(None, 2) == 2
    with pytest.raises(
        EvengroundError, match="set threads to a number, or `cores` of a kind of node"
    ):
        cores_to_ask(None, "all")


def test_a_class_is_asked_for_as_its_kind_of_node(tmp_path: Path) -> None:
    kinds = {
        "small": NodeRequest(cores=2),
        "large": NodeRequest(cores=64, gpus=1),
        "new": NodeRequest(cores=3),
    }
    for kind, name in (("small", "cray-1"), ("large", "cray-2")):
        write_json(tmp_path / NODES / f"{kind}.json", {"class": name, "description": ""})
    assert request_of(kinds, "cray-2", tmp_path).gpus == 1
    assert request_of(kinds, "cray-3", tmp_path) == NodeRequest()
