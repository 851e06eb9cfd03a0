"""Quality gates: findings against a run or a group of runs, which are flagged and never dropped."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain

import pandas as pd

from evenground.analysis.circumstances import CARD_COMPARED, COMPARED, UNKNOWN
from evenground.analysis.columns import DATASET, ENGINE, number, text, whole
from evenground.analysis.devices import devices_of, unlike
from evenground.analysis.groups import INVALID, RUN, WARNED, Rows, groups
from evenground.analysis.shown import rounded
from evenground.analysis.statistics import summarise
from evenground.analysis.table import frame_of
from evenground.gpus import judge as gpus
from evenground.judged import Compared
from evenground.records.index import Condition
from evenground.surroundings import judge as surroundings

# With more of it lost, the mean of a curve, a peak or an idle window may lie in what was not seen.
MAX_MISSED = 0.02
# 1 MiB, some 25 ms of a current disk: any machine that has been up for long moves that much.
MAX_SWAPPED_PAGES = 256
# Trainings follow each other without a pause, and the one before still counts in this mean: alone
# it keeps up to all cores busy (recorded on two cores: 0.3 to 0.8 each). Above one task per core
# something else was running.
MAX_LOAD_PER_CORE = 1.0
BUSY = "load"
# Less is within the differences of runs of the same work; more deserves the question what they
# waited for.
MAX_IDLE = 0.02
# A spread by itself is no finding (`cv` of `training_time` has it); one of which half is idle time
# is.
MAX_EXPLAINED = 0.5
# Runs of one machine class mostly share one reason.
MAX_REASONS = 2

TABLE = (
    DATASET,
    ENGINE,
    whole("repetition", "Number of the repetition; empty for a finding about all runs of a group."),
    text(
        "state",
        "`invalid`: the run did not measure what it should have; `warned`: look at it.",
    ),
    text("finding", "What was found."),
    number("value", "", "By how much; what is counted or measured is in the reason."),
    number("limit", "", "Above which value, or below, it is a finding."),
    text("reason", "What it is about."),
)

# Finding about a group -> what differs between its runs.
DIFFERING = {"surroundings": "things around the engine", "card": "things about the card"}

Names = dict[str, str]
"""The columns `dataset` and `engine` of a group."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A run's value of `column` (of `circumstances.FRAME`) above `limit` is a finding."""

    finding: str
    state: str = WARNED
    column: str
    limit: float = 0.0
    reason: str
    detail: str = ""
    """Column with text that is added to the reason."""


GATES = (
    Gate(
        finding="sampler",
        state=INVALID,
        column="missed_share",
        limit=MAX_MISSED,
        reason="share of samples that the sampler lost",
    ),
    Gate(
        finding="not seen",
        column="n_not_seen",
        reason="things that the sampler could not see",
        detail="not_seen",
    ),
    Gate(
        finding="swapping",
        state=INVALID,
        column="swapped_pages",
        limit=MAX_SWAPPED_PAGES,
        reason="pages moved between memory and disk during the run",
    ),
    Gate(
        finding="throttling",
        state=INVALID,
        column="throttled_share",
        reason="share of samples during training in which a GPU was slowed down",
        detail="throttled_by",
    ),
    Gate(
        finding="foreign process",
        state=INVALID,
        column="foreign_processes",
        reason="processes of others that computed on the run's card at once",
    ),
    Gate(
        finding="desktop",
        column="desktop_processes",
        reason="processes of others that drew on the run's card at once, as a desktop's do",
        detail="desktop_words",
    ),
    Gate(
        finding="off the card",
        state=INVALID,
        column="off_card",
        reason=(
            "the engine says that it computed on a GPU, and held no memory of it "
            "during the training"
        ),
    ),
    Gate(
        finding="environment",
        state=INVALID,
        column="n_other_libraries",
        reason="libraries unlike the lock's",
        detail="other_libraries",
    ),
    Gate(
        finding="foreign code",
        state=INVALID,
        column="foreign_code",
        reason=(
            "files that the run executed code of, and that belong neither to its "
            "environment nor to the system"
        ),
        detail="foreign_code_words",
    ),
    Gate(
        finding="mounts",
        column="image_mounts",
        reason="places in the image that something of the machine was mounted over",
        detail="image_mounts_words",
    ),
    Gate(
        finding="cold start",
        column="cold_start",
        reason="the run had no warm-up before it, and started cold",
        detail="cold_start_words",
    ),
    Gate(
        finding="cores",
        state=INVALID,
        column="lacking_cores",
        reason="cores that were lacking for the threads asked for",
        detail="lacking_cores_words",
    ),
    Gate(
        finding="cpu throttling",
        state=INVALID,
        column="heat_events",
        reason="times that the processor slowed itself down for heat during the run",
        detail="heat_events_words",
    ),
    Gate(
        finding="cpu limit",
        state=INVALID,
        column="waited_periods",
        reason="periods in which a limit of the run's cgroup made it wait for CPU",
        detail="waited_periods_words",
    ),
    Gate(
        finding=BUSY,
        column="load_per_core",
        limit=MAX_LOAD_PER_CORE,
        reason="tasks per core in the minute before the run",
    ),
    Gate(
        finding="idle",
        column="idle_share",
        limit=MAX_IDLE,
        reason=(
            "share of the training time in which the run computed nothing, and the "
            "phase with most of it"
        ),
        detail="idle_phase",
    ),
    Gate(
        finding="clock",
        column="clock_set_s",
        reason=(
            "seconds by which the machine's clock was set during the run; its "
            "times are the monotonic clock's"
        ),
    ),
    Gate(
        finding="shared cores",
        column="shared_cores",
        reason="CPUs of the run that share a core with another one of it",
        detail="shared_cores_words",
    ),
    Gate(
        finding="unlike cores",
        column="unlike_cores",
        reason="CPUs of the run on slower cores than its others",
        detail="unlike_cores_words",
    ),
    Gate(
        finding="cpu clock",
        column="clock_limits",
        reason="settings that held the processor's clock down, or changed during the run",
        detail="clock_limits_words",
    ),
    Gate(
        finding="gpu power limit",
        column="power_limit",
        reason="watts by which the card's power was limited",
        detail="power_limit_words",
    ),
    Gate(
        finding="gpu clock",
        column="gpu_clocks",
        reason="MHz by which the card's clock was set below its usual one",
        detail="gpu_clocks_words",
    ),
    Gate(
        finding="gpu persistence",
        column="no_persistence",
        reason="the card's driver starts anew for each training: persistence mode is off",
    ),
)


