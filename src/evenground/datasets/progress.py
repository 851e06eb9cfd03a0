"""Messages to the user, and how far a transfer is: a line every few seconds."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

LINE_EVERY_S = 5.0


def report(text: str) -> None:
    """Print a message on standard error."""
    print(text, file=sys.stderr, flush=True)


class Progress:
    """Counts the bytes of one transfer; `done_bytes` were there before."""

    def __init__(self, label: str, total_bytes: int, done_bytes: int) -> None:
        self._label, self._total = label, total_bytes
        self._first, self._done = done_bytes, done_bytes
        self._started = self._reported = time.monotonic()

    def advance(self, count_bytes: int) -> None:
        """Note that `count_bytes` more bytes have arrived."""
        self._done += count_bytes
        if time.monotonic() - self._reported >= LINE_EVERY_S:
            self.report()

    def report(self) -> None:
        """Print how far the transfer is."""
        self._reported = time.monotonic()
        line = tqdm.format_meter(
            self._done,
            self._total,
            self._reported - self._started,
            prefix=self._label,
            # No bar, only numbers.
            ncols=0,
            unit="B",
            unit_scale=True,
            initial=self._first,
        )
        report(line)
