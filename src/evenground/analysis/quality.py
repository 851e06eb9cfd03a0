"""Quality gates: what speaks against a run or a group of runs. Flagged, never dropped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from evenground.analysis.conditions import CARD_COMPARED, COMPARED, UNKNOWN
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.files import rounded
from evenground.analysis.groups import INVALID, WARNED, groups
from evenground.analysis.index import Index
from evenground.analysis.statistics import summarise
from evenground.gpus import judge as gpus
from evenground.surroundings.judge import differences

# Beyond this the mean of a curve, a peak or an idle window may lie in what was not seen.
MAX_MISSED = 0.02
# 1 MiB, some 25 ms of a disk of today: any machine that has been up for long moves that much.
MAX_SWAPPED_PAGES = 256
# Trainings follow each other without a pause, and the one before still counts in this mean: alone it keeps up
# to all cores busy (recorded on two cores: 0.3 to 0.8 each). Above one task per core something else ran.
MAX_LOAD_PER_CORE = 1.0
# Less is within what runs of the same work differ by; more is worth asking what they waited for.
MAX_IDLE = 0.02
# A spread by itself says nothing (`cv` of `training_time` has it); where half of it is idle time, this does.
MAX_EXPLAINED = 0.5
# Runs of one class of machine mostly share one.
MAX_REASONS = 2

Name = Literal[
    "accuracy",
    "sampler",
    "not seen",
    "swapping",
    "throttling",
    "foreign process",
    "desktop",
    "off the card",
    "environment",
    "foreign code",
    "mounts",
    "cold start",
    "cores",
    "cpu throttling",
    "cpu limit",
    "load",
    "idle",
    "clock",
    "shared cores",
    "unlike cores",
    "cpu clock",
    "gpu power limit",
    "gpu clock",
    "gpu persistence",
    "spread",  # of a whole group, as the next one
    "surroundings",
    "card",
    "device",
]
Names = dict[str, str]


@dataclass(frozen=True)
class Gate:
    """A run's value of `column` (of `conditions.COLUMNS`) above `limit` is a finding."""

    finding: Name
    state: str
    column: str
    limit: float
    reason: str
    detail: str = ""
    """Column whose words are added to the reason."""


GATES = (
    Gate("sampler", INVALID, "missed_share", MAX_MISSED, "share of samples that the sampler lost"),
    Gate(
        "not seen", WARNED, "n_not_seen", 0.0, "things that the sampler could not see", "not_seen"
    ),
    Gate(
        "swapping",
        INVALID,
        "swapped_pages",
        MAX_SWAPPED_PAGES,
        "pages moved between memory and disk during the run",
    ),
    Gate(
        "throttling",
        INVALID,
        "throttled_share",
        0.0,
        "share of samples during training in which a GPU was slowed down",
        "throttled_by",
    ),
    Gate(
        "foreign process",
        INVALID,
        "foreign_processes",
        0.0,
        "processes of others that computed on the run's card at once",
    ),
    Gate(
        "desktop",
        WARNED,
        "desktop_processes",
        0.0,
        "processes of others that drew on the run's card at once, as a desktop's do",
        "desktop_words",
    ),
    Gate(
        "off the card",
        INVALID,
        "off_card",
        0.0,
        "the engine says that it computed on a GPU, and held no memory of it during the training",
    ),
    Gate(
        "environment",
        INVALID,
        "n_other_libraries",
        0.0,
        "libraries unlike the lock's",
        "other_libraries",
    ),
    Gate(
        "foreign code",
        INVALID,
        "foreign_code",
        0.0,
        "files that the run executed code of, and that belong neither to its environment nor to the system",
        "foreign_code_words",
    ),
    Gate(
        "mounts",
        WARNED,
        "image_mounts",
        0.0,
        "places in the image that something of the machine was mounted over",
        "image_mounts_words",
    ),
    Gate(
        "cold start",
        WARNED,
        "cold_start",
        0.0,
        "the run had no warm-up before it, and started cold",
        "cold_start_words",
    ),
    Gate(
        "cores",
        INVALID,
        "lacking_cores",
        0.0,
        "cores that were lacking for the threads asked for",
        "lacking_cores_words",
    ),
    Gate(
        "cpu throttling",
        INVALID,
        "heat_events",
        0.0,
        "times that the processor slowed itself down for heat during the run",
        "heat_events_words",
    ),
    Gate(
        "cpu limit",
        INVALID,
        "waited_periods",
        0.0,
        "periods in which a limit of the run's cgroup made it wait for CPU",
        "waited_periods_words",
    ),
    Gate(
        "load",
        WARNED,
        "load_per_core",
        MAX_LOAD_PER_CORE,
        "tasks per core in the minute before the run",
    ),
    Gate(
        "idle",
        WARNED,
        "idle_share",
        MAX_IDLE,
        "share of the training time in which the run computed nothing, and the phase with most of it",
        "idle_phase",
    ),
    Gate(
        "clock",
        WARNED,
        "clock_set_s",
        0.0,
        "seconds by which the machine's clock was set during the run; its times are the monotonic clock's",
    ),
    Gate(
        "shared cores",
        WARNED,
        "shared_cores",
        0.0,
        "CPUs of the run that share a core with another one of it",
        "shared_cores_words",
    ),
    Gate(
        "unlike cores",
        WARNED,
        "unlike_cores",
        0.0,
        "CPUs of the run on slower cores than its others",
        "unlike_cores_words",
    ),
    Gate(
        "cpu clock",
        WARNED,
        "clock_limits",
        0.0,
        "settings that held the processor's clock down, or changed during the run",
        "clock_limits_words",
    ),
    Gate(
        "gpu power limit",
        WARNED,
        "power_limit",
        0.0,
        "watts by which the card's power was limited",
        "power_limit_words",
    ),
    Gate(
        "gpu clock",
        WARNED,
        "gpu_clocks",
        0.0,
        "MHz by which the card's clock was set below its usual one",
        "gpu_clocks_words",
    ),
    Gate(
        "gpu persistence",
        WARNED,
        "no_persistence",
        0.0,
        "the card's driver starts anew for each training: persistence mode is off",
    ),
)


