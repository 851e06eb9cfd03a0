"""What a cluster's scheduler is asked for: the node of a training, its cores and its time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from evenground.config import NodeRequest
from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.runs.plan import NODES, RUNS

MARGIN_S = 600.0
"""For what is no training: the node's start, Snakemake's, Apptainer's, a file system that lags."""
GENEROUS = 3.0
"""So many times the longest recorded training: another node of a class may be busy with files."""


def request_of(kinds: dict[str, NodeRequest], machine: str, root: Path) -> NodeRequest:
    """What is asked for nodes of the class `machine`: that of its kind; nothing where there is none."""
    for kind, request in kinds.items():
        file = root / NODES / f"{kind}.json"
        if file.is_file() and read_json(file)["class"] == machine:
            return request
    return NodeRequest()


def cores_to_ask(cores: int | None, threads: int | Literal["all"]) -> int:
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


def lengths_of(root: Path, place: Path) -> tuple[float, ...]:
    """The same for the run at `place`: its key's repetitions on its class of machine."""
    return recorded_lengths_s(root / RUNS / place.parent)
