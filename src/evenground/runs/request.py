"""Requests to a cluster's scheduler: the node of a training, its cores and its time."""

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
ALONE_MIN = 20
"""Time limit, in minutes, of a probe or a calibration, each on a node of its own."""
EXCLUSIVE = "--exclusive"
"""Option of Slurm's sbatch for a node of its own."""
MARGIN_S = 600.0
"""Added for the start of the node, Snakemake and Apptainer, and for a file system that lags."""
GENEROUS = 3.0
"""Times the longest recorded training: another node of a class may be busy with files."""
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
        """The most of any part: the machine class depends on how many cores the job can see."""
        wanted = [part.plan.experiment.threads for part in self.study.parts]
        numbers = [threads for threads in wanted if threads != "all"]
        if len(numbers) < len(wanted):
            return "all"
        return max(numbers)

    @cached_property
    def _by_class(self) -> dict[str, NodeRequest]:
        """Machine class -> request of its kind of node; of two kinds of one class the first."""
        by_class: dict[str, NodeRequest] = {}
        for kind, request in self.kinds.items():
            file = self.study.first.root / NODES / f"{kind}.json"
            if file.is_file():
                by_class.setdefault(read_json(file)["class"], request)
        return by_class

    def of_class(self, machine: str) -> NodeRequest:
        """Request for a machine class; empty if no kind of node has it."""
        return self._by_class.get(machine, NodeRequest())

    def cores(self, request: NodeRequest) -> int:
        """Cores of a job on such a node; raises EvengroundError if nothing says how many."""
        # The machine class depends on the cores that a job sees, not on the threads that train.
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
            self.cores(request)


def refuse_cores_option(args: Sequence[str]) -> None:
    """Raises EvengroundError if Snakemake's arguments limit the cores of every job."""
    if any(arg.startswith(("--cores", "-c")) for arg in args):
        what = "--cores would limit what every job asks the scheduler for"
        raise EvengroundError(what, "with --jobs", "leave --cores away")


def named_resources(kinds: Mapping[str, NodeRequest]) -> dict[str, str]:
    """Snakemake's name of a resource -> field of a kind of node, of those that any kind has.

    The others are left out: Snakemake evaluates every resource for each of many jobs.
    """
    named = {}
    for resource, key in RESOURCES.items():
        if any(getattr(kind, key) for kind in kinds.values()):
            named[resource] = key
    return named


def minutes_to_ask(recorded_s: Sequence[float], limit_s: float, warm_up: bool) -> int:
    """The scheduler's time limit in minutes: from recorded trainings of the key, else `limit_s`.

    Without a record a training gets all the time that it may take, and its warm-up as much again.
    With one it is ended by the scheduler when it takes far longer than the others.
    """
    expected_s = limit_s
    if warm_up:
        expected_s += limit_s
    if recorded_s:
        expected_s = min(expected_s, GENEROUS * max(recorded_s))
    # Slurm's limits are whole minutes.
    return math.ceil((expected_s + MARGIN_S) / 60)


@cache
def recorded_lengths_s(folder: Path) -> list[float]:
    """Seconds that each finished repetition in a key's `folder` took, warm-ups included."""
    lengths_s = []
    for file in sorted(folder.glob(f"r*/{OUTCOME}")):
        outcome = read_json(file)
        lengths_s.append((outcome["ended_unix_ns"] - outcome["started_unix_ns"]) / 1e9)
    return lengths_s