@dataclass(frozen=True)
class Band:
    """Expected test accuracy after at least 3 epochs of all examples in batches of 32.

    `high` holds for exactly three epochs, as more may reach more.
    """

    low: float
    high: float
    steps: int


# By dataset and network; nothing else has one. MNIST: ten recorded runs of two engines: 0.965 to
# 0.968. CIFAR-10: three runs of 4,680 steps on 10,000 of its examples: 0.51 to 0.55, and more
# examples make it no worse. A shorter training has none: at momentum 0.99 the moving statistics of
# the CNN's batch norm trail some hundred steps behind the weights, and after 936 steps (those
# examples, three epochs) ten recorded runs of similar loss (1.65 to 1.75) had 0.18 to 0.44.
BANDS = {("mnist", "mlp"): Band(0.95, 0.98, 5625), ("cifar10", "cnn"): Band(0.40, 0.80, 4686)}
PROTOCOL = {"batch_size": 32, "learning_rate": 0.001}
PROTOCOL_EPOCHS = 3


def quality_table(
    condition: Condition, runs: pd.DataFrame, circumstances: pd.DataFrame
) -> pd.DataFrame:
    """Every finding about the finished runs, group by group; `circumstances` is the frame."""
    done = runs[runs["status"] == "finished"]
    # Both have what a run computed on.
    judged = done.merge(circumstances.drop(columns="device"), on=RUN)
    found: Rows = []
    for names, group in groups(condition, judged):
        found += _spread(group["training_s"], group["idle_s"], names)
        found += _differing(
            "surroundings", surroundings.differences(_known(group[COMPARED])), names
        )
        found += _differing("card", gpus.differences(_known(group[CARD_COMPARED])), names)
        found += _devices(condition, judged, group, names)
        found += _accuracy(condition, group, names)
        # A comparison with NaN, which is unknown, is false.
        for gate in GATES:
            found += _flagged(gate, group, group[gate.column] > gate.limit, names)
    return frame_of(found, TABLE)


def _flagged(gate: Gate, group: pd.DataFrame, are_flagged: pd.Series[bool], names: Names) -> Rows:
    """The finding of a gate about the runs of a group that it flags."""
    # Most gates flag none: taking nothing out of a wide frame would cost as much as taking rows.
    if not are_flagged.any():
        return []
    found: Rows = []
    columns = ["repetition", gate.column]
    if gate.detail:
        columns.append(gate.detail)
    for run in group.loc[are_flagged, columns].to_dict("records"):
        reason = gate.reason
        if gate.detail and run[gate.detail]:
            reason += f": {run[gate.detail]}"
        found.append(
            {
                **names,
                "repetition": run["repetition"],
                "state": gate.state,
                "finding": gate.finding,
                "value": run[gate.column],
                "limit": gate.limit,
                "reason": reason,
            }
        )
    return found


def band_of(condition: Condition, dataset: str, engine: str) -> Band | None:
    """The band of a dataset's runs; None for work that is not the protocol's, e.g. an arm's."""
    network = next(data.network for data in condition.datasets if data.name == dataset)
    trained = next(other for other in condition.engines if other.name == engine)
    epochs = condition.parameters.epochs
    if trained.arm_of is not None or trained.train_limit is not None:
        return None
    if any(getattr(condition.parameters, name) != value for name, value in PROTOCOL.items()):
        return None
    if epochs < PROTOCOL_EPOCHS:
        return None
    band = BANDS.get((dataset, network))
    if band is not None and epochs > PROTOCOL_EPOCHS:
        return replace(band, high=1.0)
    return band