@dataclass(frozen=True)
class Band:
    """Test accuracy to expect of the full protocol: at least 3 epochs of all examples in batches of 32.

    `high` holds for exactly three epochs, as more may reach more.
    """

    low: float
    high: float
    steps: int


# By dataset and network; everything else has none. MNIST: ten recorded runs of two engines: 0.965 to 0.968.
# CIFAR-10: three runs of 4,680 steps on 10,000 of its examples: 0.51 to 0.55, and more make it no less.
# A shorter training has none: at momentum 0.99 the moving statistics of the CNN's batch norm trail some
# hundred steps behind the weights, and after 936 steps (those examples, three epochs) ten recorded runs of
# alike loss (1.65 to 1.75) had 0.18 to 0.44.
BANDS = {("mnist", "mlp"): Band(0.95, 0.98, 5625), ("cifar10", "cnn"): Band(0.40, 0.80, 4686)}
PROTOCOL = {"batch_size": 32, "learning_rate": 0.001}
PROTOCOL_EPOCHS = 3


@dataclass(frozen=True)
class Finding:
    """One row of the table `quality`; `repetition` is None of a finding about a whole group."""

    dataset: str
    engine: str
    repetition: int | None
    state: str
    finding: Name
    value: float
    limit: float
    reason: str


def quality_table(index: Index, runs: pd.DataFrame, conditions: pd.DataFrame) -> pd.DataFrame:
    """Every finding about the finished runs, group by group; `conditions` as in `conditions.COLUMNS`."""
    # Both say what a run computed on.
    own = conditions.drop(columns="device")
    judged = runs[runs["status"] == "finished"].merge(own, on=["dataset", "engine", "repetition"])
    found: list[Finding] = []
    for named, group in groups(index, judged):
        found += _spread(group["training_s"], group["idle_s"], named)
        found += _surroundings(group[[*COMPARED.values()]], named)
        found += _cards(group[CARD_COMPARED], named)
        found += _devices(index, judged, named)
        found += _of_accuracy(index, group, named)
        found += [finding for gate in GATES for finding in _through(gate, group, named)]
    table = pd.DataFrame(
        [asdict(finding) for finding in found], columns=list(Finding.__annotations__)
    )
    return table.astype({"repetition": "Int64"})


def _through(gate: Gate, group: pd.DataFrame, named: Names) -> list[Finding]:
    """What one gate says of a group's runs; a value that is not known says nothing."""
    flagged = group[group[gate.column] > gate.limit]
    details = flagged[gate.detail] if gate.detail else [""] * len(flagged)
    return [
        Finding(
            **named,
            repetition=int(repetition),
            state=gate.state,
            finding=gate.finding,
            value=float(value),
            limit=gate.limit,
            reason=f"{gate.reason}: {detail}" if detail else gate.reason,
        )
        for repetition, value, detail in zip(
            flagged["repetition"], flagged[gate.column], details, strict=True
        )
    ]


def band_of(index: Index, dataset: str, engine: str) -> Band | None:
    """The band of a dataset's runs; None where it is not the protocol's work, as with an arm or a sample."""
    network = next(d.network for d in index.datasets if d.name == dataset)
    trained = next(e for e in index.engines if e.name == engine)
    if trained.arm_of is not None or trained.train_limit is not None:
        return None
    asked = index.parameters
    epochs = asked.get("epochs")
    if any(asked.get(name) != value for name, value in PROTOCOL.items()) or not isinstance(
        epochs, int
    ):
        return None
    band = BANDS.get((dataset, network))
    if band is None or epochs < PROTOCOL_EPOCHS:
        return None
    return band if epochs == PROTOCOL_EPOCHS else replace(band, high=1.0)


