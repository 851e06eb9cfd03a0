"""A claim about lines of code: counted, so that there is nothing to sample and no interval."""

from __future__ import annotations

import math

from evenground.analysis.index import CodeLines, ThesisLines
from evenground.analysis.instruments import Instrument
from evenground.analysis.statistics import Estimate
from evenground.claims.model import Code


def line_ratio(above: float, below: float) -> Estimate:
    """The ratio of two numbers above zero that were counted: no spread, its interval is itself."""
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
    """Both trainers as the instrument takes them, the one above the line first; or what is lacking."""
    if lines is None:
        return "column not measured: these runs were indexed before lines were counted"
    found = {one.code: one for one in lines.thesis if one.instrument == instrument}
    for name in (code.of, code.over):
        if name not in found:
            return f"no trainer '{name}' in data/published/thesis-code.csv"
        if found[name].absent or not line_count(found[name], instrument):
            return found[name].absent or f"no line of code in '{name}'"
    return found[code.of], found[code.over]


def line_count(trainer: ThesisLines, instrument: Instrument) -> int:
    """The thesis counts every line, we those with code on them."""
    return trainer.lines if instrument == "as-published" else trainer.code_lines
