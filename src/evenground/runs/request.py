"""What jobs request of a cluster's scheduler: a kind of node, cores, a time limit.

A *kind* is an entry of `nodes` in the configuration. Its *class*, which names the results' folder,
is known once a probe has run on a node of that kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.runs.plan import NODES, OUTCOME, RUNS
from evenground.runs.study import Study

Threads = int | Literal["all"]
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
class Requests:
    """What the jobs of one experiment ask a cluster's scheduler for."""

    kinds: Mapping[str, NodeRequest]
    """The kinds of node in the configuration, by name."""
    study: Study

    @cached_property
    def threads(self) -> Threads:
        """The largest number of threads of any part, or "all" if any part says so.

        One number for all jobs: the machine class depends on how many cores a job can see.
        """
        wanted = [part.plan.experiment.threads for part in self.study.parts]
        numbers = [threads for threads in wanted if threads != "all"]
        if len(numbers) < len(wanted):
            return "all"
        return max(numbers)

    @cached_property
    def _by_class(self) -> dict[str, NodeRequest]:
        """Machine class -> request of its kind of node, the first if two kinds are of one class.

        Kinds that were not probed yet are left out.
        """
        by_class: dict[str, NodeRequest] = {}
        for kind, request in self.kinds.items():
            file = self.study.first.root / NODES / f"{kind}.json"
            if file.is_file():
                by_class.setdefault(read_json(file)["class"], request)
        return by_class

    def of_class(self, machine: str) -> NodeRequest:
        """Request for a machine class; without a kind of node, the cluster's defaults."""
        return self._by_class.get(machine, NodeRequest())

    def cores(self, request: NodeRequest) -> int:
        """Cores of a job on such a node; raises EvengroundError if nothing says how many."""
        # A kind's own number comes first: its class was probed with so many cores.
        if request.cores is not None:
            return request.cores
        if self.threads == "all":
            raise EvengroundError(
                "how many cores a training asks for on this cluster is not known",
                "threads: all",
                "set threads to a number, or `cores` of a kind of node in `nodes`",
            )
        return self.threads

    def minutes(self, run_path: Path) -> int:
        """The scheduler's time limit of a training, in minutes."""
        plan = self.study.first
        return minutes_to_ask(
            recorded_s=recorded_lengths_s(plan.root / RUNS / run_path.parent),
            limit_s=plan.experiment.time_limit_s,
            warm_up=run_path in self.study.warm_ups,
        )

    def refuse_unknown_cores(self, probes: bool) -> None:
        """Raises EvengroundError if nothing says how many cores a job asks for.

        With `probes` the jobs are one on each kind of node, else the trainings that are missing.
        """
        if probes:
            wanted = list(self.kinds.values())
        else:
            wanted = []
            for part in self.study.parts:
                if part.plan.trains and part.plan.pending:
                    wanted.append(self.of_class(part.plan.machine))
        for request in wanted:
            # Raises for the first that has none.
            self.cores(request)


def refuse_cores_option(args: Sequence[str]) -> None:
    """Raises EvengroundError if Snakemake's arguments limit the cores of every job."""
    if any(arg.startswith(("--cores", "-c")) for arg in args):
        what = "--cores would limit what every job asks the scheduler for"
        raise EvengroundError(what, "with --jobs", "leave --cores away")


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
    lengths_s = []
    for file in sorted(folder.glob(f"r*/{OUTCOME}")):
        outcome = read_json(file)
        lengths_s.append((outcome["ended_unix_ns"] - outcome["started_unix_ns"]) / 1e9)
    return lengths_s