def _of_accuracy(index: Index, group: pd.DataFrame, named: Names) -> list[Finding]:
    band = band_of(index, **named)
    if band is None:
        return []
    full = group[group["steps"] >= band.steps]
    low, high = full[full["test_accuracy"] < band.low], full[full["test_accuracy"] > band.high]
    return [
        Finding(**named, repetition=int(repetition), state=INVALID, finding="accuracy", value=float(value),
                limit=limit, reason=f"test accuracy {side} what this network reaches on this dataset")
        for side, limit, rows in (("below", band.low, low), ("above", band.high, high))
        for repetition, value in zip(rows["repetition"], rows["test_accuracy"], strict=True)
    ]  # fmt: skip


def _spread(training_s: pd.Series[float], idle_s: pd.Series[float], named: Names) -> list[Finding]:
    """Whether idle time is the cause of a good part of the spread of a group's training times."""
    # The idle time of one run that is not known makes the rest not known, too.
    if not (idle_s > MAX_IDLE * training_s).any() or idle_s.isna().any():
        return []
    whole = summarise(training_s.tolist()).variation
    rest = summarise((training_s - idle_s).tolist()).variation
    explained = 1 - rest / whole if whole else np.nan
    if not explained > MAX_EXPLAINED:
        return []
    why = (
        "share of the spread of the group's training times that their idle time explains: coefficient of "
        f"variation {rounded(whole)}, without it {rounded(rest)} (idle_windows.md)"
    )
    return [_of_group(named, "spread", explained, MAX_EXPLAINED, why)]


def _surroundings(compared: pd.DataFrame, named: Names) -> list[Finding]:
    """In how many things around the engine the runs of a group differ, and how."""
    rows = compared.to_dict("records")
    runs = [
        {name: json.loads(row[column]) for name, column in COMPARED.items() if row[column]}
        for row in rows
    ]
    found = differences(runs)
    if not found:
        return []
    why = f"things around the engine that differ between the group's runs: {'; '.join(found)}"
    return [_of_group(named, "surroundings", float(len(found)), 0.0, why)]


def _cards(compared: pd.Series[str], named: Names) -> list[Finding]:
    """In how many things the cards of a group's runs, or their settings, differ, and how."""
    found = gpus.differences([json.loads(cell) for cell in compared if cell])
    if not found:
        return []
    why = f"things about the card that differ between the group's runs: {'; '.join(found)}"
    return [_of_group(named, "card", float(len(found)), 0.0, why)]


def _devices(index: Index, judged: pd.DataFrame, named: Names) -> list[Finding]:
    """Whether the group and those that it is compared with computed on unlike devices.

    Main engines are compared with each other, an arm with its engine: but one without a GPU by design.
    """
    engine = next(engine for engine in index.engines if engine.name == named["engine"])
    if engine.arm_of is None:
        compared = [*index.main]
    else:
        mine = judged[(judged["dataset"] == named["dataset"]) & (judged["engine"] == engine.name)]
        by_design = bool(len(mine)) and bool(mine["processor_only"].all())
        base = [] if by_design else [one for one in index.main if one.name == engine.arm_of]
        compared = [*base, engine]
    devices = devices_of(judged, named["dataset"], compared)
    words = unlike(devices) if engine.name in devices else ""
    if not words:
        return []
    n = len({one for own in devices.values() for one in own})
    why = f"devices that were computed on in one comparison: {words}"
    return [_of_group(named, "device", float(n), 1.0, why, INVALID)]


def _of_group(
    named: Names, finding: Name, value: float, limit: float, reason: str, state: str = WARNED
) -> Finding:
    return Finding(
        **named,
        repetition=None,
        state=state,
        finding=finding,
        value=value,
        limit=limit,
        reason=reason,
    )


def with_quality(runs: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """The table `runs` with its column `quality` filled: the states of each run's findings, or ""."""
    states: dict[tuple[str, str, int], set[str]] = {}
    for row in findings[findings["repetition"].notna()].itertuples():
        key = (str(row.dataset), str(row.engine), int(str(row.repetition)))
        states.setdefault(key, set()).add(str(row.state))
    keys = zip(runs["dataset"], runs["engine"], runs["repetition"], strict=True)
    return runs.assign(quality=[", ".join(sorted(states.get(key, ()))) for key in keys])


def unknown(conditions: pd.DataFrame) -> dict[str, int]:
    """Finding -> runs of which it cannot be said; only where there are any."""
    counts = {gate.finding: int(conditions[gate.column].isna().sum()) for gate in GATES}
    counts["card"] = int((conditions[CARD_COMPARED] == "").sum())
    counts["surroundings"] = int((conditions[[*COMPARED.values()]] == "").any(axis="columns").sum())
    return {finding: count for finding, count in counts.items() if count}


def why_unknown(conditions: pd.DataFrame) -> dict[str, str]:
    """Part of the runs' records -> why values of it are not known, each reason once; empty where all are."""
    whys = {part: _whys(conditions[column]) for part, column in UNKNOWN.items()}
    return {part: why for part, why in whys.items() if why}


def _whys(column: pd.Series[str]) -> str:
    """The first reasons of a column, and how many more there are."""
    found = [str(reason) for reason in column.dropna().unique() if reason]
    more = [f"and {len(found) - MAX_REASONS} more reasons in conditions.csv"]
    return "; ".join([*found[:MAX_REASONS], *(more if len(found) > MAX_REASONS else [])])
