"""Unix times of a run on the steady scale of the monotonic clock, even if the clock was set.

The sampler reads both clocks in every row. Their difference changes slowly while a time service
corrects the clock, and at once if the clock is set. Events may have Unix times only: the readings
around an event give its steady time.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import NamedTuple

# A time service may run the clock up to 8.3 % faster or slower (chrony's default limit): a change
# of a tenth of the time between two readings, taken as at most 0.1 s, is not a step. Nor is a
# millisecond: the two clocks are not read at the same instant.
MAX_SLEW = 0.1
MAX_SLEWING_NS = 100_000_000
MIN_STEP_NS = 1_000_000
# On a busy machine a process may be preempted between reading one clock and the other.
MAX_APART_NS = 50_000_000


class Reading(NamedTuple):
    """Both clocks at one moment, in nanoseconds."""

    unix_ns: int
    mono_ns: int

    @property
    def offset_ns(self) -> int:
        """How far the Unix clock is ahead of the monotonic one."""
        return self.unix_ns - self.mono_ns


class Moment(NamedTuple):
    """Both clocks as an engine read them; `mono_ns` is None if it did not read that one."""

    unix_ns: int
    mono_ns: int | None = None


class Step(NamedTuple):
    """The clock was set by `by_ns` between two monotonic moments."""

    after_ns: int
    before_ns: int
    by_ns: int


class ClockError(ValueError):
    """Unix times that cannot be placed; `index` is that of the first of them, the text says why.

    `was_set`: the clock was set, so that more than one time may fit.
    """

    def __init__(self, what: str, index: int, was_set: bool) -> None:
        super().__init__(what)
        self.index, self.was_set = index, was_set


@dataclass(frozen=True)
class _Stretch:
    """Readings between two steps; it covers monotonic times from `first_ns` to `last_ns`."""

    readings: list[Reading]
    first_ns: int
    last_ns: int

    def mono_ns(self, unix_ns: int) -> int:
        """The monotonic time at which the clock showed `unix_ns`, by the readings around it."""
        after = bisect_left(self.readings, unix_ns, key=operator.attrgetter("unix_ns"))
        if after == 0:
            return unix_ns - self.readings[0].offset_ns
        earlier = self.readings[after - 1]
        if after == len(self.readings):
            return unix_ns - earlier.offset_ns
        later = self.readings[after]
        gap_ns = later.unix_ns - earlier.unix_ns
        share = 0.0
        # Readings within a fraction of a millisecond may show the same time, or go back a little.
        if gap_ns > 0:
            share = (unix_ns - earlier.unix_ns) / gap_ns
        return unix_ns - earlier.offset_ns - round(share * (later.offset_ns - earlier.offset_ns))


class Clock:
    """Both clocks of a run, from at least one reading, in any order.

    The run lasts from the first to the last reading.
    """

    def __init__(self, readings: Sequence[Reading]) -> None:
        ordered = sorted(readings, key=operator.attrgetter("mono_ns"))
        self._readings = _without_outliers(ordered)
        self._first, self._last = ordered[0], ordered[-1]
        self.steps = _steps(self._readings)
        """When the clock was set, in order."""

    @property
    def anchor_ns(self) -> int:
        """Steady less monotonic time: steady time is Unix time as it was at the first reading."""
        return self._first.offset_ns

    @property
    def set_by_s(self) -> float:
        """Seconds by which the clock was set during the run, the sum of absolute values."""
        return sum(abs(step.by_ns) for step in self.steps) / 1e9

    def steady_ns(self, mono_ns: int) -> int:
        """A monotonic time on the steady scale."""
        return mono_ns + self.anchor_ns

    def place(self, moments: Sequence[Moment]) -> list[int]:
        """Steady times of moments that are known to follow each other.

        If the clock was set, each moment lies before or after that: the result is the one solution
        in which all lie within the life of the run and none before its predecessor. Raises
        ClockError if there is no solution or more than one.
        """
        choices = [self._choices(moment) for moment in moments]
        forward = _linked(choices, operator.le)
        for index, moment in enumerate(moments):
            if not choices[index]:
                raise ClockError(self._outside(moment.unix_ns), index, bool(self.steps))
            if not forward[index]:
                raise ClockError("it is before the event above it", index, bool(self.steps))
        fitting = _linked(reversed(forward), operator.ge)[::-1]
        placed_ns = []
        for index, choice in enumerate(fitting):
            earliest_ns = min(choice.values())
            if max(choice.values()) - earliest_ns > MIN_STEP_NS:
                what = "the clock was set so near to it that its time cannot be told"
                raise ClockError(what, index, True)
            placed_ns.append(self.steady_ns(earliest_ns))
        return placed_ns

    def _choices(self, moment: Moment) -> dict[int, int]:
        """Stretch number -> monotonic time, for each stretch in which the clock showed it."""
        choices = {}
        for number, stretch in enumerate(self._stretches):
            mono_ns = stretch.mono_ns(moment.unix_ns)
            if stretch.first_ns <= mono_ns <= stretch.last_ns:
                choices[number] = mono_ns
        read_ns = moment.mono_ns
        if len(choices) < 2 or read_ns is None:
            return choices
        # The engine's own reading of the monotonic clock decides between several stretches.
        near = {number: ns for number, ns in choices.items() if abs(ns - read_ns) < MAX_APART_NS}
        return near or choices

    @cached_property
    def _stretches(self) -> list[_Stretch]:
        """The readings, split where the clock was set."""
        stretches: list[_Stretch] = []
        readings, first_ns = self._readings, self._first.mono_ns - MIN_STEP_NS
        for step in self.steps:
            count = sum(reading.mono_ns <= step.after_ns for reading in readings)
            stretches.append(_Stretch(readings[:count], first_ns, last_ns=step.before_ns))
            readings, first_ns = readings[count:], step.after_ns
        last_ns = self._last.mono_ns + MIN_STEP_NS
        stretches.append(_Stretch(readings, first_ns, last_ns))
        return stretches

    def _outside(self, unix_ns: int) -> str:
        """Why the clock never showed this time during the run."""
        shown_ns = [reading.unix_ns for reading in self._readings]
        early_ns = min(shown_ns) - unix_ns
        late_ns = unix_ns - max(shown_ns)
        if early_ns > 0:
            return f"it is {early_ns / 1e9:.6g} s before the process was started"
        if late_ns > 0:
            return f"it is {late_ns / 1e9:.6g} s after the process had ended"
        return "the clock of the machine never showed its time during the run"


def _without_outliers(ordered: list[Reading]) -> list[Reading]:
    """Smooth single readings off their neighbours: the sampler was interrupted in between."""
    offsets_ns = [reading.offset_ns for reading in ordered]
    smooth = list(ordered)
    for index in range(1, len(ordered) - 1):
        near = offsets_ns[index - 1 : index + 2]
        # Smaller differences are not taken for a step anyway.
        if max(near) - min(near) > MIN_STEP_NS:
            mono_ns = ordered[index].mono_ns
            smooth[index] = Reading(mono_ns + round(median(near)), mono_ns)
    return smooth


def _steps(readings: Sequence[Reading]) -> list[Step]:
    steps = []
    for earlier, later in pairwise(readings):
        by_ns = later.offset_ns - earlier.offset_ns
        slewing_ns = MAX_SLEW * min(later.mono_ns - earlier.mono_ns, MAX_SLEWING_NS)
        if abs(by_ns) > MIN_STEP_NS + slewing_ns:
            steps.append(Step(after_ns=earlier.mono_ns, before_ns=later.mono_ns, by_ns=by_ns))
    return steps


def _linked(
    choices: Iterable[dict[int, int]], in_order: Callable[[int, int], bool]
) -> list[dict[int, int]]:
    """Per entry, the choices that can be reached from a choice of each entry before it.

    `in_order`: how stretches and times must follow each other, `le` forwards and `ge` backwards.
    """
    linked: list[dict[int, int]] = []
    for choice in choices:
        reachable = choice
        if linked:
            reachable = {}
            for number, ns in choice.items():
                for number_before, ns_before in linked[-1].items():
                    if in_order(number_before, number) and in_order(ns_before, ns):
                        reachable[number] = ns
        linked.append(reachable)
    return linked
