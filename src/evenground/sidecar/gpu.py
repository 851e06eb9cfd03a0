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
from evenground.sidecar.gpu_latest import Latest
from evenground.sidecar.gpu_reader import NoSuchCard, Reader, drain
from evenground.sidecar.nvml import Driver, Reading, Reason
from evenground.sidecar.output import Cell

LIBRARY = "libnvidia-ml.so.1"
LEAD_NS = 20_000_000
MIN_PERIOD_NS = 50_000_000
MAX_PERIOD_NS = 1_000_000_000
# No slow value is read so shortly before the values of a row are due: a busy driver takes its time.
MARGIN_NS = 25_000_000
MAX_BASELINE_S = WINDOW_S + 2.0


def has_library(library: str = LIBRARY) -> bool:
    """Whether the driver's library is installed; without it no card is usable."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def load_nvml() -> Any:
    """The module `pynvml`; text with the reason if the driver's library or it is missing."""
    # Without the library nothing is imported: that would cost 0.1 s of CPU on a machine without a
    # GPU.
    if not has_library():
        return f"no NVIDIA driver library on this machine ({LIBRARY})"
    # `sidecar_command` starts Python without installed packages; only here are they needed.
    if sys.flags.no_site:
        site.main()
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return "the Python package nvidia-ml-py is not installed beside the sidecar"


class Gpu:
    """The cards' values, kept current by a thread; no method waits for the driver."""

    def __init__(
        self, nvml: Any, period_ns: int, uuid: str | None = None, baseline: bool = False
    ) -> None:
        """`nvml` is the module `pynvml` (or one like it), `period_ns` the time between two rows.

        `uuid` selects the card or MIG instance that alone counts; None: all cards. With `baseline`
        the thread watches them first, until rows begin.
        """
        self._driver = Driver(nvml)
        self._period_ns = reading_period_ns(period_ns)
        self._lead_ns = min(LEAD_NS, self._period_ns // 4)
        self._latest = Latest(self._driver, self._period_ns)
        self._reader = Reader(self._driver, self._latest, uuid)
        self._uuid = uuid
        self._wants_baseline = baseline
        self._stop = threading.Event()
        self._rows_begun = threading.Event()
        self._ready = threading.Event()
        self._opened_ns = 0
        self._first_ns = 0
        self._began_us = 0
        self._slow: Iterator[bool] = iter(())
        self._slow_due_ns = 0
        self._dead: Reason | None = None
        self._baseline: dict[str, Any] | None = None
        # Set if the card of `uuid` does not exist.
        self.refused: NoSuchCard | None = None
        # The pids of the measured tree; the sampler keeps this current.
        self.tree_pids: frozenset[int] = frozenset()

    @property
    def cards(self) -> list[dict[str, Any]]:
        """`gpus` of the header: one entry a card, as far as it is known yet."""
        return [card.about() for card in self._reader.cards]

    @property
    def card(self) -> str | None:
        """The selected one, as in samples.cards.csv; None if all count."""
        if self._uuid is None or not self._reader.counted:
            return None
        return self._reader.counted[0].text

    def open(self) -> None:
        """Start the thread that opens the driver and reads; raises RuntimeError if it cannot."""
        self._opened_ns = self._latest.began_ns = time.monotonic_ns()
        self._began_us = time.time_ns() // 1000
        threading.Thread(target=self._run, name="sidecar-gpu", daemon=True).start()

    def start(self, first_row_ns: int) -> None:
        """Read a little before every row from now on.

        `first_row_ns` is the monotonic time of a row. Raises RuntimeError if the thread is not
        running yet and cannot be started.
        """
        if not self._opened_ns:
            self.open()
        self._first_ns = self._latest.began_ns = first_row_ns
        self._began_us = time.time_ns() // 1000
        self._rows_begun.set()

    def is_awaited(self, patience_s: float) -> bool:
        """Whether to wait longer, at most `patience_s` since `open`, before rows begin.

        If the driver has answered by then, the baseline is not cut off.
        """
        if self._ready.is_set():
            return False
        if self._reader.counted and self._wants_baseline:
            patience_s += MAX_BASELINE_S
        return time.monotonic_ns() - self._opened_ns < patience_s * 1e9

    def baseline(self) -> dict[str, Any]:
        """`gpu_baseline` of the header: measured before rows began, or the reasons why not."""
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

    def take_card_rows(self) -> list[list[Cell]]:
        """Rows in the order of CARD_COLUMNS since the last call; None is a missing value."""
        return drain(self._reader.rows)

    def take_util_samples(self) -> list[list[Cell]]:
        """Rows in the order of UTIL_SAMPLE_COLUMNS since the last call."""
        return drain(self._reader.util_samples)

    def stop(self) -> None:
        """Let the thread end; it is not waited for, as it may hang in the driver."""
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
            self.refused = error
            self._dead = Reason(error)
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
        """Read slow values as far as the time until `due_ns` goes, at least by one step."""
        while not self._stop.is_set() and self._slow_step():
            if time.monotonic_ns() + MARGIN_NS >= due_ns:
                return

    def _slow_step(self) -> bool:
        """One step; False if there is nothing to do before the next second."""
        if next(self._slow, False):
            return True
        now_ns = time.monotonic_ns()
        if now_ns < self._slow_due_ns:
            return False
        # The tolerance keeps a thread that wakes a little early or late to the same row of each
        # second.
        self._slow_due_ns = now_ns + int(GPU_SLOW_PERIOD_S * 1e9) - self._lead_ns
        self._slow = self._reader.slow_steps(self._began_us)
        return next(self._slow, False)

    def _next_ns(self) -> int:
        """Shortly before the next row, so that the row finds a fresh value."""
        now_ns = time.monotonic_ns()
        since_ns = (now_ns - self._first_ns + self._lead_ns) % self._period_ns
        return now_ns + self._period_ns - since_ns


def reading_period_ns(row_period_ns: int) -> int:
    """Time between two readings: the rows' period, divided or multiplied into 50 ms to 1 s."""
    # -(-a // b) rounds up.
    if row_period_ns > MAX_PERIOD_NS:
        return row_period_ns // -(-row_period_ns // MAX_PERIOD_NS)
    return row_period_ns * -(-MIN_PERIOD_NS // row_period_ns)
