"""What the kernel said of the engine's threads in one window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from evenground.explain.kernel import HELD, RUNNING, Recording, Wait
from evenground.explain.syscalls import RESTARTED
from evenground.explain.windows import Window

Thread = tuple[int, int]
"""Numbers of a process and of one of its threads."""


@dataclass(frozen=True)
class Looks:
    """The looks of the kernel's recorder in a window, by their number, and what each thread did at each."""

    ticks_ns: Mapping[int, int]
    """Number of a look -> monotonic time, in order."""
    waits: Mapping[Thread, Mapping[int, Wait]]

    @cached_property
    def held(self) -> set[int]:
        """Those at which py-spy held the engine: nothing is known of it then."""
        return {
            tick
            for by_tick in self.waits.values()
            for tick, wait in by_tick.items()
            if wait.state == HELD
        }

    @property
    def asked(self) -> int:
        """How many they are without those."""
        return len(self.ticks_ns) - len(self.held)

    @property
    def held_share(self) -> float:
        """In what part of the window py-spy held the engine; NaN where nothing is known."""
        return len(self.held) / len(self.ticks_ns) if self.ticks_ns else float("nan")

    @cached_property
    def seen(self) -> dict[Wait, dict[Thread, set[int]]]:
        """Wait, without the numbers of its thread -> thread -> the looks at which it was seen so."""
        found: dict[Wait, dict[Thread, set[int]]] = defaultdict(lambda: defaultdict(set))
        for thread, by_tick in self.waits.items():
            for tick, wait in by_tick.items():
                if tick not in self.held:
                    found[_kind(wait)][thread].add(tick)
        return found

    @cached_property
    def processes(self) -> dict[Thread, str]:
        """Thread -> program of its process."""
        return {thread: wait.process for wait, threads in self.seen.items() for thread in threads}

    def in_one_wait_since(self, thread: Thread, until_ns: int) -> int:
        """Since when a thread was seen in the wait that it was in at `until_ns`; that itself where it ran."""
        since_ns, call = until_ns, RESTARTED
        by_tick = self.waits.get(thread, {})
        for tick in reversed([tick for tick, t_ns in self.ticks_ns.items() if t_ns < until_ns]):
            wait = by_tick.get(tick)
            if wait is None or wait.state == RUNNING:
                break
            if tick in self.held:
                continue
            if RESTARTED not in (call, wait.call) and call != wait.call:
                break
            since_ns, call = self.ticks_ns[tick], wait.call if call == RESTARTED else call
        return since_ns


def look_into(recording: Recording, window: Window) -> Looks:
    """The looks between the edges of a window."""
    first, end = np.searchsorted(recording.ticks_ns, [window.start_ns, window.end_ns]).tolist()
    waits: dict[Thread, dict[int, Wait]] = defaultdict(dict)
    for stretch in recording.stretches:
        inside = range(max(first, stretch.first), min(end, stretch.last + 1))
        if inside:
            waits[stretch.wait.pid, stretch.wait.tid] |= dict.fromkeys(inside, stretch.wait)
    return Looks({tick: recording.ticks_ns[tick] for tick in range(first, end)}, waits)


def _kind(wait: Wait) -> Wait:
    """The wait without the numbers of its thread: threads of one name that do the same are one row.

    Only the first thread of a process keeps a row of its own; others often inherit its name.
    """
    thread = f"{wait.thread} (main)" if wait.tid == wait.pid else wait.thread
    return replace(wait, pid=0, tid=0, thread=thread)