def _accuracy(condition: Condition, group: pd.DataFrame, names: Names) -> Rows:
    """The runs whose accuracy lies outside of the band."""
    band = band_of(condition, **names)
    if band is None:
        return []
    full = group[group["steps"] >= band.steps]
    accuracy = full["test_accuracy"]
    sides = (("below", band.low, accuracy < band.low), ("above", band.high, accuracy > band.high))
    found: Rows = []
    for side, limit, outside in sides:
        gate = Gate(
            finding="accuracy",
            state=INVALID,
            column="test_accuracy",
            limit=limit,
            reason=f"test accuracy {side} what this network reaches on this dataset",
        )
        found += _flagged(gate, full, outside, names)
    return found


def _spread(training_s: pd.Series[float], idle_s: pd.Series[float], names: Names) -> Rows:
    """Whether idle time is the cause of a good part of the spread of a group's training times."""
    # One run with an unknown idle time makes the explained share unknown, too.
    if not (idle_s > MAX_IDLE * training_s).any() or idle_s.isna().any():
        return []
    total = summarise(training_s.tolist()).variation
    rest = summarise((training_s - idle_s).tolist()).variation
    # Either may be NaN, as for a single run: nothing is explained then.
    if not rest < (1 - MAX_EXPLAINED) * total:
        return []
    reason = (
        "share of the spread of the group's training times that their idle time explains: "
        f"coefficient of variation {rounded(total)}, without it {rounded(rest)} (idle_windows.md)"
    )
    return [_of_group(names, "spread", 1 - rest / total, reason, limit=MAX_EXPLAINED)]


def _of_group(
    names: Names, finding: str, value: float, reason: str, limit: float = 0.0, state: str = WARNED
) -> dict[str, object]:
    """A finding about a whole group."""
    return {
        **names,
        "state": state,
        "finding": finding,
        "value": value,
        "limit": limit,
        "reason": reason,
    }


def _known(compared: pd.Series[str]) -> list[Compared]:
    """What is compared of each run of a group for which it was recorded."""
    return [json.loads(cell) for cell in compared if cell]


def _differing(finding: str, differences: list[str], names: Names) -> Rows:
    """How many things differ between the runs of a group, and how."""
    if not differences:
        return []
    what = f"{DIFFERING[finding]} that differ between the group's runs"
    reason = f"{what}: {'; '.join(differences)}"
    return [_of_group(names, finding, float(len(differences)), reason)]


def _devices(condition: Condition, judged: pd.DataFrame, group: pd.DataFrame, names: Names) -> Rows:
    """Whether a group and those that it is compared with computed on unlike devices.

    Main engines are compared with each other, an arm with its engine unless it has no GPU by
    design.
    """
    engine = next(engine for engine in condition.engines if engine.name == names["engine"])
    compared = list(condition.main)
    # The order is that of the text: an engine before its arm.
    if engine.arm_of is not None:
        compared = [engine]
        if not group["processor_only"].all():
            compared = [base for base in condition.main if base.name == engine.arm_of] + compared
    devices = devices_of(judged, names["dataset"], compared)
    difference = unlike(devices)
    if not difference or engine.name not in devices:
        return []
    n = len(set(chain.from_iterable(devices.values())))
    reason = f"devices that were computed on in one comparison: {difference}"
    return [_of_group(names, "device", float(n), reason, limit=1.0, state=INVALID)]


def with_quality(runs: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """The table `runs` with the states of each run's findings in `quality`, "" without any."""
    of_runs = findings[findings["repetition"].notna()]
    # Sorted, so that `invalid` comes before `warned`.
    states = of_runs.sort_values("state").drop_duplicates(RUN + ["state"]).groupby(RUN)["state"]
    quality = runs[RUN].merge(states.agg(", ".join).reset_index(), on=RUN, how="left")["state"]
    return runs.assign(quality=quality.fillna("").to_numpy())


def unknown(circumstances: pd.DataFrame) -> dict[str, int]:
    """Finding -> number of runs for which it is unknown; findings known for all are left out."""
    counts = {gate.finding: int(circumstances[gate.column].isna().sum()) for gate in GATES}
    # These two compare the runs of a group.
    counts["card"] = int((circumstances[CARD_COMPARED] == "").sum())
    complete = [run.keys() >= set(surroundings.COMPARED) for run in _known(circumstances[COMPARED])]
    counts["surroundings"] = len(circumstances) - sum(complete)
    return {finding: count for finding, count in counts.items() if count}


def why_unknown(circumstances: pd.DataFrame) -> dict[str, str]:
    """Part of the runs' records -> why values of it are unknown; without parts that are known."""
    found = {}
    for part, column in UNKNOWN.items():
        reasons = [str(reason) for reason in circumstances[column].dropna().unique() if reason]
        more = len(reasons) - MAX_REASONS
        if more > 0:
            reasons = reasons[:MAX_REASONS] + [f"and {more} more reasons in circumstances.csv"]
        if reasons:
            found[part] = "; ".join(reasons)
    return found
