"""Whether whole blocks were slower than others: two-way analysis of variance, and drift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from evenground.analysis.columns import (
    REASON,
    N,
    columns,
    interval,
    number,
    text,
    whole,
)
from evenground.analysis.groups import Rows
from evenground.analysis.pairs import Arm, Blocks, told
from evenground.analysis.runs import Floats
from evenground.analysis.statistics import half_width
from evenground.analysis.table import frame_of
from evenground.records.index import Condition

MIN_ARMS, MIN_BLOCKS = 2, 3
# The variance of logarithms that a clock of a microsecond gives to times of a second.
MIN_VARIANCE = 1e-12
ALL = "all"
TRAINING, COMPUTING = "training_s", "training_s less idle_s"
# Below this the digits of a p-value mean nothing, and it is never zero.
MIN_P = 0.0001
P = number("p", "", "A small one: blocks differ by more than chance.")
TABLE = columns(
    text("measure", f"`{COMPUTING}` is without the time in which a run computed nothing."),
    text("block", "The repetition: each engine once on each dataset, in one pass; or `all`."),
    whole("n_arms", "Engines with their datasets that are analysed."),
    N,
    number("start_min", "min", "From the first launch in the first block to that in this one."),
    number(
        "effect_pct",
        "%",
        "By how much its runs took longer than the mean of all blocks (geometric means).",
    ),
    number("f", "", "Of the test: mean square of blocks over that of the rest."),
    whole("df_blocks", "Degrees of freedom of the blocks."),
    whole("df_error", "Degrees of freedom of the rest."),
    P.model_copy(update={"floor": MIN_P}),
    number("drift_pct_per_block", "%", "Slope of the effects in the order of the blocks."),
    interval("%"),
    REASON,
)


@dataclass(frozen=True)
class Chosen:
    """The arms and, in the order of their launches, the repetitions that are analysed.

    `start_min` (B,): minutes from the first launch of the first block to that of each. `left_out`:
    what is not included, as text.
    """

    arms: tuple[Arm, ...]
    repetitions: tuple[int, ...]
    start_min: Floats
    left_out: str


@dataclass(frozen=True)
class Effects:
    """Of B blocks: `effects` (B,) on logarithms, the test that they are all zero, and the drift.

    The drift is the slope per block with the ends of its interval, also on logarithms. NaN is
    unknown.
    """

    effects: Floats
    f: float
    df_blocks: int
    df_error: int
    p: float
    drift: float
    low: float
    high: float


def block_table(
    condition: Condition, runs: pd.DataFrame, circumstances: pd.DataFrame, blocks: Blocks
) -> pd.DataFrame:
    """A row per block with how much slower its runs were than the mean of all, then one for all.

    For the training time, and for that without the idle time. Empty if the design is independent.
    """
    rows: Rows = []
    if condition.report.design == "blocks":
        arms = [(dataset.name, engine.name) for dataset, engine in condition.groups()]
        chosen = choose(arms, blocks, circumstances)
        by_run = runs.set_index(["dataset", "engine", "repetition"])
        training_s = by_run["training_s"]
        rows = _rows(TRAINING, chosen, training_s)
        rows += _rows(COMPUTING, chosen, training_s - by_run["idle_s"])
    return frame_of(rows, TABLE)


def choose(arms: list[Arm], blocks: Blocks, circumstances: pd.DataFrame) -> Chosen:
    """The arms whose complete blocks hold the most runs together, and these blocks.

    A block is a repetition that all of these arms have in one pass, without an invalid run.
    """
    kept = _with_most_runs(arms, blocks)
    complete, dropped = blocks.complete(kept)
    arm_of = pd.MultiIndex.from_frame(circumstances[["dataset", "engine"]])
    launched_s = circumstances[arm_of.isin(kept)].groupby("repetition")["launched_s"]
    start_s = launched_s.min().loc[complete].sort_values(kind="stable")
    absent = [f"{engine} on {dataset}" for dataset, engine in arms if (dataset, engine) not in kept]
    left_out = []
    if absent:
        left_out.append(f"left out: {', '.join(absent)}")
    if dropped:
        left_out.append(told(dropped))
    return Chosen(
        arms=kept,
        repetitions=tuple(start_s.index),
        start_min=(start_s - start_s.min()).to_numpy() / 60,
        left_out="; ".join(left_out),
    )


def _with_most_runs(arms: list[Arm], blocks: Blocks) -> tuple[Arm, ...]:
    """The first of the candidate sets that is large enough and has the most runs.

    Only which runs there are decides, never what they measured.
    """
    best: set[Arm] = set()
    # Sets that are too small come after all others, however many runs they have.
    largest = (False, 0)
    for candidate, n_blocks in _candidates(arms, blocks):
        enough = len(candidate) >= MIN_ARMS and n_blocks >= MIN_BLOCKS
        size = (enough, len(candidate) * n_blocks)
        if size > largest:
            best, largest = set(candidate), size
    return tuple(arm for arm in arms if arm in best)


def _candidates(arms: list[Arm], blocks: Blocks) -> Iterator[tuple[list[Arm], int]]:
    """For each arm, sets of those that share the most blocks with it, with the blocks all share."""
    valid = {}
    for arm in arms:
        repetitions, _ = blocks.valid(arm)
        valid[arm] = {(number, blocks.passes[arm][number]) for number in repetitions}
    for seed in arms:
        # Growing from one arm tries far fewer sets than there are.
        order = sorted(arms, key=lambda arm: len(valid[arm] & valid[seed]), reverse=True)
        shared = valid[seed]
        for count, arm in enumerate(order, start=1):
            shared = shared & valid[arm]
            yield order[:count], len(shared)


def _rows(measure: str, chosen: Chosen, values: pd.Series[float]) -> Rows:
    """The rows of one measure; `values` in seconds by dataset, engine and repetition."""
    by_arm = values.unstack("repetition")
    # Of A arms and B blocks, (A, B).
    seconds = by_arm.loc[list(chosen.arms), list(chosen.repetitions)].to_numpy()
    why = _why_not(chosen, seconds)
    total: dict[str, object] = {
        "measure": measure,
        "block": ALL,
        "n_arms": len(chosen.arms),
        "n": seconds.size,
    }
    if why:
        return [{**total, "reason": _joined(why, chosen.left_out)}]
    analysed = effects_of(np.log(seconds))
    rows = _block_rows(measure, chosen, analysed)
    no_test = ""
    if math.isnan(analysed.f):
        no_test = "but for the block all runs took the same time"
    total |= {
        "f": analysed.f,
        "df_blocks": analysed.df_blocks,
        "df_error": analysed.df_error,
        "p": analysed.p,
        "drift_pct_per_block": _percent(analysed.drift),
        "low_95": _percent(analysed.low),
        "high_95": _percent(analysed.high),
        "reason": _joined(no_test, chosen.left_out),
    }
    rows.append(total)
    return rows


def _block_rows(measure: str, chosen: Chosen, analysed: Effects) -> Rows:
    """A row per block."""
    rows: Rows = []
    for place, repetition in enumerate(chosen.repetitions):
        rows.append(
            {
                "measure": measure,
                "block": str(repetition),
                "n_arms": len(chosen.arms),
                "n": len(chosen.arms),
                "start_min": chosen.start_min[place],
                "effect_pct": _percent(analysed.effects[place]),
                "reason": "",
            }
        )
    return rows


def _why_not(chosen: Chosen, seconds: Floats) -> str:
    """Why there is no analysis of `seconds` (A, B); empty if there is one."""
    n_arms, n_blocks = seconds.shape
    if n_arms < MIN_ARMS:
        return f"too few engines and datasets with complete blocks: {n_arms}, it takes {MIN_ARMS}"
    if n_blocks < MIN_BLOCKS:
        return f"too few complete blocks: {n_blocks}, it takes {MIN_BLOCKS}"
    # NaN fails the comparison, too.
    unknown = int((~(seconds > 0)).sum())
    if unknown:
        return f"not known of {unknown} of {seconds.size} runs, or zero"
    return ""


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


def effects_of(logs: Floats) -> Effects:
    """Block effects of (A, B) logarithms of A arms in B blocks, in the order of their launches.

    The test is that of a randomised complete block design without interaction: F = mean square of
    blocks over that of the rest, with B - 1 and (A - 1)(B - 1) degrees of freedom. The drift is the
    slope of the blocks' means over their positions, with Student's interval of B - 2 degrees of
    freedom: a drift moves whole blocks, and more runs in a block add none. Source: R. A. Fisher,
    "The Design of Experiments" (1935); for the slope any text on linear regression.
    """
    n_arms, n_blocks = logs.shape
    grand = logs.mean()
    effects = logs.mean(axis=0) - grand
    # What neither the arm nor the block explains.
    rest = logs - logs.mean(axis=1, keepdims=True) - effects
    df_blocks, df_error = n_blocks - 1, (n_arms - 1) * (n_blocks - 1)
    of_blocks = n_arms * float((effects**2).sum()) / df_blocks
    of_rest = float((rest**2).sum()) / df_error
    f = p = math.nan
    if of_rest > MIN_VARIANCE:
        f = of_blocks / of_rest
        p = float(fdtrc(df_blocks, df_error, f))
    drift, half = _drift(effects)
    return Effects(
        effects=effects,
        f=f,
        df_blocks=df_blocks,
        df_error=df_error,
        p=p,
        drift=drift,
        low=drift - half,
        high=drift + half,
    )


def _drift(effects: Floats) -> tuple[float, float]:
    """Slope of the effects (B,) over their positions, and half the width of its interval.

    Without spread around the line the half width is NaN.
    """
    positions = np.arange(effects.size) - (effects.size - 1) / 2
    squares = float((positions**2).sum())
    slope = float((positions * effects).sum() / squares)
    df = effects.size - 2
    spread = float(((effects - slope * positions) ** 2).sum()) / df
    if spread < MIN_VARIANCE:
        return slope, math.nan
    return slope, half_width(df, math.sqrt(spread / squares))


def _percent(log: float) -> float:
    """A difference of logarithms as percent."""
    return 100 * math.expm1(log)
