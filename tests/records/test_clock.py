"""Unix times on the steady scale: clocks that are set, that drift, that are read at a bad moment."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenground.records.clock import Clock, ClockError, Moment, Reading

BOOT_NS = 1_700_000_000_000_000_000
S = 10**9


def clock(steps: dict[float, float], length_s: float = 20.0, rate_hz: float = 10.0) -> Clock:
    """Readings of a run whose clock is set by VALUE seconds KEY seconds after its launch."""
    rows = int(length_s * rate_hz)
    moments_s = [0.0, *((row + 0.5) / rate_hz for row in range(rows)), length_s, length_s + 0.002]
    return Clock([Reading(shown(at_s, steps), round(at_s * S)) for at_s in moments_s])


def shown(at_s: float, steps: dict[float, float]) -> int:
    """What the clock shows at a moment."""
    set_s = sum(by_s for when_s, by_s in steps.items() if at_s >= when_s)
    return BOOT_NS + round((at_s + set_s) * S)


def placed_s(found: Clock, events_s: list[float], steps: dict[float, float]) -> list[float]:
    """Events at these moments, by what the clock showed then: seconds after the launch."""
    steady_ns = found.place([Moment(shown(at_s, steps)) for at_s in events_s])
    return [(at_ns - BOOT_NS) / S for at_ns in steady_ns]


EVENTS_S = [1.0, 2.0, 2.001, 5.0, 9.73, 10.3, 15.0, 15.0007, 19.0]


@pytest.mark.parametrize("when_s", [0.0004, 0.52, 10.0, 17.33, 19.999])
@pytest.mark.parametrize("by_s", [0.2, -0.2, 5.0, 3600.0, -3600.0])
def test_a_clock_that_is_set_moves_no_event(when_s: float, by_s: float) -> None:
    steps = {when_s: by_s}
    found = clock(steps)
    assert found.set_by_s == pytest.approx(abs(by_s))
    assert placed_s(found, EVENTS_S, steps) == pytest.approx(EVENTS_S, abs=1e-6)


def test_an_event_that_the_clock_showed_twice_has_no_time() -> None:
    """At 9.93 s the clock showed what it shows at 10.13 s again, and nothing says which it was."""
    steps = {10.0: -0.2}
    with pytest.raises(ClockError, match="cannot be told") as caught:
        placed_s(clock(steps), [1.0, 9.93, 15.0], steps)
    assert caught.value.was_set and caught.value.index == 1


def test_an_engine_that_reads_both_clocks_tells_which_it_was() -> None:
    steps = {10.0: -0.2}
    for at_s in (9.93, 10.13):
        moment = Moment(shown(at_s, steps), round(at_s * S) + 30_000_000)
        assert clock(steps).place([moment]) == [pytest.approx(BOOT_NS + at_s * S, abs=1000)]


def test_the_order_of_events_tells_which_of_two_answers_is_right() -> None:
    """An event before the step whose successor comes before the clock shows its time again."""
    steps = {10.0: -3.0}
    events_s = [8.0, 9.0, 9.5, 10.5, 12.6]
    with pytest.raises(ClockError):
        placed_s(clock(steps), [8.0, 9.5], steps)
    assert placed_s(clock(steps), events_s, steps) == pytest.approx(events_s)


def test_a_clock_may_be_set_more_than_once() -> None:
    steps = {4.0: 7.0, 8.0: -7.0, 12.0: 60.0}
    found = clock(steps)
    assert [step.by_ns for step in found.steps] == [7 * S, -7 * S, 60 * S]
    events_s = [1.0, 3.5, 5.0, 7.5, 9.0, 11.0, 13.0, 19.5]
    assert placed_s(found, events_s, steps) == pytest.approx(events_s)


def test_a_time_service_that_slews_is_no_step_and_is_followed() -> None:
    """Ten per cent less than chrony's fastest: the clock gains 75 ms a second."""
    readings = [
        Reading(BOOT_NS + round(at * 1.075 * S / 10), round(at * S / 10)) for at in range(200)
    ]
    found = Clock(readings)
    assert found.steps == [] and found.set_by_s == 0
    (at_ns,) = found.place([Moment(BOOT_NS + round(12.345 * 1.075 * S))])
    assert at_ns - BOOT_NS == pytest.approx(12.345 * S, abs=1000)


def test_a_reading_that_was_interrupted_is_no_step() -> None:
    readings = [Reading(BOOT_NS + at * S // 10, at * S // 10) for at in range(50)]
    readings[20] = readings[20]._replace(unix_ns=readings[20].unix_ns - 40_000_000)
    found = Clock(readings)
    assert found.steps == []
    assert found.place([Moment(BOOT_NS + 2 * S)]) == [BOOT_NS + 2 * S]


@pytest.mark.parametrize(
    ("events_s", "index", "words"),
    [
        ([-1.0, 3.0], 0, "1 s before the process was started"),
        ([1.0, 24.002], 1, "4 s after the process had ended"),
        ([1.0, 3.0, 2.999], 2, "before the event above it"),
    ],
)
def test_times_that_are_not_of_the_run_are_named(
    events_s: list[float], index: int, words: str
) -> None:
    with pytest.raises(ClockError, match=words) as caught:
        placed_s(clock({}), events_s, {})
    assert caught.value.index == index and not caught.value.was_set


@given(
    when_s=st.floats(0.3, 19.7),
    by_s=st.floats(-4000, 4000).filter(lambda by: abs(by) > 0.05),
    events_s=st.lists(st.floats(0.01, 19.99), max_size=30).map(sorted),
)
def test_an_answer_is_right_or_there_is_none(
    when_s: float, by_s: float, events_s: list[float]
) -> None:
    """Whatever the step and the events: no wrong time is ever given."""
    steps = {when_s: by_s}
    found_s = None
    with contextlib.suppress(ClockError):
        found_s = placed_s(clock(steps), events_s, steps)
    near = any(abs(at_s - when_s) < abs(by_s) + 0.3 for at_s in events_s)
    assert found_s == pytest.approx(events_s, abs=2e-3) if found_s or not events_s else near
