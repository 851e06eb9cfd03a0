"""Unix times of a run on the steady scale of the monotonic clock, also where the clock was set meanwhile.

The sampler reads both clocks in every row. Their difference changes slowly while a time service corrects
the clock, and at once when somebody sets it. Events have Unix times only: the readings around one place it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from statistics import median
from typing import NamedTuple

# A time service may run the clock up to 8.3 % faster or slower (chrony's default limit): a tenth of the time
# between two readings, taken as at most 0.1 s, is no step. Nor is a millisecond: clocks are not read at once.
MAX_SLEW = 0.1
MAX_SLEWING_NS = 100_000_000
MIN_STEP_NS = 1_000_000
# A process that reads both clocks on a busy machine may lose its processor between the two.
MAX_APART_NS = 50_000_000


class Reading(NamedTuple):
    """Both clocks at one moment, in nanoseconds."""

    unix_ns: int
    mono_ns: int

    @property
    def offset_ns(self) -> int:
        """What the Unix clock is ahead of the monotonic one."""
        return self.unix_ns - self.mono_ns


class Moment(NamedTuple):
    """What both clocks showed somebody else; `mono_ns` is None where it was not read."""

    unix_ns: int
    mono_ns: int | None = None


class Step(NamedTuple):
    """The clock was set by `by_ns` between two monotonic moments."""

    after_ns: int
    before_ns: int
    by_ns: int


class ClockError(ValueError):
    """Unix times that cannot be placed; `index` is that of the first of them, and the text says why.

    `was_set`: the clock was set, and more than one answer fits.
    """

    def __init__(self, what: str, index: int, was_set: bool) -> None:
        super().__init__(what)
        self.index, self.was_set = index, was_set


@dataclass(frozen=True)
class _Stretch:
    """Readings between two steps; a moment between `first_ns` and `last_ns` (monotonic) may belong to it."""

    readings: tuple[Reading, ...]
    first_ns: int
    last_ns: int

    @cached_property
    def _unix_ns(self) -> list[int]:
        return [reading.unix_ns for reading in self.readings]

    def mono_ns(self, unix_ns: int) -> int:
        """The monotonic moment at which the clock showed `unix_ns`, by the readings around it."""
        after = bisect_left(self._unix_ns, unix_ns)
        if after == 0:
            return unix_ns - self.readings[0].offset_ns
        earlier = self.readings[after - 1]
        if after == len(self.readings):
            return unix_ns - earlier.offset_ns
        later = self.readings[after]
        gap_ns = later.unix_ns - earlier.unix_ns
        # Two readings within a fraction of a millisecond may show the same time, or one a little earlier.
        share = (unix_ns - earlier.unix_ns) / gap_ns if gap_ns > 0 else 0.0
        return unix_ns - earlier.offset_ns - round(share * (later.offset_ns - earlier.offset_ns))


class Clock:
    """Both clocks of a run, from readings in any order; the run lasts from the first to the last of them."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        """ValueError without readings."""
        ordered = sorted(readings, key=attrgetter("mono_ns"))
        self._readings = _without_outliers(ordered)
        self._first, self._last = ordered[0], ordered[-1]
        self.steps = _steps(self._readings)
        """Where the clock was set, in order."""

    @property
    def anchor_ns(self) -> int:
        """Steady less monotonic time: steady time is Unix time as the clock stood at the first reading."""
        return self._first.offset_ns

    @property
    def set_by_s(self) -> float:
        """Seconds by which the clock was set during the run, in all and without signs; 0 where it was not."""
        return sum(abs(step.by_ns) for step in self.steps) / 1e9

    def steady_ns(self, mono_ns: int) -> int:
        """A monotonic moment on the steady scale."""
        return mono_ns + self.anchor_ns

    def place(self, moments: Sequence[Moment]) -> list[int]:
        """Steady times of moments that are known to follow each other.

        Where the clock was set, each moment lies before or after that: the one answer is taken in which all
        lie within the life of the run and none before the one above it. Raises ClockError where there is
        none, or more than one.
        """
        choices = [self._choices(moment) for moment in moments]
        reached = _reached(choices)
        for index, choice in enumerate(choices):
            if not choice:
                raise ClockError(self._outside(moments[index].unix_ns), index, bool(self.steps))
            if not reached[index]:
                raise ClockError("it is before the event above it", index, bool(self.steps))
        fitting = _fitting(choices)
        for index, fits_ns in enumerate(fitting):
            if max(fits_ns) - min(fits_ns) > MIN_STEP_NS:
                what = "the clock was set so near to it that its time cannot be told"
                raise ClockError(what, index, True)
        return [self.steady_ns(min(fits_ns)) for fits_ns in fitting]

    def _choices(self, moment: Moment) -> dict[int, int]:
        """Stretch (by its number) -> monotonic time, for each in which the clock showed the moment's time."""
        choices = {}
        for number, stretch in enumerate(self._stretches):
            mono_ns = stretch.mono_ns(moment.unix_ns)
            if stretch.first_ns <= mono_ns <= stretch.last_ns:
                choices[number] = mono_ns
        if len(choices) < 2 or moment.mono_ns is None:
            return choices
        told_ns = moment.mono_ns
        near = {number: ns for number, ns in choices.items() if abs(ns - told_ns) < MAX_APART_NS}
        return near or choices

    @cached_property
    def _stretches(self) -> list[_Stretch]:
        stretches: list[_Stretch] = []
        rest, first_ns = self._readings, self._first.mono_ns - MIN_STEP_NS
        for step in self.steps:
            count = sum(reading.mono_ns <= step.after_ns for reading in rest)
            stretches.append(_Stretch(tuple(rest[:count]), first_ns, step.before_ns))
            rest, first_ns = rest[count:], step.after_ns
        stretches.append(_Stretch(tuple(rest), first_ns, self._last.mono_ns + MIN_STEP_NS))
        return stretches

    def _outside(self, unix_ns: int) -> str:
        shown_ns = [reading.unix_ns for reading in self._readings]
        early_ns = min(shown_ns) - unix_ns
        late_ns = unix_ns - max(shown_ns)
        if early_ns > 0:
            return f"it is {early_ns / 1e9:.6g} s before the process was started"
        if late_ns > 0:
            return f"it is {late_ns / 1e9:.6g} s after the process had ended"
        return "the clock of the machine never showed its time during the run"


