"""The GPU columns through NVML, read in a thread that may hang in the driver without harm."""

from __future__ import annotations

import ctypes
import functools
import importlib
import operator
import site
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from evenground.sidecar.columns import GPU_COLUMNS, GPU_SLOW_PERIOD_S
from evenground.sidecar.gpu_card import Card, CardRow, UtilSample
from evenground.sidecar.gpu_latest import Latest, stale_after_ns
from evenground.sidecar.gpu_processes import listed
from evenground.sidecar.nvml import Driver, Reading, Reason, Value

LIBRARY: Final = "libnvidia-ml.so.1"
LEAD_NS: Final = 20_000_000
SHORTEST_PERIOD_NS: Final = 50_000_000
LONGEST_PERIOD_NS: Final = 1_000_000_000
LONG_CALL_NS: Final = 25_000_000
"""A PCIe call, which counts for 20 ms, and a little more."""
KEPT_ROWS: Final = 20_000
Fold = Callable[[list[Any]], float]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _or(masks: list[int]) -> int:
    return functools.reduce(operator.or_, masks)


EVERY_TIME: Final[dict[str, tuple[str, Fold]]] = {
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


def load_nvml() -> Any:
    """The module `pynvml`; text with the reason where the driver's library or the module is missing.

    Without the library nothing is imported: the import costs 0.1 s of CPU that a machine without a
    GPU need not pay.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no NVIDIA driver library on this machine ({LIBRARY})"
    if sys.flags.no_site:
        site.main()  # as `sidecar_command` starts it: installed packages are looked for only where needed
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return "the Python package nvidia-ml-py is not installed beside the sidecar"


class Gpu:
    """What the cards do, kept up by a thread of its own; no method waits for the driver."""

    def __init__(self, nvml: Any, period_ns: int) -> None:
        """`nvml` is the module `pynvml` (or one like it), `period_ns` the time between two rows."""
        self._driver = Driver(nvml)
        self._period_ns = reading_period_ns(period_ns)
        self._lead_ns = min(LEAD_NS, self._period_ns // 4)
        self._latest = Latest(self._driver, self._period_ns)
        self._stop = threading.Event()
        self._dead: Reason | None = None
        self._first_ns = self._began_us = 0
        self._cards: list[Card] = []
        self._rows: deque[CardRow] = deque(maxlen=KEPT_ROWS)
        self._util_samples: deque[UtilSample] = deque(maxlen=KEPT_ROWS)
        self._slow: Iterator[bool] = iter(())
        self._slow_due_ns = 0
        self.tree_pids: frozenset[int] = frozenset()
        """The pids of the measured tree; whoever knows them keeps this up."""

    @property
    def cards(self) -> list[dict[str, Any]]:
        """What the header says of each card, as far as it is known yet."""
        return [card.about() for card in self._cards]

    def start(self, first_row_ns: int) -> None:
        """Begin reading a little before every row; `first_row_ns` is the monotonic time of a row."""
        self._first_ns = self._latest.began_ns = first_row_ns
        self._began_us = time.time_ns() // 1000
        threading.Thread(target=self._run, name="sidecar-gpu", daemon=True).start()

    def read(self, now_ns: int) -> dict[str, Reading]:
        """The values of GPU_COLUMNS, in their order, at monotonic time `now_ns`, or reasons."""
        if self._dead is not None:
            return dict.fromkeys(GPU_COLUMNS, self._dead)
        return {column: self._latest.take(column, now_ns, self.tree_pids) for column in GPU_COLUMNS}

    def take_card_rows(self) -> list[CardRow]:
        """Rows in the order of CARD_COLUMNS since this was asked last; None is a missing value."""
        return _drain(self._rows)

    def take_util_samples(self) -> list[UtilSample]:
        """Rows in the order of UTIL_SAMPLE_COLUMNS since this was asked last."""
        return _drain(self._util_samples)

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for, it may hang in the driver."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._dead = self._open()
            if self._dead is None:
                self._loop()
                self._driver.call("nvmlShutdown")
        except Exception as error:
            # A thread that ended in silence would look like a driver that hangs.
            self._dead = Reason(f"NVML: {self._driver.calling}: {error}")

    def _open(self) -> Reason | None:
        """Find the cards; returns the reason why there is none."""
        driver, forbidden = self._driver, self._driver.nvml.NVMLError_NoPermission
        driver.call("nvmlInit")
        cards = []
        for index in range(driver.call("nvmlDeviceGetCount")):
            try:
                handle = driver.call("nvmlDeviceGetHandleByIndex", index)
            except forbidden:  # somebody else's, as when Slurm deals out the cards
                continue
            except driver.nvml.NVMLError as error:
                handle = Reason(f"NVML: {driver.calling}: {error}")
            cards.append(Card(driver, index, handle))
        self._cards = cards
        return None if cards else Reason("the NVIDIA driver knows no card on this machine")

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._read_cards()
            due_ns = self._next_ns()
            self._read_slowly_until(due_ns)
            self._stop.wait(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def _read_cards(self) -> None:
        at_ns = time.monotonic_ns()
        readings = [self._read_card(card) for card in self._cards]
        for column, (of_card, fold) in EVERY_TIME.items():
            self._latest.put(
                column, at_ns, self._over_cards([reading[of_card] for reading in readings], fold)
            )

    def _read_card(self, card: Card) -> dict[str, Reading]:
        unix_ns, began_ns = time.time_ns(), time.monotonic_ns()
        values = card.read()
        rows = card.rows(unix_ns, values)
        # Values that a hanging call drew apart are no row.
        if time.monotonic_ns() - began_ns <= stale_after_ns(self._period_ns):
            self._rows.extend(rows)
        return values

    def _over_cards(self, readings: list[Reading], fold: Fold) -> Reading:
        """One value of all cards, or the reason of the first card that has none."""
        return self._lacking(readings) or fold(readings)

    def _lacking(self, readings: Sequence[object]) -> Reason | None:
        for card, reading in zip(self._cards, readings, strict=True):
            if isinstance(reading, Reason):
                return Reason(f"{reading} (card {card.text})") if len(self._cards) > 1 else reading
        return None

    def _read_slowly_until(self, due_ns: int) -> None:
        """Go on with the slow values as far as the time until `due_ns` goes, at least by one step."""
        while not self._stop.is_set() and self._slow_step() and time.monotonic_ns() + LONG_CALL_NS < due_ns:
            pass

    def _slow_step(self) -> bool:
        """One step; False when there is nothing to do before the next second."""
        if next(self._slow, False):
            return True
        now_ns = time.monotonic_ns()
        if now_ns < self._slow_due_ns:
            return False
        # The tolerance keeps a thread that wakes a little early or late to the same row of each second.
        self._slow_due_ns = now_ns + int(GPU_SLOW_PERIOD_S * 1e9) - self._lead_ns
        self._slow = self._slow_steps()
        return next(self._slow, False)

    def _slow_steps(self) -> Iterator[bool]:
        """Read every slow value once, with a yield before each card: the caller may have it wait there.

        The PCIe calls come last: they block for 20 ms each.
        """
        yield from self._slow_column("gpu_temp_c", Card.temp_c, max)
        yield from self._slow_processes()
        for card in self._cards:
            yield True
            self._util_samples.extend(card.util_samples(self._began_us))
        yield from self._slow_column("pcie_tx_bytes_per_s", lambda card: card.pcie_bytes_per_s("TX"), sum)
        yield from self._slow_column("pcie_rx_bytes_per_s", lambda card: card.pcie_bytes_per_s("RX"), sum)

    def _slow_column(self, column: str, ask: Callable[[Card], Reading], fold: Fold) -> Iterator[bool]:
        at_ns, readings = time.monotonic_ns(), []
        for card in self._cards:
            yield True
            readings.append(ask(card))
        self._latest.put(column, at_ns, self._over_cards(readings, fold))

    def _slow_processes(self) -> Iterator[bool]:
        at_ns, of_cards = time.monotonic_ns(), []
        for card in self._cards:
            yield True
            of_cards.append(card.processes())
        lacking = self._lacking(of_cards)
        found = listed(entries for lists in of_cards if not isinstance(lists, Reason) for entries in lists)
        self._latest.put("vram_tree_bytes", at_ns, lacking or found.tree_bytes)
        self._latest.put("gpu_foreign_processes", at_ns, lacking or found.foreign)

    def _next_ns(self) -> int:
        """Shortly before the next row, so that the row finds a fresh value."""
        now_ns = time.monotonic_ns()
        return now_ns + self._period_ns - (now_ns - self._first_ns + self._lead_ns) % self._period_ns


def reading_period_ns(row_period_ns: int) -> int:
    """Time between two readings: that of the rows, divided or multiplied into 50 ms to 1 s."""
    if row_period_ns > LONGEST_PERIOD_NS:
        return row_period_ns // -(-row_period_ns // LONGEST_PERIOD_NS)
    return row_period_ns * -(-SHORTEST_PERIOD_NS // row_period_ns)


def _drain(kept: deque[Value]) -> list[Value]:
    """Take out what is there; the other thread may go on adding."""
    return [kept.popleft() for _ in range(len(kept))]
