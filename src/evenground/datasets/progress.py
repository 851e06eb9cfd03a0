"""How far a transfer is: a bar on a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

LINE_EVERY_S = 5.0


def say(text: str) -> None:
    """Tell the user something on standard error without breaking a bar."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


class Progress:
    """Counts bytes of one transfer; `total_bytes` None is unknown, `done_bytes` lie there already."""

    def __init__(self, label: str, total_bytes: int | None, done_bytes: int = 0) -> None:
        self._label, self._total, self._done, self._first = (
            label,
            total_bytes,
            done_bytes,
            done_bytes,
        )
        self._started = self._told = time.monotonic()
        self._bar: tqdm[Never] | None = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                desc=label,
                total=total_bytes,
                initial=done_bytes,
                unit="B",
                unit_scale=True,
                file=sys.stderr,
            )

    def __enter__(self) -> Self:
        return self

    def advance(self, count_bytes: int) -> None:
        """Note that `count_bytes` more bytes have arrived."""
        self._done += count_bytes
        if self._bar is not None:
            self._bar.update(count_bytes)
        elif time.monotonic() - self._told >= LINE_EVERY_S:
            self._line()

    def _line(self) -> None:
        self._told = time.monotonic()
        meter = tqdm.format_meter(
            self._done,
            self._total or 0,
            self._told - self._started,
            prefix=self._label,
            ncols=0,
            unit="B",
            unit_scale=True,
            initial=self._first,
        )
        say(meter)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._line()
