"""Whether whole blocks were slower or faster than others: two-way analysis of variance, and the drift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc, stdtrit

from evenground.analysis.groups import Rows
from evenground.analysis.index import Index
from evenground.analysis.pairs import Arm, Blocks, told
from evenground.analysis.runs import Floats

MIN_ARMS, MIN_BLOCKS = 2, 3
LEVEL = 0.95
# A variance of logarithms below this is that of a clock of a microsecond in a second, and none of the runs.
MIN_VARIANCE = 1e-12
ALL = "all"
TRAINING, COMPUTING = "training_s", "training_s less idle_s"
COLUMNS = (
    *("measure", "block", "n_arms", "n", "start_min", "effect_pct"),
    *("f", "df_blocks", "df_error", "p"),
    *("drift_pct_per_block", "low_95", "high_95", "reason"),
)


@dataclass(frozen=True)
class Chosen:
    """The arms and, in the order of their launches, the repetitions that are analysed.

    `start_min` (B,): from the first launch of the first block to that of each; NaN is not known.
    `left_out`: in words, what is not in it.
    """

    arms: tuple[Arm, ...]
    repetitions: tuple[int, ...]
    start_min: Floats
    left_out: str


@dataclass(frozen=True)
class Effects:
    """Of B blocks: `effects` (B,) on logarithms, the test that they are all zero, and the drift.

    The drift is the slope per block with the ends of its interval, on logarithms as well. NaN: not known.
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
    index: Index, runs: pd.DataFrame, conditions: pd.DataFrame, blocks: Blocks
) -> pd.DataFrame:
    """A row per block with how much slower its runs were than the mean of all, then one for all blocks.

    Of the training time, and of that without the idle time. No rows where runs are independent by design.
    """
    rows: Rows = []
    if index.report.design == "blocks":
        arms = [(dataset.name, engine.name) for dataset, engine in index.groups()]
        chosen = choose(arms, blocks, conditions)
        by_run = runs.set_index(["dataset", "engine", "repetition"])
        measures = {
            TRAINING: by_run["training_s"],
            COMPUTING: by_run["training_s"] - by_run["idle_s"],
        }
        for measure, values in measures.items():
            rows += [{"measure": measure, **row} for row in _rows(chosen, values)]
    counts = dict.fromkeys(("n_arms", "n", "df_blocks", "df_error"), "Int64")
    return pd.DataFrame(rows, columns=COLUMNS).astype(counts)


def choose(arms: list[Arm], blocks: Blocks, conditions: pd.DataFrame) -> Chosen:
    """The arms whose complete blocks hold the most runs together, in as many blocks as they share.

    A block is a repetition that all of them have in one pass, without an invalid run.
    """
    kept = _with_most_runs(arms, blocks)
    complete, dropped = blocks.complete(kept)
    start_s = _launches(kept, conditions)
    repetitions = sorted(complete, key=lambda number: (start_s.get(number, math.inf), number))
    starts = np.array([start_s.get(number, np.nan) for number in repetitions], np.float64)
    absent = [f"{engine} on {dataset}" for dataset, engine in arms if (dataset, engine) not in kept]
    left_out = [f"left out: {', '.join(absent)}"] if absent else []
    left_out += [told(dropped)] if dropped else []
    return Chosen(
        arms=kept,
        repetitions=tuple(repetitions),
        start_min=(starts - starts[:1]) / 60,
        left_out="; ".join(left_out),
    )


def _with_most_runs(arms: list[Arm], blocks: Blocks) -> tuple[Arm, ...]:
    """Of the sets of arms that `_sets` gives the first that is enough, and has the most runs.

    Only which runs there are decides, never what they measured.
    """
    best: tuple[Arm, ...] = ()
    most = (False, 0)
    for chosen, n_blocks in _sets(arms, blocks):
        enough = len(chosen) >= MIN_ARMS and n_blocks >= MIN_BLOCKS
        size = (enough, len(chosen) * n_blocks)
        if size > most:
            best, most = chosen, size
    return tuple(arm for arm in arms if arm in best)


def _sets(arms: list[Arm], blocks: Blocks) -> Iterator[tuple[tuple[Arm, ...], int]]:
    """Around each arm, sets of those that share the most blocks with it, and how many all of a set share."""
    valid = {
        arm: {(number, blocks.passes[arm][number]) for number in blocks.valid(arm)[0]}
        for arm in arms
    }
    for seed in arms:
        order = sorted(arms, key=lambda arm: len(valid[arm] & valid[seed]), reverse=True)
        shared = valid[seed]
        for count, arm in enumerate(order, start=1):
            shared = shared & valid[arm]
            yield tuple(order[:count]), len(shared)


