"""Verdicts on lines of code: counted, not sampled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from claims.made import experiment, verdicts
from claims.test_verdicts import BOTH, LINES, TURNED_LINES
from evenground.claims.judge import UNTESTABLE


@pytest.mark.parametrize(
    ("lines", "wanted", "reason"),
    [
        (LINES, "reproduced", "the interval lies within 10 % of the published size"),
        ({"axon": 150, "plain-nx": 204}, "direction reproduced, other size", "wholly outside 10 %"),
        (
            TURNED_LINES,
            "contradicted",
            "the interval lies wholly beyond the bound on the other side",
        ),
        (
            {"axon": 204, "plain-nx": 204},
            "contradicted",
            "the interval lies wholly beyond the bound",
        ),
        ({"axon": 0, "plain-nx": 204}, UNTESTABLE, "no line of code in 'axon'"),
        (None, UNTESTABLE, "the author's file is not at hand: data/thesis-code/lib/made.ex"),
    ],
)
def test_lines_of_code_are_judged_as_they_were_counted(
    tmp_path: Path, lines: dict[str, int] | None, wanted: str, reason: str
) -> None:
    found = verdicts(experiment(tmp_path, repetitions=1, thesis_lines=lines))
    for one in (found["L1", instrument] for instrument in BOTH):
        assert one.verdict == wanted and reason in one.reason
        assert len(one.evidence.counted) == (2 if one.estimate else 0)


def test_runs_indexed_before_lines_were_counted_say_so(tmp_path: Path) -> None:
    index = experiment(tmp_path, repetitions=1)
    index.write_text(json.dumps({**json.loads(index.read_text()), "lines": None}))
    one = verdicts(index)["L1", "corrected"]
    assert one.verdict == UNTESTABLE and "indexed before lines were counted" in one.reason
