"""What the kernel reported about the engine's threads in one window."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from evenground.explain.kernel import HELD, Recording, Wait
from evenground.explain.stacks import Thread
from evenground.explain.windows import Window


@dataclass(frozen=True)
class Looks:
    """The recorder's looks in a window, by number, and what each thread did at each."""

    ticks_ns: Mapping[int, int]
    """Number of a look -> monotonic time, in order."""
    waits: Mapping[Thread, Mapping[int, Wait]]

    @cached_property
    def held(self) -> set[int]:
        """The looks at which py-spy held the engine, so that nothing is known."""
        held: set[int] = set()
        for by_tick in self.waits.values():
            held.update(tick for tick, wait in by_tick.items() if wait.state == HELD)
        return held

    @property
    def n_free(self) -> int:
        """The number of looks at which py-spy did not hold the engine."""
        return len(self.ticks_ns) - len(self.held)

    @property
    def held_share(self) -> float:
        """The share of looks at which py-spy held the engine; NaN without any look."""
        return len(self.held) / len(self.ticks_ns) if self.ticks_ns else math.nan

    @cached_property
    def seen(self) -> dict[Wait, dict[Thread, set[int]]]:
        """Wait without the numbers of its thread -> thread -> the looks at which it was so."""
        seen: dict[Wait, dict[Thread, set[int]]] = defaultdict(lambda: defaultdict(set))
        for thread, by_tick in self.waits.items():
            for tick, wait in by_tick.items():
                if tick not in self.held:
                    seen[_kind(wait)][thread].add(tick)
        return seen

    @cached_property
    def processes(self) -> dict[Thread, str]:
        """Thread -> program of its process."""
        return {thread: wait.process for wait, threads in self.seen.items() for thread in threads}


def look_into(recording: Recording, window: Window) -> Looks:
    """Return the looks between the edges of a window."""
    first = bisect_left(recording.ticks_ns, window.start_ns)
    end = bisect_left(recording.ticks_ns, window.end_ns)
    waits: dict[Thread, dict[int, Wait]] = defaultdict(dict)
    for stretch in recording.stretches:
        inside = range(max(first, stretch.first), min(end, stretch.last + 1))
        if inside:
            waits[stretch.wait.pid, stretch.wait.tid] |= dict.fromkeys(inside, stretch.wait)
    ticks_ns = {tick: recording.ticks_ns[tick] for tick in range(first, end)}
    return Looks(ticks_ns=ticks_ns, waits=waits)


def _kind(wait: Wait) -> Wait:
    """Return the wait without the numbers of its thread, so that equal threads are one row."""
    thread = wait.thread
    # Other threads often inherit the name of a process's first one, which keeps its own row.
    if wait.tid == wait.pid:
        thread += " (main)"
    return replace(wait, pid=0, tid=0, thread=thread)