def _without_outliers(ordered: list[Reading]) -> list[Reading]:
    """A single reading off its neighbours was interrupted between the two clocks: it takes their offset."""
    if not ordered:
        raise ValueError("no reading of the clocks")
    offsets_ns = [unix_ns - mono_ns for unix_ns, mono_ns in ordered]
    smooth = list(ordered)
    for index in range(1, len(ordered) - 1):
        near = offsets_ns[index - 1 : index + 2]
        # Smaller ones make no step.
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
            steps.append(Step(earlier.mono_ns, later.mono_ns, by_ns))
    return steps


def _fitting(choices: Sequence[dict[int, int]]) -> list[list[int]]:
    """The moments of each entry that belong to an answer for all: neither stretches nor moments go back."""
    forward = _reached(choices)
    backward = _reached(
        [{-number: -ns for number, ns in choice.items()} for choice in reversed(choices)]
    )
    fitting = []
    for choice, from_start, from_end in zip(choices, forward, reversed(backward), strict=True):
        fits = [ns for number, ns in choice.items() if number in from_start and -number in from_end]
        fitting.append(fits)
    return fitting


def _reached(choices: Sequence[dict[int, int]]) -> list[set[int]]:
    """For each entry the stretches that can be reached from the first entry without going back."""
    reached: list[set[int]] = []
    before: dict[int, int] = {}
    for index, choice in enumerate(choices):
        possible = {
            number: ns
            for number, ns in choice.items()
            if index == 0
            or any(n <= number and earlier_ns <= ns for n, earlier_ns in before.items())
        }
        reached.append(set(possible))
        before = possible
    return reached
