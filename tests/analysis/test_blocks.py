"""Which runs of a repetition are a block: made in one pass, by the order and the times of their launches."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from evenground.analysis.blocks import MAX_PAUSE_S, passes

RUN_S, GAP_S = 10.0, 1.0


def session(names: Iterable[tuple[str, int]], start_s: float = 0.0) -> pd.DataFrame:
    """Runs of engine and repetition, one right after the other."""
    runs = pd.DataFrame(names, columns=["engine", "repetition"])
    runs["launched_s"] = start_s + runs.index * (RUN_S + GAP_S)
    return runs.assign(exited_s=runs["launched_s"] + RUN_S)


def blocks(engines: str, repetitions: range) -> list[tuple[str, int]]:
    return [(engine, repetition) for repetition in repetitions for engine in engines]


def pairs(runs: pd.DataFrame, a: str, b: str) -> list[int]:
    """Repetitions in which both engines trained in one pass."""
    made_in = runs.assign(made_in=passes(runs)).pivot(
        index="repetition", columns="engine", values="made_in"
    )
    return made_in.index[made_in[a] == made_in[b]].tolist()


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


def test_a_run_made_again_after_fewer_others_than_its_repetition_has_stays_a_pair() -> None:
    names = [name for name in blocks("abc", range(1, 4)) if name != ("a", 2)]
    soon, late = names.index(("c", 3)), len(names)
    for place, expected in ((soon, [1, 2, 3]), (late, [1, 3])):
        runs = session([*names[:place], ("a", 2), *names[place:]])
        assert pairs(runs, "a", "b") == expected


def test_an_engine_that_was_added_later_is_paired_with_those_added_with_it() -> None:
    old, new = blocks("ab", range(1, 6)), blocks("xy", range(1, 6))
    runs = session([*old, *new])
    assert pairs(runs, "a", "b") == pairs(runs, "x", "y") == [1, 2, 3, 4, 5]
    assert pairs(runs, "a", "x") == []


def test_repetitions_that_were_added_later_are_blocks_like_others() -> None:
    first = session(blocks("ab", range(1, 4)))
    later = session(blocks("ab", range(4, 7)), start_s=1e6)
    assert pairs(pd.concat([first, later], ignore_index=True), "a", "b") == [1, 2, 3, 4, 5, 6]


def test_a_block_that_was_left_for_a_while_is_in_two_passes() -> None:
    begun = session([("a", 1), ("b", 1), ("a", 2)])
    after_s = begun["exited_s"].max()
    soon = session([("b", 2)], start_s=after_s + MAX_PAUSE_S - 1)
    late = session([("b", 2)], start_s=after_s + MAX_PAUSE_S + 1)
    assert pairs(pd.concat([begun, soon], ignore_index=True), "a", "b") == [1, 2]
    assert pairs(pd.concat([begun, late], ignore_index=True), "a", "b") == [1]
