"""What a cluster's scheduler is asked for: the node of a training, its cores and its time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.runs.plan import NODES, RUNS
from evenground.runs.study import Study

Threads = int | Literal["all"]
ALONE_MIN = 20
"""Time limit, in minutes, of a job that has a node of its own and trains nothing: a probe, a calibration."""
EXCLUSIVE = "--exclusive"
"""Option of Slurm's sbatch for a node of its own."""
MARGIN_S = 600.0
"""For what is no training: the node's start, Snakemake's, Apptainer's, a file system that lags."""
GENEROUS = 3.0
"""So many times the longest recorded training: another node of a class may be busy with files."""


@dataclass(frozen=True)
class Requests:
    """What the jobs of one experiment ask a cluster's scheduler for."""

    kinds: Mapping[str, NodeRequest]
    """The kinds of node in the configuration, by name."""
    study: Study
    root: Path

    @cached_property
    def threads(self) -> Threads:
        """As many as any part wants: the machine class depends on how many cores a job can see."""
        return most_threads([part.plan.experiment.threads for part in self.study.parts])

    @cached_property
    def _by_class(self) -> dict[str, NodeRequest]:
        """Machine class -> request of its kind of node; of two kinds of one class the first."""
        found: dict[str, NodeRequest] = {}
        for kind, request in self.kinds.items():
            file = self.root / NODES / f"{kind}.json"
            if file.is_file():
                found.setdefault(read_json(file)["class"], request)
        return found

    def of_class(self, machine: str) -> NodeRequest:
        """What is asked for nodes of a machine class: that of its kind; nothing where there is none."""
        return self._by_class.get(machine, NodeRequest())

    def cores(self, request: NodeRequest) -> int:
        """Cores of a training on such a node; EvengroundError where nobody says of how many."""
        return cores_to_ask(request.cores, self.threads)

    def minutes(self, run_path: Path) -> int:
        """The scheduler's time limit of the training of the run at `run_path`, in minutes."""
        return minutes_to_ask(
            recorded_s=lengths_of(self.root, run_path),
            limit_s=self.study.first.experiment.time_limit_s,
            warm_up=run_path in self.study.warm_ups,
        )

    def refuse_unknown_cores(self, probes: bool) -> None:
        """EvengroundError where nobody says how many cores a job asks for.

        With `probes` the jobs are one on each kind of node, else the trainings that are still to do.
        """
        if probes:
            wanted = list(self.kinds.values())
        else:
            plans = [
                part.plan for part in self.study.parts if part.plan.trains and part.plan.pending
            ]
            wanted = [self.of_class(plan.machine) for plan in plans]
        for request in wanted:
            self.cores(request)


def refuse_cores_option(arguments: Sequence[str]) -> None:
    """EvengroundError where Snakemake's arguments limit the cores of every job, as this machine's are."""
    if any(word.startswith(("--cores", "-c")) for word in arguments):
        what = "--cores would limit what every job asks the scheduler for"
        raise EvengroundError(what, "with --jobs", "leave --cores away")


def named_resources(kinds: Mapping[str, NodeRequest]) -> dict[str, str]:
    """Snakemake's word for a resource -> its key of a kind of node, of those that any kind names.

    What none names is no resource at all: Snakemake evaluates each of them for each of many jobs.
    """
    words = {"gpu": "gpus", "slurm_partition": "slurm_partition", "constraint": "constraint"}
    return {
        word: key
        for word, key in words.items()
        if any(getattr(kind, key) for kind in kinds.values())
    }


def memory_mb(request: NodeRequest) -> int:
    """Memory of a job on such a node; 0 asks for nothing, as Snakemake takes no None for it."""
    return request.mem_mb or 0


def most_threads(wanted: Sequence[Threads]) -> Threads:
    """The largest number of threads that is wanted; `all` is more than any."""
    numbers = [threads for threads in wanted if threads != "all"]
    if len(numbers) < len(wanted):
        return "all"
    return max(numbers)


def cores_to_ask(cores: int | None, threads: Threads) -> int:
    """Cores of one training; EvengroundError where `threads` is `all` and nobody says of how many."""
    if cores is not None:
        return cores
    if threads == "all":
        raise EvengroundError(
            "how many cores a training asks for on this cluster is not known",
            "threads: all",
            "set threads to a number, or `cores` of a kind of node in `nodes`",
        )
    return threads


def minutes_to_ask(recorded_s: Sequence[float], limit_s: float, warm_up: bool) -> int:
    """The scheduler's time limit in minutes: from recorded trainings of the same key, else from the limit.

    A training that is within its own `limit_s`, and its warm-up with it, is never asked less for than it may
    need where nothing is recorded; where something is, what takes far longer is not waited for.
    """
    most_s = limit_s * (2 if warm_up else 1)
    expected_s = min(most_s, GENEROUS * max(recorded_s)) if recorded_s else most_s
    return math.ceil((expected_s + MARGIN_S) / 60)


@lru_cache
def recorded_lengths_s(folder: Path) -> tuple[float, ...]:
    """How long the finished repetitions took that stand in `folder`, warm-ups included."""
    return tuple(
        (ended["ended_unix_ns"] - ended["started_unix_ns"]) / 1e9
        for ended in map(read_json, sorted(folder.glob("r*/outcome.json")))
    )


def lengths_of(root: Path, run_path: Path) -> tuple[float, ...]:
    """The same for the run at `run_path`: its key's repetitions on its class of machine."""
    return recorded_lengths_s(root / RUNS / run_path.parent)
