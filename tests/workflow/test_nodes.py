"""What a scheduler is asked for: a node by its kind, cores, minutes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evenground.config import NodeRequest, load_experiment
from evenground.errors import EvengroundError
from evenground.runs.plan import NODES
from evenground.runs.study import make_study
from evenground.workflow.nodes import (
    Nodes,
    minutes_to_ask,
    named_resources,
    recorded_lengths_s,
)
from evenground.workflow.planned import plan_jobs
from made_run_records import made_node, made_outcome
from working_copy import WorkingCopy


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
        ended = made_outcome(ended_unix_ns=(1 + seconds) * 10**9)
        ended.write(tmp_path / "results/runs" / run_path / "outcome.json")
    runs = tmp_path / "results/runs"
    assert recorded_lengths_s(runs / "a/mnist/keras/k1") == [5.0, 7.0]
    assert recorded_lengths_s(runs / "a/mnist/jax/k1") == []


def test_only_what_a_kind_of_node_names_is_a_resource() -> None:
    kinds = {"a": NodeRequest(cores=2, mem_mb=4000), "b": NodeRequest(gpus=1, constraint="a100")}
    assert named_resources(kinds) == {"gpu": "gpus", "constraint": "constraint"}
    assert named_resources({}) == {}


def nodes_of(copy: WorkingCopy, kinds: dict[str, dict[str, Any]], **settings: Any) -> Nodes:
    study = make_study({**copy.settings, **settings}, copy.root)
    requests = load_experiment({"nodes": kinds}).nodes
    given = plan_jobs(study=study, nodes=requests, source={}, images=[], ours=[], mounted=[])
    return Nodes(planned=given, root=copy.root, cores_here=None)


@pytest.mark.parametrize("words", [["--cores", "2"], ["--cores=2"], ["-c2"], ["-c", "all"]])
def test_cores_of_the_invocation_are_refused(copy: WorkingCopy, words: list[str]) -> None:
    nodes = nodes_of(copy, {})
    nodes.refuse(["--jobs", "2", "--configfile", "x"])
    with pytest.raises(EvengroundError, match="--cores would limit what every job asks"):
        nodes.refuse(["--jobs", "2", *words])


def test_a_class_is_asked_for_as_its_kind_of_node(copy: WorkingCopy) -> None:
    kinds = {
        "small": {"cores": 2},
        "large": {"cores": 64, "gpus": 1},
        "twin": {"cores": 5},
        "new": {"cores": 3},
    }
    for kind, name in (("small", "cray-1"), ("large", "cray-2"), ("twin", "cray-2")):
        made_node(name).write(copy.root / NODES / f"{kind}.json")
    nodes = nodes_of(copy, kinds)
    assert nodes.of_class("cray-2") == nodes.planned.nodes["large"]
    assert nodes.of_class("cray-1") == nodes.planned.nodes["small"]
    assert nodes.of_class("cray-3") == NodeRequest()
    probe = SimpleNamespace(kind="large", machine="cray-1")
    assert nodes.request_for(probe).cores == 64
    assert callable(nodes.cores) and nodes.cores(SimpleNamespace(machine="cray-2")) == 64


def test_a_job_on_a_node_has_all_of_it_and_here_asks_for_nothing(copy: WorkingCopy) -> None:
    made_node("cray-1").write(copy.root / NODES / "large.json")
    nodes = nodes_of(copy, {"large": {"gpus": 2, "constraint": "a100", "mem_mb": 9}})
    on_large, elsewhere = SimpleNamespace(machine="cray-1"), SimpleNamespace(machine="cray-2")
    resources = nodes.resources(minutes=20)
    assert (resources.pop("slurm_extra"), resources.pop("runtime")) == ("--exclusive", 20)
    asked = {name: value(on_large) for name, value in resources.items()}
    assert asked == {"mem_mb": 9, "gpu": 2, "constraint": "a100"}
    asked = {name: value(elsewhere) for name, value in resources.items()}
    assert asked == {"mem_mb": 0, "gpu": None, "constraint": None}
    here = replace(nodes, cores_here=3)
    assert here.resources(minutes=20) == {} and here.cores == here.all_cores(None) == 3


def test_the_time_of_a_training_is_longer_with_its_warm_up(copy: WorkingCopy) -> None:
    nodes = nodes_of(copy, {}, time_limit_s=3600.0)
    minutes = {}
    for run_path, run in nodes.planned.runs.items():
        names = ("machine", "dataset", "engine", "key", "rep")
        values = run_path.replace("/r", "/").split("/")
        wildcards = SimpleNamespace(**dict(zip(names, values, strict=True)))
        minutes[run.cold] = nodes.training_minutes(wildcards)
        without = nodes.planned.model_copy(update={"warm_up_examples": 0})
        assert replace(nodes, planned=without).training_minutes(wildcards) == 70
    assert minutes == {True: 130, False: 70}


def test_unknown_cores_are_refused_for_trainings_and_for_probes(copy: WorkingCopy) -> None:
    nodes = nodes_of(copy, {"small": {}}, threads=[2, 1])
    assert nodes.cores_of(NodeRequest()) == 2 and nodes.cores_of(NodeRequest(cores=7)) == 7
    nodes.refuse(["nodes"])
    nodes.refuse([])
    unknown = nodes_of(copy, {"small": {}}, threads="all")
    assert unknown.cores_of(NodeRequest(cores=8)) == 8
    why = "how many cores a training asks for .* set threads to a number, or `cores` of a kind of node"
    for words in (["nodes"], []):
        with pytest.raises(EvengroundError, match=why):
            unknown.refuse(words)
    nodes_of(copy, {"small": {"cores": 2}}, threads="all").refuse(["nodes"])
