"""Finds the cards and reads them, a step at a time, for rows and files."""

from __future__ import annotations

import functools
import operator
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from evenground.sidecar.gpu_baseline import missing_reason
from evenground.sidecar.gpu_card import Card, Counted, Values
from evenground.sidecar.gpu_latest import Latest, stale_after_ns
from evenground.sidecar.gpu_processes import listed
from evenground.sidecar.nvml import Driver, Reading, Reason
from evenground.sidecar.output import Cell

NO_CARD = Reason("the NVIDIA driver gives this user no card")
KEPT_ROWS = 20_000
Fold = Callable[[list[Any]], float]


class NoSuchCard(Exception):
    """The card or MIG instance of `--gpu` does not exist; the text says which do."""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _or(masks: list[int]) -> int:
    return functools.reduce(operator.or_, masks)


# Column, the column of each card that it is made of, and how the cards' values become one.
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


class Reader:
    """The cards of the machine, and those of them that count."""

    def __init__(self, driver: Driver, latest: Latest, uuid: str | None) -> None:
        """`uuid` selects the card or MIG instance that alone counts; None: all cards."""
        self._driver = driver
        self._latest = latest
        self._uuid = uuid
        self.cards: list[Card] = []
        self.counted: list[Counted] = []
        # Rows of samples.cards.csv and of samples.util.csv.
        self.rows: deque[list[Cell]] = deque(maxlen=KEPT_ROWS)
        self.util_samples: deque[list[Cell]] = deque(maxlen=KEPT_ROWS)

    def open(self) -> Reason | None:
        """Find the cards; the reason if none counts. Raises NVMLError, NoSuchCard."""
        self.cards = find_cards(self._driver)
        counted = choose(self.cards, self._uuid)
        if isinstance(counted, Reason):
            return counted
        self.counted = counted
        return None if counted else NO_CARD

    def read_every_time(self) -> None:
        """Read the values of every row, of the cards that count."""
        at_ns = time.monotonic_ns()
        values = [device.values(self._read_card(device.card)) for device in self.counted]
        for column, (of_card, fold) in EVERY_TIME.items():
            self._put(column, at_ns, [of_device[of_card] for of_device in values], fold)
        self._latest.read_ns = at_ns

    def slow_steps(self, began_us: int) -> Iterator[bool]:
        """Read every slow value once, with a yield before each card: the caller may pause there.

        Buffered samples are those since the Unix time `began_us`. Cards that do not count are read
        here only, for their own rows.
        """
        yield from self._slow_temperature()
        yield from self._slow_processes()
        counted = [device.card for device in self.counted]
        for card in self.cards:
            yield True
            self.util_samples.extend(card.util_samples(began_us))
            if card not in counted:
                yield True
                card.temp_c()
                self._read_card(card)

    def _read_card(self, card: Card) -> dict[str, Values]:
        unix_ns = time.time_ns()
        began_ns = time.monotonic_ns()
        values = card.read()
        rows = card.rows(unix_ns, values)
        # Values that a hanging call drew apart are no row.
        if time.monotonic_ns() - began_ns <= stale_after_ns(self._latest.period_ns):
            self.rows.extend(rows)
        return values

    def _put(self, column: str, at_ns: int, readings: list[Reading], fold: Fold) -> None:
        """Make one value of all cards that count, or take the reason of the first without one."""
        reason = missing_reason(self.counted, readings)
        self._latest.put(column, at_ns, reason or fold(readings))

    def _slow_temperature(self) -> Iterator[bool]:
        at_ns = time.monotonic_ns()
        readings = []
        for device in self.counted:
            yield True
            readings.append(device.card.temp_c())
        self._put("gpu_temp_c", at_ns, readings, max)

    def _slow_processes(self) -> Iterator[bool]:
        at_ns = time.monotonic_ns()
        of_cards = []
        for device in self.counted:
            yield True
            of_cards.append(device.processes())
        lists = listed(
            of_cards,
            no_compute=missing_reason(self.counted, [card.compute for card in of_cards]),
            no_graphics=missing_reason(self.counted, [card.graphics for card in of_cards]),
        )
        self._latest.put("vram_tree_bytes", at_ns, lists.tree_bytes)
        self._latest.put("gpu_foreign_processes", at_ns, lists.foreign)
        self._latest.put("gpu_desktop_processes", at_ns, lists.desktop)
        self._latest.put("gpu_desktop_bytes", at_ns, lists.desktop_bytes)


def find_cards(driver: Driver) -> list[Card]:
    """All cards that this user may open, lost ones included; raises NVMLError without a driver."""
    driver.call("nvmlInit")
    cards = []
    for index in range(driver.card_count()):
        handle: Any
        try:
            handle = driver.call("nvmlDeviceGetHandleByIndex", index)
        except driver.nvml.NVMLError_NoPermission:
            continue  # another user's, e.g. when Slurm deals out the cards
        except driver.nvml.NVMLError as error:
            handle = driver.why(error)
        cards.append(Card(driver, index, handle))
    return cards


def choose(cards: list[Card], uuid: str | None) -> list[Counted] | Reason:
    """The cards that count: the one of that UUID, by default all.

    A reason if one whose UUID is unknown may be it; raises NoSuchCard if none can be.
    """
    devices: list[Counted] = list(cards)
    if uuid is None:
        return devices
    for card in cards:
        devices.extend(card.instances)
    for device in devices:
        if device.facts["uuid"] == uuid:
            return [device]
    for card in cards:
        why = card.hidden_uuid
        if why:
            return Reason(
                f"no card tells the UUID {uuid}, and of card {card.text} not all is known: {why}"
            )
    names = [f"{device.facts['uuid']} ({device.facts['name'] or 'no name'})" for device in devices]
    raise NoSuchCard(f"no card has the UUID {uuid}: here are {', '.join(names) or 'none'}")


def drain(kept: deque[list[Cell]]) -> list[list[Cell]]:
    """Take out what is there; the other thread may go on adding."""
    return [kept.popleft() for _ in range(len(kept))]
