"""A claim about lines of code: they are counted, so nothing is sampled and there is no interval."""

from __future__ import annotations

import math

from evenground.analysis.statistics import Estimate
from evenground.records.index import CodeLines, ThesisLines
from evenground.records.verdicts import Code, Instrument


def line_ratio(above: float, below: float) -> Estimate:
    """Return the ratio of two counts above zero; its interval is the ratio itself."""
    ratio = above / below
    return Estimate(
        value=ratio,
        low=ratio,
        high=ratio,
        df=math.nan,
        centre=math.log(ratio),
        se=0.0,
        log=True,
        spreads=(),
    )


def counted(
    code: Code, instrument: Instrument, lines: CodeLines | None
) -> tuple[ThesisLines, ...] | str:
    """Return both trainers under an instrument, the numerator first, or why they are missing."""
    if lines is None:
        return "column not measured: these runs were indexed before lines were counted"
    trainers = {one.code: one for one in lines.thesis if one.instrument == instrument}
    for name in (code.of, code.over):
        trainer = trainers.get(name)
        if trainer is None:
            return f"no trainer '{name}' in data/published/thesis-code.csv"
        # The author's files have no licence and are not part of this project: they may be missing.
        if trainer.absent:
            return trainer.absent
        if not line_count(trainer, instrument):
            return f"no line of code in '{name}'"
    return trainers[code.of], trainers[code.over]


def line_count(trainer: ThesisLines, instrument: Instrument) -> int:
    """Return all lines, which is what the thesis counted, or the lines with code on them."""
    if instrument == "as-published":
        return trainer.lines
    return trainer.code_lines
