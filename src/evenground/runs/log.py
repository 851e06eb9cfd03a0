"""A training's log: the engine writes it straight into a file, whose beginning and end are kept.

Nothing stands between: a pipe would slow a chatty engine down, and break when its reader is killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evenground.files import replacing
from evenground.runs.installed import ESCAPES, MAX_CHARACTERS, printable

HEAD_BYTES, TAIL_BYTES = 64 * 1024, 192 * 1024
# What XLA, TensorFlow, PyTorch and CUDA itself print when a card has no memory left.
NO_GPU_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY|CUDA out of memory|OutOfMemoryError"
)


@contextmanager
def bounded(path: Path) -> Iterator[IO[bytes]]:
    """The file at `path`, opened for a command to write to; afterwards it is `cut`."""
    with path.open("wb") as log:
        yield log
    cut(path)


def cut(path: Path) -> None:
    """Keep the first HEAD_BYTES and the last TAIL_BYTES of a log, with a note between them."""
    with path.open("rb") as log:
        size_bytes = os.fstat(log.fileno()).st_size
        if size_bytes <= HEAD_BYTES + TAIL_BYTES:
            return
        head = log.read(HEAD_BYTES)
        log.seek(size_bytes - TAIL_BYTES)
        tail = log.read(TAIL_BYTES)
    left_out_bytes = size_bytes - len(head) - len(tail)
    note = (
        f"\n[evenground: {left_out_bytes:,} of {size_bytes:,} bytes are cut out here; of a log the "
        f"first {HEAD_BYTES // 1024} KiB and the last {TAIL_BYTES // 1024} KiB are kept]\n"
    )
    with replacing(path) as temporary:
        temporary.write_bytes(head + note.encode() + tail)


def last_line(path: Path) -> str:
    """The last line of a log that is not blank, printable and short, or `nothing`."""
    for line in reversed(_lines(path)):
        shown = printable(line)
        if shown:
            return shown[:MAX_CHARACTERS]
    return "nothing"


def line_with(path: Path, pattern: re.Pattern[str]) -> str:
    """The first line of a log with a match of `pattern`, printable and short, or an empty text."""
    for line in _lines(path):
        if pattern.search(line):
            return printable(line)[:MAX_CHARACTERS]
    return ""


def _lines(path: Path) -> list[str]:
    """The lines of a log without colours; none if there is no log."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    # A progress bar goes back to the beginning of its line.
    return re.split(r"[\r\n]+", ESCAPES.sub("", text))