def _launches(arms: tuple[Arm, ...], conditions: pd.DataFrame) -> dict[int, float]:
    """Repetition -> when the first of its runs of these arms was launched, where that is known."""
    found: dict[int, float] = {}
    known = conditions[conditions["launched_s"].notna()]
    for row in known.to_dict("records"):
        if (row["dataset"], row["engine"]) in arms:
            number, launched_s = int(row["repetition"]), float(row["launched_s"])
            found[number] = min(launched_s, found.get(number, math.inf))
    return found


def _rows(chosen: Chosen, values: pd.Series[float]) -> Rows:
    """The rows of one measure; `values` in seconds by dataset, engine and repetition."""
    arms, repetitions = chosen.arms, chosen.repetitions
    size: dict[str, object] = {"n_arms": len(arms), "n": len(arms) * len(repetitions)}
    why = _too_few(chosen)
    numbers = np.full((len(arms), len(repetitions)), np.nan)
    for i, arm in enumerate(arms):
        numbers[i] = [float(values[(*arm, repetition)]) for repetition in repetitions]
    if not why and not (numbers > 0).all():
        unknown = int((~(numbers > 0)).sum())
        why = f"not known of {unknown} of {numbers.size} runs, or zero"
    if why:
        return [{"block": ALL, **size, "reason": "; ".join(filter(None, (why, chosen.left_out)))}]
    found = effects_of(np.log(numbers))
    rows: Rows = [
        {
            "block": str(repetition),
            "n_arms": len(arms),
            "n": len(arms),
            "start_min": start_min,
            "effect_pct": _percent(effect),
            "reason": "",
        }
        for repetition, start_min, effect in zip(
            repetitions, chosen.start_min, found.effects.tolist(), strict=True
        )
    ]
    alike = "but for the block all runs took the same time" if math.isnan(found.f) else ""
    total: dict[str, object] = {
        "block": ALL,
        **size,
        "f": found.f,
        "df_blocks": found.df_blocks,
        "df_error": found.df_error,
        "p": found.p,
        "drift_pct_per_block": _percent(found.drift),
        "low_95": _percent(found.low),
        "high_95": _percent(found.high),
        "reason": "; ".join(filter(None, (alike, chosen.left_out))),
    }
    return [*rows, total]


def _too_few(chosen: Chosen) -> str:
    """Why there is no analysis; empty where there is one."""
    if len(chosen.arms) < MIN_ARMS:
        return f"too few engines and datasets with complete blocks: {len(chosen.arms)}, it takes {MIN_ARMS}"
    if len(chosen.repetitions) < MIN_BLOCKS:
        return f"too few complete blocks: {len(chosen.repetitions)}, it takes {MIN_BLOCKS}"
    return ""


def effects_of(logs: Floats) -> Effects:
    """Block effects of (A, B) logarithms of A arms in B blocks, which are in the order of their launches.

    The test is that of a randomised complete block design without interaction: F = mean square of blocks
    over that of the rest, with B - 1 and (A - 1)(B - 1) degrees of freedom. The drift is the slope of the
    blocks' means over their places, with Student's interval of B - 2 degrees of freedom: a drift is seen in
    blocks, and there are no more of them however many runs each has. Source: R. A. Fisher, "The Design of
    Experiments" (1935); for the slope any text on linear regression.
    """
    n_arms, n_blocks = logs.shape
    grand = logs.mean()
    effects = logs.mean(axis=0) - grand
    rest = logs - logs.mean(axis=1, keepdims=True) - effects
    df_blocks, df_error = n_blocks - 1, (n_arms - 1) * (n_blocks - 1)
    of_blocks = n_arms * float((effects**2).sum()) / df_blocks
    of_rest = float((rest**2).sum()) / df_error
    known = of_rest > MIN_VARIANCE
    f = of_blocks / of_rest if known else math.nan
    drift, half = _drift(effects)
    return Effects(
        effects=effects,
        f=f,
        df_blocks=df_blocks,
        df_error=df_error,
        p=float(fdtrc(df_blocks, df_error, f)) if known else math.nan,
        drift=drift,
        low=drift - half,
        high=drift + half,
    )


def _drift(effects: Floats) -> tuple[float, float]:
    """Slope of the effects (B,) over their places, and half the width of its interval; NaN without spread."""
    places = np.arange(effects.size) - (effects.size - 1) / 2
    slope = float((places * effects).sum() / (places**2).sum())
    df = effects.size - 2
    spread = float(((effects - slope * places) ** 2).sum()) / df
    if spread < MIN_VARIANCE:
        return slope, math.nan
    return slope, float(stdtrit(df, 0.5 + LEVEL / 2)) * math.sqrt(spread / float((places**2).sum()))


def _percent(log: float) -> float:
    """A difference of logarithms as percent."""
    return 100 * math.expm1(log)
