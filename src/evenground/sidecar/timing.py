"""Sampling deadlines at absolute times, and wake-ups that meet them."""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple

from evenground.sidecar import linux

FIFO_PRIORITY = 2
SLICE_NS = 100_000
MAX_LEAD_NS = 250_000
FIRST_LEAD_NS = 60_000
LEARNT_NS = 3_000
CLOSE_NS = 20_000
TRIES = 4


class Clocks(NamedTuple):
    """CLOCK_REALTIME and CLOCK_MONOTONIC of one moment."""

    unix_ns: int
    mono_ns: int


def both_clocks() -> Clocks:
    """Both clocks now, read again if the process lost its processor between the two."""
    for _ in range(TRIES):
        before_ns = time.monotonic_ns()
        unix_ns = time.time_ns()
        apart_ns = time.monotonic_ns() - before_ns
        if apart_ns < CLOSE_NS:
            break
    return Clocks(unix_ns, before_ns + apart_ns // 2)


class Slots:
    """Slot k is due at `zero_ns + k / rate_hz`, monotonic, in whole nanoseconds: no drift."""

    def __init__(self, zero_ns: int, rate_hz: float) -> None:
        """`rate_hz` above 0; slot 0 is due at `zero_ns`."""
        self.zero_ns = zero_ns
        # The rate as a fraction, hz / per: sums of a rounded period would drift.
        self._hz, self._per = rate_hz.as_integer_ratio()
        self._served = -1

    def deadline_ns(self) -> int:
        """When the slot after the last one served is due."""
        # -(-a // b) rounds up: a deadline is never early.
        return self.zero_ns + -(-(self._served + 1) * 1_000_000_000 * self._per // self._hz)

    def serve(self, now_ns: int) -> int | None:
        """Serve the newest slot that is due; returns how many were skipped, None if none is due."""
        due = (now_ns - self.zero_ns) * self._hz // (self._per * 1_000_000_000)
        if due <= self._served:
            return None
        skipped = due - self._served - 1
        self._served = due
        return skipped


class Alarm:
    """Wakes this thread as early as its wake-ups are usually late, and waits the rest awake.

    An idle processor needs 0.05 to 0.2 ms to wake. The lead follows the lower quartile of what was
    seen: a quarter of the wake-ups wait awake, for some microseconds. It is bounded, so that
    neither a loaded machine's milliseconds are chased nor a fast rate's processor burnt with
    waiting.
    """

    def __init__(self, period_ns: int) -> None:
        self._max_ns = min(MAX_LEAD_NS, period_ns // 20)
        self._lead_ns = min(FIRST_LEAD_NS, self._max_ns)

    def set_for(self, deadline_ns: int) -> int:
        """When to sleep until, so that the deadline is met."""
        return deadline_ns - self._lead_ns

    def woke(self, deadline_ns: int) -> int:
        """Call right after waking; returns the time, which is the deadline's or later."""
        now_ns = time.monotonic_ns()
        late_ns = now_ns - self.set_for(deadline_ns)
        # One step up and three down balance if one wake-up in four is earlier: the lower quartile.
        step_ns = LEARNT_NS if late_ns > self._lead_ns else -3 * LEARNT_NS
        self._lead_ns = max(0, min(self._lead_ns + step_ns, self._max_ns))
        while now_ns < deadline_ns:
            now_ns = time.monotonic_ns()
        return now_ns


def hurry() -> str:
    """Make this thread punctual; returns how: `fifo` (real-time priority), `slice` or `slack`.

    Threads and processes that it starts do not inherit it.
    """
    with contextlib.suppress(OSError):  # gVisor, e.g., does not have it
        linux.prctl(linux.PR_SET_TIMERSLACK, 1)
    try:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(FIFO_PRIORITY))
        return "fifo"
    except OSError:
        pass  # not permitted to this user
    try:
        linux.set_slice(SLICE_NS)
        return "slice"
    except OSError:
        return "slack"
