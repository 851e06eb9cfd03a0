"""What a scheduler is asked for: a node by its kind, cores, minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.runs.plan import NODES
from evenground.runs.request import (
    Requests,
    minutes_to_ask,
    named_resources,
    recorded_lengths_s,
    refuse_cores_option,
)
from evenground.runs.study import make_study
from working_copy import WorkingCopy, fresh_copy


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
    for run_path, seconds in times.items():
        ended = {"started_unix_ns": 10**9, "ended_unix_ns": (1 + seconds) * 10**9}
        write_json(tmp_path / "results/runs" / run_path / "outcome.json", ended)
    runs = tmp_path / "results/runs"
    assert recorded_lengths_s(runs / "a/mnist/keras/k1") == [5.0, 7.0]
    assert recorded_lengths_s(runs / "a/mnist/jax/k1") == []


def test_only_what_a_kind_of_node_names_is_a_resource() -> None:
    kinds = {"a": NodeRequest(cores=2, mem_mb=4000), "b": NodeRequest(gpus=1, constraint="a100")}
    assert named_resources(kinds) == {"gpu": "gpus", "constraint": "constraint"}
    assert named_resources({}) == {}


@pytest.mark.parametrize("words", [["--cores", "2"], ["--cores=2"], ["-c2"], ["-c", "all"]])
def test_cores_of_the_invocation_are_refused(words: list[str]) -> None:
    refuse_cores_option(["--jobs", "2", "--configfile", "x"])
    with pytest.raises(EvengroundError, match="--cores would limit what every job asks"):
        refuse_cores_option(["--jobs", "2", *words])


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def requests_of(copy: WorkingCopy, kinds: dict[str, NodeRequest], **settings: Any) -> Requests:
    study = make_study({**copy.settings, **settings}, copy.root)
    return Requests(kinds=kinds, study=study)


def test_a_class_is_asked_for_as_its_kind_of_node(copy: WorkingCopy) -> None:
    kinds = {
        "small": NodeRequest(cores=2),
        "large": NodeRequest(cores=64, gpus=1),
        "twin": NodeRequest(cores=5),
        "new": NodeRequest(cores=3),
    }
    for kind, name in (("small", "cray-1"), ("large", "cray-2"), ("twin", "cray-2")):
        write_json(copy.root / NODES / f"{kind}.json", {"class": name, "description": ""})
    requests = requests_of(copy, kinds)
    assert (
        requests.of_class("cray-2") == kinds["large"]
        and requests.of_class("cray-1") == kinds["small"]
    )
    assert requests.of_class("cray-3") == NodeRequest()


def test_the_time_of_a_training_is_longer_with_its_warm_up(copy: WorkingCopy) -> None:
    requests = requests_of(copy, {}, time_limit_s=3600.0)
    run_paths = list(requests.study.by_path)
    warm = [run_path in requests.study.warm_ups for run_path in run_paths]
    assert [requests.minutes(run_path) for run_path in run_paths] == [
        130 if first else 70 for first in warm
    ]
    assert set(warm) == {True, False}


def test_unknown_cores_are_refused_for_trainings_and_for_probes(copy: WorkingCopy) -> None:
    requests = requests_of(copy, {"small": NodeRequest()}, threads=[2, 1])
    assert requests.cores(NodeRequest()) == 2 and requests.cores(NodeRequest(cores=7)) == 7
    requests.refuse_unknown_cores(probes=True)
    requests.refuse_unknown_cores(probes=False)
    unknown = requests_of(copy, {"small": NodeRequest()}, threads="all")
    assert unknown.cores(NodeRequest(cores=8)) == 8
    why = "how many cores a training asks for .* set threads to a number, or `cores` of a kind of node"
    for probes in (True, False):
        with pytest.raises(EvengroundError, match=why):
            unknown.refuse_unknown_cores(probes=probes)
    known = requests_of(copy, {"small": NodeRequest(cores=2)}, threads="all")
    known.refuse_unknown_cores(probes=True)
