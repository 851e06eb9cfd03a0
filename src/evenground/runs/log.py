"""A training's log: the engine writes it straight into a file, whose beginning and end are kept.

Nothing stands between: a pipe would slow a chatty engine down, and break when what reads it is killed.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from evenground.files import replacing
from evenground.runs.installed import ESCAPES

HEAD_BYTES, TAIL_BYTES = 64 * 1024, 192 * 1024
LOOK_EVERY_S = 1.0
SHOWN_CHARACTERS = 300
# What XLA, TensorFlow, PyTorch and CUDA itself say when a card has no memory left.
NO_GPU_MEMORY = re.compile(
    r"RESOURCE_EXHAUSTED|CUDA_ERROR_OUT_OF_MEMORY|CUDA out of memory|OutOfMemoryError"
)
# Of linux/falloc.h: the blocks are freed, the file keeps its length.
KEEP_SIZE, PUNCH_HOLE = 1, 2


@contextmanager
def bounded(path: Path) -> Iterator[IO[bytes]]:
    """The file at `path`, opened for a command to write to; afterwards it is `cut`.

    Meanwhile what will be cut is given back to the disk, once a second; where the file system cannot do that,
    only afterwards.
    """
    ended = threading.Event()
    with path.open("wb") as log:
        watcher = threading.Thread(
            target=_free_while_written, args=(log.fileno(), ended), daemon=True
        )
        watcher.start()
        try:
            yield log
        finally:
            ended.set()
            watcher.join()
    cut(path)


def _free_while_written(descriptor: int, ended: threading.Event) -> None:
    freed_bytes = HEAD_BYTES
    while not ended.wait(LOOK_EVERY_S):
        until_bytes = os.fstat(descriptor).st_size - TAIL_BYTES
        if until_bytes > freed_bytes:
            if not _free(descriptor, HEAD_BYTES, until_bytes - HEAD_BYTES):
                return
            freed_bytes = until_bytes


def _free(descriptor: int, start_bytes: int, length_bytes: int) -> bool:
    """Give the disk back a part of a file; whether its file system can do that."""
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(fallocate(descriptor, KEEP_SIZE | PUNCH_HOLE, start_bytes, length_bytes) == 0)


def cut(path: Path) -> None:
    """Leave the first HEAD_BYTES and the last TAIL_BYTES of a log, and between them a line that says so."""
    with path.open("rb") as log:
        size_bytes = os.fstat(log.fileno()).st_size
        if size_bytes <= HEAD_BYTES + TAIL_BYTES:
            return
        head = log.read(HEAD_BYTES)
        log.seek(size_bytes - TAIL_BYTES)
        tail = log.read(TAIL_BYTES)
    left_out = f"{size_bytes - len(head) - len(tail):,} of {size_bytes:,} bytes are cut out here"
    why = f"of a log the first {HEAD_BYTES // 1024} KiB and the last {TAIL_BYTES // 1024} KiB are kept"
    with replacing(path) as beside:
        beside.write_bytes(head + f"\n[evenground: {left_out}; {why}]\n".encode() + tail)


def last_line(path: Path) -> str:
    """The last line of a log that says something, printable and short; `nothing` where there is none."""
    lines = (_printable(line) for line in reversed(_lines(path)))
    return next(filter(None, lines), "nothing")


def line_with(path: Path, words: re.Pattern[str]) -> str:
    """The first line of a log with one of `words`, printable and short; empty where there is none."""
    return next((_printable(line) for line in _lines(path) if words.search(line)), "")


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    # What draws a bar goes back to the line's beginning.
    return re.split(r"[\r\n]+", ESCAPES.sub("", text))


def _printable(line: str) -> str:
    letters = (letter if letter.isprintable() else " " for letter in line)
    return " ".join("".join(letters).split())[:SHOWN_CHARACTERS]
