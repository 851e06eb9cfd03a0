"""What jobs request of a cluster's scheduler: a kind of node, cores, a time limit.

A *kind* is an entry of `nodes` in the configuration. Its *class*, which names the results' folder,
is known once a probe has run on a node of that kind.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.records.node import Node
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.runs.plan import NODES, RUNS
from evenground.workflow.jobs import run_path_of
from evenground.workflow.planned import Planned

# Time limit of a probe or a calibration, each alone on a node; they take a minute or two.
PROBE_LIMIT_MIN = 20
# Option of Slurm's sbatch that keeps other jobs off the node.
EXCLUSIVE = "--exclusive"
# Added for the start of the node, Snakemake and Apptainer, and for a file system that lags.
MARGIN_S = 600.0
# Factor on the longest recorded training: another node of the class may read its files slower.
SLOWEST_NODE = 3.0
# Snakemake's name of a resource -> the field of a kind of node.
RESOURCES = {"gpu": "gpus", "slurm_partition": "slurm_partition", "constraint": "constraint"}


@dataclass(frozen=True)
class Nodes:
    """What the jobs of an invocation ask a cluster's scheduler for; on this machine nothing."""

    planned: Planned
    root: Path
    cores_here: int | None
    """How many cores the invocation may use on this machine; None on a cluster."""

    @cached_property
    def _by_class(self) -> dict[str, NodeRequest]:
        """Machine class -> request of its kind of node, the first if two kinds are of one class.

        Kinds that were not probed yet are left out.
        """
        by_class: dict[str, NodeRequest] = {}
        for kind, request in self.planned.nodes.items():
            file = self.root / NODES / f"{kind}.json"
            if file.is_file():
                by_class.setdefault(Node.read(file).class_name, request)
        return by_class

    def of_class(self, machine: str) -> NodeRequest:
        """Request for a machine class; without a kind of node, the cluster's defaults."""
        return self._by_class.get(machine, NodeRequest())

    def request_for(self, wildcards: Any) -> NodeRequest:
        """Request of a probe, by its kind of node, or of a training, by its machine class."""
        if hasattr(wildcards, "kind"):
            return self.planned.nodes[wildcards.kind]
        return self.of_class(wildcards.machine)

    def cores_of(self, request: NodeRequest) -> int:
        """Cores of a job on such a node; raises EvengroundError if nothing says how many."""
        # A kind's own number comes first: its class was probed with so many cores.
        if request.cores is not None:
            return request.cores
        if self.planned.threads == "all":
            raise EvengroundError(
                "how many cores a training asks for on this cluster is not known",
                "threads: all",
                "set threads to a number, or `cores` of a kind of node in `nodes`",
            )
        return self.planned.threads

    @property
    def cores(self) -> int | Callable[[Any], int]:
        """The cores of a probe, a calibration or a training: all that there are."""
        if self.cores_here is None:
            return lambda wildcards: self.cores_of(self.request_for(wildcards))
        return self.cores_here

    def all_cores(self, wildcards: Any) -> int:
        """The cores of a job that runs here and alone: one such job runs at a time."""
        return self.cores_here or os.cpu_count() or 1

    def resources(self, minutes: int | Callable[[Any], int]) -> dict[str, Any]:
        """The resources of a job that gets a whole node; none on this machine.

        `minutes`: its time limit there.
        """
        if self.cores_here is not None:
            return {}
        resources: dict[str, Any] = {
            # 0 asks for nothing: Snakemake takes no None for memory.
            "mem_mb": lambda wildcards: self.request_for(wildcards).mem_mb or 0,
            "slurm_extra": EXCLUSIVE,
            "runtime": minutes,
        }
        for resource, key in named_resources(self.planned.nodes).items():
            resources[resource] = self._requested(key)
        return resources

    def _requested(self, key: str) -> Callable[[Any], Any]:
        """A function for a rule: a value of a job's kind of node; None asks for nothing."""
        return lambda wildcards: getattr(self.request_for(wildcards), key)

    def training_minutes(self, wildcards: Any) -> int:
        """The scheduler's time limit of a training, in minutes."""
        run_path = run_path_of(wildcards)
        is_cold = self.planned.runs[run_path].cold
        return minutes_to_ask(
            recorded_s=recorded_lengths_s((self.root / RUNS / run_path).parent),
            limit_s=self.planned.time_limit_s,
            warm_up=is_cold and self.planned.warm_up_examples > 0,
        )

    def refuse(self, args: Sequence[str]) -> None:
        """Raises EvengroundError if jobs cannot ask for cores; `args`: Snakemake's command line.

        With the target `nodes` the jobs are one on each kind of node, else the trainings.
        """
        # Looked for in the arguments: for a dry run Snakemake itself sets a number of cores.
        if any(arg.startswith(("--cores", "-c")) for arg in args):
            what = "--cores would limit what every job asks the scheduler for"
            raise EvengroundError(what, "with --jobs", "leave --cores away")
        wanted = list(self.planned.nodes.values())
        if "nodes" not in args:
            # A run's path begins with the class of its machine.
            classes = {run_path.partition("/")[0] for run_path in self.planned.runs}
            wanted = [self.of_class(machine) for machine in sorted(classes)]
        for request in wanted:
            # Raises for the first that has none.
            self.cores_of(request)


def named_resources(kinds: Mapping[str, NodeRequest]) -> dict[str, str]:
    """Snakemake's name of a resource -> field of a kind of node.

    Only resources that some kind sets: Snakemake evaluates each one for every job.
    """
    named = {}
    for resource, key in RESOURCES.items():
        if any(getattr(kind, key) for kind in kinds.values()):
            named[resource] = key
    return named


def minutes_to_ask(recorded_s: Sequence[float], limit_s: float, warm_up: bool) -> int:
    """The scheduler's time limit in minutes, with MARGIN_S.

    A training may take `limit_s`, and its warm-up as much again. If repetitions of it were recorded,
    at most three times the longest: the scheduler then ends one that takes far longer.
    """
    expected_s = limit_s
    if warm_up:
        expected_s += limit_s
    if recorded_s:
        expected_s = min(expected_s, SLOWEST_NODE * max(recorded_s))
    # Slurm's limits are whole minutes.
    return math.ceil((expected_s + MARGIN_S) / 60)


@cache
def recorded_lengths_s(folder: Path) -> list[float]:
    """Seconds of each finished repetition in a key's `folder`, its warm-up included.

    Read once per process: an invocation asks for the limits before its first training.
    """
    return [AttemptOutcome.read(file).length_s for file in sorted(folder.glob(f"r*/{OUTCOME}"))]
