"""Reads the cards, a step at a time, and puts what they say where rows and files take it from."""

from __future__ import annotations

import functools
import operator
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evenground.sidecar.gpu_baseline import lacking
from evenground.sidecar.gpu_card import Card, CardRow, Taken, UtilSample
from evenground.sidecar.gpu_counted import Counted, choose, find_cards
from evenground.sidecar.gpu_latest import Latest, stale_after_ns
from evenground.sidecar.gpu_processes import listed
from evenground.sidecar.nvml import Driver, Reading, Reason, Value

NO_CARD = Reason("the NVIDIA driver gives this user no card")
KEPT_ROWS = 20_000
Fold = Callable[[list[Any]], float]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _or(masks: list[int]) -> int:
    return functools.reduce(operator.or_, masks)


EVERY_TIME: dict[str, tuple[str, Fold]] = {
    "gpu_util_pct": ("util_pct", _mean),
    "vram_used_bytes": ("vram_used_bytes", sum),
    "vram_reserved_bytes": ("vram_reserved_bytes", sum),
    "gpu_power_w": ("power_w", sum),
    "gpu_power_instant_w": ("power_instant_w", sum),
    "gpu_energy_j": ("energy_j", sum),
    "gpu_sm_clock_mhz": ("sm_clock_mhz", _mean),
    "gpu_mem_clock_mhz": ("mem_clock_mhz", _mean),
    "gpu_throttle_reasons": ("throttle_reasons", _or),
}
"""Column, the column of each card that it is made of, and how the cards' values become one."""


class Reader:
    """The cards of the machine, and those of them that count."""

    def __init__(self, driver: Driver, latest: Latest, uuid: str | None) -> None:
        """`uuid` is that of the card or MIG instance which alone counts; None: all cards."""
        self._driver, self._latest, self._uuid = driver, latest, uuid
        self.cards: list[Card] = []
        self.counted: list[Counted] = []
        self.rows: deque[CardRow] = deque(maxlen=KEPT_ROWS)
        self.util_samples: deque[UtilSample] = deque(maxlen=KEPT_ROWS)

    def open(self) -> Reason | None:
        """Find the cards; the reason why none counts. NVMLError without a driver, NoSuchCard."""
        self.cards = find_cards(self._driver)
        counted = choose(self.cards, self._uuid)
        if isinstance(counted, Reason):
            return counted
        self.counted = counted
        return None if counted else NO_CARD

    def read_every_time(self) -> None:
        """The values of every row, of the cards that count."""
        at_ns = time.monotonic_ns()
        readings = [one.values(self._read_card(one.card)) for one in self.counted]
        for column, (of_card, fold) in EVERY_TIME.items():
            self._latest.put(
                column, at_ns, self._folded([reading[of_card] for reading in readings], fold)
            )
        self._latest.read_ns = at_ns

    def slow_steps(self, began_us: int) -> Iterator[bool]:
        """Read every slow value once, with a yield before each card: the caller may have it wait there.

        Buffered samples are those since the Unix time `began_us`. Cards that do not count are read here
        only, for their own rows. The PCIe calls come last: they block for 20 ms each.
        """
        yield from self._slow_column("gpu_temp_c", lambda one: one.card.temp_c(), max)
        yield from self._slow_processes()
        counted = {one.card.text for one in self.counted}
        for card in self.cards:
            yield True
            self.util_samples.extend(card.util_samples(began_us))
            if card.text not in counted:
                yield True
                card.temp_c()
                self._read_card(card)
        yield from self._slow_column(
            "pcie_tx_bytes_per_s", lambda one: one.pcie_bytes_per_s("TX"), sum
        )
        yield from self._slow_column(
            "pcie_rx_bytes_per_s", lambda one: one.pcie_bytes_per_s("RX"), sum
        )

    def _read_card(self, card: Card) -> Taken:
        unix_ns, began_ns = time.time_ns(), time.monotonic_ns()
        taken = card.read()
        rows = card.rows(unix_ns, taken)
        # Values that a hanging call drew apart are no row.
        if time.monotonic_ns() - began_ns <= stale_after_ns(self._latest.period_ns):
            self.rows.extend(rows)
        return taken

    def _folded(self, readings: list[Reading], fold: Fold) -> Reading:
        """One value of all that count, or the reason of the first that has none."""
        return lacking(self.counted, readings) or fold(readings)

    def _slow_column(
        self, column: str, ask: Callable[[Counted], Reading], fold: Fold
    ) -> Iterator[bool]:
        at_ns, readings = time.monotonic_ns(), []
        for one in self.counted:
            yield True
            readings.append(ask(one))
        self._latest.put(column, at_ns, self._folded(readings, fold))

    def _slow_processes(self) -> Iterator[bool]:
        at_ns, of_cards = time.monotonic_ns(), []
        for one in self.counted:
            yield True
            lists = one.processes()
            of_cards.append(lists.because_of(one.text) if len(self.counted) > 1 else lists)
        found = listed(of_cards)
        self._latest.put("vram_tree_bytes", at_ns, found.tree_bytes)
        self._latest.put("gpu_foreign_processes", at_ns, found.foreign)
        self._latest.put("gpu_desktop_processes", at_ns, found.desktop)
        self._latest.put("gpu_desktop_bytes", at_ns, found.desktop_bytes)


def drain(kept: deque[Value]) -> list[Value]:
    """Take out what is there; the other thread may go on adding."""
    return [kept.popleft() for _ in range(len(kept))]
