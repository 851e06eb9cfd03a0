"""The CPU counter against a model of processes that run, fork, end, are waited for and vanish."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenground.sidecar.ledger import Ledger, Usage

TICK = 10


class Model:
    """A tree below root 0; nanoseconds are small integers, and waited-for CPU is cut to ticks of 10."""

    def __init__(self, seed: int, auto_reap: bool) -> None:
        self.random = random.Random(seed)
        self.auto_reap = auto_reap
        self.parent = {0: -1, 1: 0}
        self.own = {0: 0, 1: 0}
        self.waited = {0: 0, 1: 0}
        self.zombies: set[int] = set()
        self.truth = 0
        self.next = 2
        self.known: dict[int, None] = {}
        self.last: dict[tuple[int, int], Usage] = {}

    def living(self) -> list[int]:
        return [pid for pid in self.parent if pid and pid not in self.zombies]

    def step(self) -> None:
        if not self.living():
            return
        pid = self.random.choice(self.living())
        action = self.random.choice(["run", "run", "fork", "end", "wait"])
        if action == "run":
            amount = self.random.randint(1, 40)
            self.own[pid] += amount
            self.truth += amount
        elif action == "fork":
            self.parent[self.next], self.own[self.next], self.waited[self.next] = pid, 0, 0
            self.next += 1
        elif action == "end":
            self.end(pid)
        else:
            self.wait(pid)

    def end(self, pid: int) -> None:
        for child, parent in self.parent.items():
            if parent == pid:
                self.parent[child] = 0
        if self.auto_reap and self.random.random() < 0.3:
            self.remove(pid)
        else:
            self.zombies.add(pid)

    def wait(self, pid: int) -> None:
        for child in [
            c for c, parent in self.parent.items() if parent == pid and c in self.zombies
        ]:
            self.waited[pid] += self.own[child] + self.waited[child]
            self.remove(child)

    def remove(self, pid: int) -> None:
        del self.parent[pid], self.own[pid], self.waited[pid]
        self.zombies.discard(pid)

    def read(self, ledger: Ledger, steps_between: int) -> int:
        """A reading in the sampler's order while the tree goes on changing: root, known, then new ones."""
        self.wait(0)
        reaped, reading = self.waited[0], {}
        for pid in [*self.known, *self.walk()]:
            if pid not in self.own:
                self.known.pop(pid, None)
                continue
            self.known[pid] = None
            reading[(pid, 0)] = Usage(self.own[pid], self.waited[pid] // TICK * TICK)
            for _ in range(steps_between):
                self.step()
        self.last = reading
        return ledger.update(reading, reaped)

    def read_between(self, ledger: Ledger) -> int | None:
        """A cheap reading: what each has waited for is taken from the last one; None when one has gone."""
        if not all(pid in self.own for pid in self.known):
            return None
        reading = {
            (pid, 0): Usage(self.own[pid], self.last[(pid, 0)].waited_ns) for pid in self.known
        }
        return ledger.update(reading, ledger.reaped_ns)

    def walk(self) -> Iterator[int]:
        """Processes not yet known, parents first, listed while the tree goes on changing."""
        queue = [0]
        for parent in queue:
            children = [c for c, p in self.parent.items() if p == parent and c not in queue]
            queue += children
            yield from [c for c in children if c not in self.known]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30), st.integers(0, 2), st.booleans())
def test_the_counter_never_falls_and_never_exceeds_the_truth(
    seed: int, steps: int, steps_between: int, auto_reap: bool
) -> None:
    model, ledger, before = Model(seed, auto_reap), Ledger(), 0
    for _ in range(25):
        for _ in range(steps):
            model.step()
        total = model.read(ledger, steps_between)
        assert before <= total <= model.truth
        before = total


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 8), st.booleans())
def test_cheap_readings_between_births_count_nothing_twice(
    seed: int, steps: int, auto_reap: bool
) -> None:
    model, ledger, before, born = Model(seed, auto_reap), Ledger(), 0, 0
    for _ in range(60):
        for _ in range(steps):
            model.step()
        total = model.read_between(ledger) if model.next == born else None
        born = model.next
        total = model.read(ledger, 0) if total is None else total
        assert before <= total <= model.truth
        before = total


@pytest.mark.parametrize("bits", [6, 9])
def test_a_counter_that_wraps_around_never_makes_the_total_fall(bits: int) -> None:
    ledger, before, step = Ledger(), 0, 7
    for used in range(0, 2 ** (bits + 1), step):
        total = ledger.update({(1, 0): Usage(used % 2**bits, used % 2 ** (bits - 1))}, 0)
        assert total >= before
        before = total
    assert before >= 2**bits - step


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 30))
def test_at_rest_only_cut_ticks_are_missing(seed: int, steps: int) -> None:
    model, ledger = Model(seed, auto_reap=False), Ledger()
    for _ in range(15):
        for _ in range(steps):
            model.step()
        total = model.read(ledger, 0)
        assert model.truth - total < TICK * len(model.parent)


def test_children_that_nobody_waits_for_stay_counted() -> None:
    ledger = Ledger()
    ledger.update({(1, 0): Usage(5, 0), (2, 0): Usage(100, 0)}, 0)
    assert ledger.update({(1, 0): Usage(7, 0)}, 0) == 107
    assert ledger.update({(1, 0): Usage(9, 0)}, 0) == 109


def test_a_child_missed_between_two_readings_is_not_counted_twice_when_its_parent_shows_it() -> (
    None
):
    ledger = Ledger()
    ledger.update({(1, 0): Usage(5, 0), (2, 0): Usage(100, 0)}, 0)
    assert ledger.update({(1, 0): Usage(5, 0)}, 0) == 105
    assert ledger.update({(1, 0): Usage(5, 100)}, 0) == 105


@pytest.mark.parametrize("start", [0, 1])
def test_a_new_process_with_an_old_pid_is_another_one(start: int) -> None:
    ledger = Ledger()
    ledger.update({(2, 0): Usage(100, 0)}, 0)
    total = ledger.update({(2, start): Usage(120, 0)}, 0)
    assert total == (120 if start == 0 else 220)
