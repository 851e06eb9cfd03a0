"""The GPU columns through NVML, read in a thread that may hang in the driver without harm."""

from __future__ import annotations

import ctypes
import importlib
import site
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from evenground.sidecar.columns import GPU_COLUMNS, GPU_SLOW_PERIOD_S
from evenground.sidecar.gpu_baseline import WINDOW_S, baseline, measure
from evenground.sidecar.gpu_card import CardRow, UtilSample
from evenground.sidecar.gpu_counted import NoSuchCard
from evenground.sidecar.gpu_latest import Latest
from evenground.sidecar.gpu_reader import Reader, drain
from evenground.sidecar.nvml import Driver, Reading, Reason

LIBRARY = "libnvidia-ml.so.1"
LEAD_NS = 20_000_000
MIN_PERIOD_NS = 50_000_000
MAX_PERIOD_NS = 1_000_000_000
LONG_CALL_NS = 25_000_000
"""A PCIe call, which counts for 20 ms, and a little more."""
BASELINE_AT_MOST_S = WINDOW_S + 2.0


def has_library(library: str = LIBRARY) -> bool:
    """Whether there is a driver's library that can be asked: without one nobody sees a card."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def load_nvml() -> Any:
    """The module `pynvml`; text with the reason where the driver's library or the module is missing.

    Without the library nothing is imported: the import costs 0.1 s of CPU that a machine without a
    GPU need not pay.
    """
    if not has_library():
        return f"no NVIDIA driver library on this machine ({LIBRARY})"
    if sys.flags.no_site:
        site.main()  # as `sidecar_command` starts it: installed packages are looked for only where needed
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return "the Python package nvidia-ml-py is not installed beside the sidecar"


class Gpu:
    """What the cards do, kept up by a thread of its own; no method waits for the driver."""

    def __init__(
        self, nvml: Any, period_ns: int, uuid: str | None = None, baseline: bool = False
    ) -> None:
        """`nvml` is the module `pynvml` (or one like it), `period_ns` the time between two rows.

        `uuid` is that of the card or MIG instance which alone counts; None: all cards. With `baseline` the
        thread watches them first, until rows begin.
        """
        self._driver = Driver(nvml)
        self._period_ns = reading_period_ns(period_ns)
        self._lead_ns = min(LEAD_NS, self._period_ns // 4)
        self._latest = Latest(self._driver, self._period_ns)
        self._reader = Reader(self._driver, self._latest, uuid)
        self._chosen, self._wants_baseline = uuid is not None, baseline
        self._stop = threading.Event()
        self._rows_begun = threading.Event()
        self._ready = threading.Event()
        self._opened_ns = 0
        self._dead: Reason | None = None
        self._baseline: dict[str, Any] | None = None
        self.refused: NoSuchCard | None = None
        """Set where the card that was asked for is not there."""
        self._first_ns = self._began_us = 0
        self._slow: Iterator[bool] = iter(())
        self._slow_due_ns = 0
        self.tree_pids: frozenset[int] = frozenset()
        """The pids of the measured tree; whoever knows them keeps this up."""

    @property
    def cards(self) -> list[dict[str, Any]]:
        """What the header says of each card, as far as it is known yet."""
        return [card.about() for card in self._reader.cards]

    @property
    def card(self) -> str | None:
        """The one that was chosen, as samples.cards.csv calls it; None where all count."""
        counted = self._reader.counted
        return counted[0].text if self._chosen and counted else None

    def open(self) -> None:
        """Start the thread: it opens the driver and begins to read. RuntimeError where there is no thread."""
        self._opened_ns = self._latest.began_ns = time.monotonic_ns()
        self._began_us = time.time_ns() // 1000
        threading.Thread(target=self._run, name="sidecar-gpu", daemon=True).start()

    def start(self, first_row_ns: int) -> None:
        """Read a little before every row from now on; `first_row_ns` is the monotonic time of a row."""
        if not self._opened_ns:
            self.open()
        self._first_ns = self._latest.began_ns = first_row_ns
        self._began_us = time.time_ns() // 1000
        self._rows_begun.set()

    def is_awaited(self, patience_s: float) -> bool:
        """Whether it is worth waiting longer, at most `patience_s` since `open`, before rows begin.

        Where the driver has answered by then, the watching is not cut off.
        """
        if self._ready.is_set():
            return False
        more_s = BASELINE_AT_MOST_S if self._reader.counted and self._wants_baseline else 0.0
        return time.monotonic_ns() - self._opened_ns < (patience_s + more_s) * 1e9

    def baseline(self) -> dict[str, Any]:
        """What the cards held and drew before rows began, or the reasons why that is not known."""
        if self._baseline:
            return self._baseline
        now_ns = time.monotonic_ns()
        reason = self._dead or Reason(
            f"the NVIDIA driver did not answer {self._driver.calling} in "
            f"{(now_ns - self._opened_ns) / 1e9:.1f} s before the start"
        )
        return baseline(now_ns, 0.0, reason, reason, None)

    def read(self, now_ns: int) -> dict[str, Reading]:
        """The values of GPU_COLUMNS, in their order, at monotonic time `now_ns`, or reasons."""
        if self._dead is not None:
            return dict.fromkeys(GPU_COLUMNS, self._dead)
        return {column: self._latest.take(column, now_ns, self.tree_pids) for column in GPU_COLUMNS}

    def take_card_rows(self) -> list[CardRow]:
        """Rows in the order of CARD_COLUMNS since this was asked last; None is a missing value."""
        return drain(self._reader.rows)

    def take_util_samples(self) -> list[UtilSample]:
        """Rows in the order of UTIL_SAMPLE_COLUMNS since this was asked last."""
        return drain(self._reader.util_samples)

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for, it may hang in the driver."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._dead = self._reader.open()
            if self._dead is None:
                if self._wants_baseline:
                    self._baseline = measure(self._reader.counted, self._rows_begun)
                self._ready.set()
                self._loop()
                self._driver.call("nvmlShutdown")
        except NoSuchCard as error:
            self.refused, self._dead = error, Reason(error)
        except Exception as error:
            # A thread that ended in silence would look like a driver that hangs.
            self._dead = self._driver.why(error)
        finally:
            self._ready.set()

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._reader.read_every_time()
            due_ns = self._next_ns()
            self._read_slowly_until(due_ns)
            self._stop.wait(max(0, due_ns - time.monotonic_ns()) / 1e9)

    def _read_slowly_until(self, due_ns: int) -> None:
        """Go on with the slow values as far as the time until `due_ns` goes, at least by one step."""
        while (
            not self._stop.is_set()
            and self._slow_step()
            and time.monotonic_ns() + LONG_CALL_NS < due_ns
        ):
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
        self._slow = self._reader.slow_steps(self._began_us)
        return next(self._slow, False)

    def _next_ns(self) -> int:
        """Shortly before the next row, so that the row finds a fresh value."""
        now_ns = time.monotonic_ns()
        return (
            now_ns + self._period_ns - (now_ns - self._first_ns + self._lead_ns) % self._period_ns
        )


def reading_period_ns(row_period_ns: int) -> int:
    """Time between two readings: that of the rows, divided or multiplied into 50 ms to 1 s."""
    if row_period_ns > MAX_PERIOD_NS:
        return row_period_ns // -(-row_period_ns // MAX_PERIOD_NS)
    return row_period_ns * -(-MIN_PERIOD_NS // row_period_ns)
