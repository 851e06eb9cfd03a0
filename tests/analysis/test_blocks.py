"""Which runs of a repetition are a block: made in one pass, by the order and the times of their launches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from evenground.analysis.blocks import MAX_PAUSE_S, Made, passes

RUN_S, GAP_S = 10.0, 1.0


def session(names: Iterable[tuple[str, int]], start_s: float = 0.0) -> list[Made]:
    """Runs of engine and repetition, one right after the other."""
    step_s = RUN_S + GAP_S
    begins = (start_s + number * step_s for number in itertools.count())
    return [
        Made("mnist", engine, repetition, launched_s=begin_s, exited_s=begin_s + RUN_S)
        for (engine, repetition), begin_s in zip(names, begins, strict=False)
    ]


def blocks(engines: str, repetitions: range) -> list[tuple[str, int]]:
    return [(engine, repetition) for repetition in repetitions for engine in engines]


def pairs(runs: list[Made], a: str, b: str) -> list[int]:
    """Repetitions in which both engines trained in one pass."""
    found = passes(runs)
    by_name = {(run.engine, run.repetition): found[run] for run in runs}
    repetitions = sorted({run.repetition for run in runs})
    return [r for r in repetitions if (a, r) in by_name and by_name[a, r] == by_name.get((b, r))]


def test_one_session_is_all_pairs() -> None:
    runs = session(blocks("abc", range(1, 6)))
    assert pairs(runs, "a", "b") == pairs(runs, "b", "c") == [1, 2, 3, 4, 5]


def test_a_run_made_again_later_loses_its_pair_only() -> None:
    names = [name for name in blocks("ab", range(1, 6)) if name != ("a", 2)]
    runs = session([*names, ("a", 2)])
    assert pairs(runs, "a", "b") == [1, 3, 4, 5]


def test_a_run_made_again_within_another_block_does_not_break_that_one() -> None:
    names = [name for name in blocks("abc", range(1, 5)) if name != ("a", 2)]
    within = names.index(("b", 4))
    runs = session([*names[:within], ("a", 2), *names[within:]])
    assert pairs(runs, "a", "b") == [1, 3, 4]
    assert pairs(runs, "b", "c") == [1, 2, 3, 4]


def test_an_engine_that_was_added_later_is_paired_with_those_added_with_it() -> None:
    old, new = blocks("ab", range(1, 6)), blocks("xy", range(1, 6))
    runs = session([*old, *new])
    assert pairs(runs, "a", "b") == pairs(runs, "x", "y") == [1, 2, 3, 4, 5]
    assert pairs(runs, "a", "x") == []


def test_repetitions_that_were_added_later_are_blocks_like_others() -> None:
    first = session(blocks("ab", range(1, 4)))
    later = session(blocks("ab", range(4, 7)), start_s=1e6)
    assert pairs([*first, *later], "a", "b") == [1, 2, 3, 4, 5, 6]


def test_a_block_that_was_left_for_a_while_is_in_two_passes() -> None:
    begun = session([("a", 1), ("b", 1), ("a", 2)])
    after_s = begun[-1].exited_s
    soon = session([("b", 2)], start_s=after_s + MAX_PAUSE_S - 1)
    late = session([("b", 2)], start_s=after_s + MAX_PAUSE_S + 1)
    assert pairs([*begun, *soon], "a", "b") == [1, 2]
    assert pairs([*begun, *late], "a", "b") == [1]


def test_runs_of_unknown_times_are_taken_as_planned() -> None:
    names = blocks("ab", range(1, 5))
    unknown = [
        Made("mnist", engine, repetition, math.nan, math.nan) for engine, repetition in names
    ]
    assert pairs(unknown, "a", "b") == [1, 2, 3, 4]
    assert pairs([*session(names)[:5], unknown[5], *session(names)[6:]], "a", "b") == [1, 2, 3, 4]
