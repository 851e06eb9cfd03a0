"""Before there are data: how many repetitions the claims take, by how much recorded training times differ."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from evenground.analysis.planning import (
    MIN_PRECISE,
    level_of_each,
    runs_for_direction,
    runs_for_size,
    runs_for_width,
)
from evenground.config import load_experiment
from evenground.preflight.finding import Finding
from evenground.preflight.repetitions import WHAT, findings, recorded_spread
from evenground.runs.plan import RUNS, Plan
from planned import make_plan
from working_copy import WorkingCopy, fresh_copy

# Of logarithms in steps of one: the variance of five is 2.5, of four 5 / 3.
FIVE, FOUR = (-2, -1, 0, 1, 2), (-1.5, -0.5, 0.5, 1.5)
T1 = math.log(1.3421)
PLAYERS = {"elixir": "fake_a", "python": "fake_b", "mnist": "tiny"}


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def plan_of(copy: WorkingCopy, **changes: Any) -> Plan:
    return make_plan(load_experiment({**copy.settings, **changes}), copy.root)


def record(
    copy: WorkingCopy,
    plan: Plan,
    engine: str,
    steps: tuple[float, ...],
    spread: float,
    key: str = "",
    dataset: str = "tiny",
) -> None:
    """Finished runs whose training took 10 s, more or less by so many steps of the logarithm."""
    own = next(run.key for run in plan.runs if (run.engine, run.dataset) == (engine, dataset))
    for number, step in enumerate(steps, start=1):
        folder = copy.root / RUNS / plan.machine / dataset / engine / (key or own) / f"r{number}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        (folder / "events.jsonl").write_text(events(10 * math.exp(spread * step)))


def events(training_s: float) -> str:
    start_ns = 1_700_000_000_000_000_000
    work = {"seed": 1, "epochs": 1, "batch_size": 8, "network": "mlp", "parameters": 1}
    start = {"event": "train_start", "t_unix_ns": start_ns, **work}
    end = {"event": "train_end", "t_unix_ns": start_ns + round(training_s * 1e9)}
    return f"{json.dumps(start)}\n{json.dumps(end)}\n"


def both(copy: WorkingCopy, spread: float, **changes: Any) -> Finding:
    """What is said where both engines were recorded five times."""
    plan = plan_of(copy, stand_ins=PLAYERS, **changes)
    for engine in ("fake_a", "fake_b"):
        record(copy, plan, engine, FIVE, spread)
    (found,) = findings([plan])
    return found


def test_where_nothing_is_recorded_that_is_said_and_is_no_lack(copy: WorkingCopy) -> None:
    (found,) = findings([plan_of(copy, repetitions=5)])
    assert (found.what, found.state) == (WHAT, "ok")
    assert found.seen == (
        "5 planned; no recorded spread on this machine: record 4 repetitions, then run preflight again"
    )


def test_where_only_one_of_two_engines_is_recorded_the_other_is_named(copy: WorkingCopy) -> None:
    plan = plan_of(copy, repetitions=5, stand_ins=PLAYERS)
    record(copy, plan, "fake_a", FIVE, 0.1)
    (found,) = findings([plan])
    assert found.state == "ok"
    assert found.seen.startswith(
        "5 planned; no recorded spread on this machine of fake_b on tiny: record 4"
    )


def test_fewer_than_give_an_interval_are_a_warning(copy: WorkingCopy) -> None:
    (found,) = findings([plan_of(copy, repetitions=3)])
    assert (
        found.state == "warning" and "no interval below 4" in found.seen and "plan 4" in found.fix
    )
    plan = plan_of(copy, repetitions=3)
    for engine in ("fake_a", "fake_b"):
        record(copy, plan, engine, FIVE, 0.1)
    (found,) = findings([plan])
    assert (
        found.state == "warning"
        and "they give no interval of fake_b / fake_a on tiny" in found.seen
    )


def test_one_engine_alone_is_compared_with_nothing(copy: WorkingCopy) -> None:
    assert findings([plan_of(copy, engines=copy.settings["engines"][:1])]) == []


@pytest.mark.parametrize(("spread", "state"), [(0.05, "ok"), (0.2, "warning")])
def test_the_numbers_are_those_of_the_claim_and_too_few_are_a_warning(
    copy: WorkingCopy, spread: float, state: str
) -> None:
    found = both(copy, spread, repetitions=5)
    spreads = (2 * 2.5 * spread**2,)
    direction, size = runs_for_direction(spreads, T1), runs_for_size(spreads, math.log(1.25))
    shown = 100 * spread * math.sqrt(2.5)
    each = f"{shown:.2g} %" if shown < 10 else f"{shown:.0f} %"
    assert found.state == state
    assert found.seen == (
        f"5 planned; from recorded spread (fake_a {each}, fake_b {each} on tiny, 5 and 5 runs): "
        f"{direction} decide the direction of T1 (1.34 against 1), {size} its size within 25 %"
    )
    assert found.fix.startswith(f"plan {direction} ") if state == "warning" else not found.fix


def test_with_planned_looks_the_last_counts_and_each_has_its_level(copy: WorkingCopy) -> None:
    found = both(copy, 0.1, repetitions=5, looks=[5, 20])
    strict = runs_for_direction((2 * 2.5 * 0.1**2,), T1, level_of_each((5, 20)))
    assert found.state == "ok" and found.seen.startswith("looks at 5, 20 planned; ")
    assert f": {strict} decide the direction of T1" in found.seen


def test_by_precision_what_counts_is_how_far_the_interval_reaches(copy: WorkingCopy) -> None:
    found = both(copy, 0.1, repetitions=5, looks="precision")
    # Seven are exact enough, and below eight nobody may stop.
    runs = max(runs_for_width((2 * 2.5 * 0.1**2,), math.log(1.25)) or 0, MIN_PRECISE)
    assert found.state == "warning" and f"{runs} give T1 an interval within 25 %" in found.seen


def test_on_nodes_runs_are_independent(copy: WorkingCopy) -> None:
    plan = plan_of(copy, stand_ins=PLAYERS, repetitions=3)
    independent = Plan(
        **{**vars(plan), "experiment": plan.experiment.model_copy(update={"nodes": {"a": None}})}
    )
    for engine in ("fake_a", "fake_b"):
        record(copy, plan, engine, FIVE, 0.02)
    told = {plan.design: findings([plan])[0].seen for plan in (plan, independent)}
    assert (
        "4 decide the direction" in told["blocks"]
        and "3 decide the direction" in told["independent"]
    )


def test_spread_that_no_number_is_worth_planning_for_is_said(copy: WorkingCopy) -> None:
    found = both(copy, 5.0)
    assert "more than 1,000 decide the direction of T1" in found.seen
    assert found.state == "warning" and "no realistic number" in found.fix


def test_engines_without_a_claim_are_told_how_exactly_their_ratio_is_known(
    copy: WorkingCopy,
) -> None:
    plan = plan_of(copy, repetitions=5)
    for engine in ("fake_a", "fake_b"):
        record(copy, plan, engine, FIVE, 0.01)
    (found,) = findings([plan])
    # t of 4 degrees of freedom, and the spread of both.
    half = 2.776445 * math.sqrt(2 * 2.5 * 0.01**2 / 5)
    assert found.state == "ok"
    assert found.seen.endswith(
        f"they give fake_b / fake_a on tiny to +-{100 * math.expm1(half):.2g} %"
    )


def test_of_many_engines_two_lines_say_all(copy: WorkingCopy) -> None:
    engine = copy.settings["engines"][0]
    more = [{**engine, "name": f"more_{number}"} for number in range(10)]
    plan = plan_of(
        copy, stand_ins=PLAYERS, repetitions=5, engines=[*copy.settings["engines"], *more]
    )
    for number, name in enumerate(one.name for one in plan.engines[:-1]):
        record(copy, plan, name, FIVE, 0.01 * (1 + number))
    claimed, others = findings([plan])
    assert "T1" in claimed.seen and "more_8 17 % on tiny" in others.seen.replace("more_9", "?")
    assert others.seen.endswith("the widest of 54 ratios; not recorded yet: more_9 on tiny")


def test_an_arm_is_compared_with_its_own_engine_only(copy: WorkingCopy) -> None:
    first, second = copy.settings["engines"]
    arms = [
        {**first, "name": "arm", "arm_of": "fake_a"},
        {**first, "name": "part", "arm_of": "fake_a", "train_limit": 32},
    ]
    plan = plan_of(copy, repetitions=5, engines=[first, second, *arms])
    for name in ("fake_a", "fake_b", "arm", "part"):
        record(copy, plan, name, FIVE, 0.01)
    (found,) = findings([plan])
    assert found.seen.endswith("the widest of 2 ratios"), "fake_a with fake_b, and with arm"


def test_an_engine_with_a_number_of_its_own_has_that_many(copy: WorkingCopy) -> None:
    first, second = copy.settings["engines"]
    found = both(copy, 0.01, repetitions=9, engines=[first, {**second, "repetitions": 2}])
    assert found.state == "warning" and found.seen.startswith("2 planned; ")


def test_spread_is_that_within_keys_and_of_the_own_key_where_it_has_enough(
    copy: WorkingCopy,
) -> None:
    plan = plan_of(copy)
    run = next(run for run in plan.runs if run.engine == "fake_a")
    record(copy, plan, "fake_a", FOUR, 0.1, key="one")
    record(copy, plan, "fake_a", FOUR, 0.3, key="other")
    pooled = recorded_spread(plan, "tiny", "fake_a", run.key)
    assert pooled and pooled.runs == 8
    assert pooled.variance == pytest.approx(5 / 3 * (0.1**2 + 0.3**2) / 2)
    record(copy, plan, "fake_a", FIVE, 0.2)
    own = recorded_spread(plan, "tiny", "fake_a", run.key)
    assert own and own.runs == 5 and own.variance == pytest.approx(2.5 * 0.2**2)


def test_runs_that_are_broken_unfinished_or_too_few_say_nothing(copy: WorkingCopy) -> None:
    plan = plan_of(copy)
    record(copy, plan, "fake_a", FIVE, 0.1)
    key = next(run.key for run in plan.runs if run.engine == "fake_a")
    folder = copy.root / RUNS / plan.machine / "tiny/fake_a" / key
    (folder / "r1/events.jsonl").write_text("no event\n")
    assert recorded_spread(plan, "tiny", "fake_a", key).runs == 4  # type: ignore[union-attr]
    (folder / "r2/manifest.json").unlink()
    assert recorded_spread(plan, "tiny", "fake_a", key) is None
    assert recorded_spread(plan, "tiny", "fake_b", key) is None
