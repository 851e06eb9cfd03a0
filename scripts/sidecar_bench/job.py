"""A job of fixed work in chunks of about 20 ms, which notes its CPU after each: `python job.py FILE SECONDS`.

Two processes do chunks of two kinds in turns: `compute` (sorting, hashing, compressing) and `faults` (memory
taken, touched and given back). FILE becomes JSON: for each process and kind the chunks as [monotonic
nanoseconds at the end, wall nanoseconds, CPU nanoseconds]. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import random
import sys
import time
import zlib
from pathlib import Path

PROCESSES = 2
NUMBERS = 50_000
TEXT_BYTES = 5 << 19
BLOCK_BYTES = 36 << 20
Chunks = list[tuple[int, int, int]]


class Work:
    """The same work at each call, whatever was done before."""

    def __init__(self) -> None:
        source = random.Random(7)
        self._numbers = [source.random() for _ in range(NUMBERS)]
        self._text = source.randbytes(TEXT_BYTES // 8) * 8

    def compute(self) -> None:
        """CPU and memory that is there already."""
        sorted(self._numbers)
        hashlib.sha256(self._text).digest()
        zlib.compress(self._text[: TEXT_BYTES // 4], 6)

    def faults(self) -> None:
        """Memory that the kernel must give page by page, and take back."""
        with mmap.mmap(-1, BLOCK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
            for page in range(0, BLOCK_BYTES, mmap.PAGESIZE):
                block[page] = 1


def chunks_until(end_ns: int) -> dict[str, Chunks]:
    """Do chunks of both kinds in turns until a monotonic moment."""
    work = Work()
    done: dict[str, Chunks] = {"compute": [], "faults": []}
    while time.monotonic_ns() < end_ns:
        for kind, one in (("compute", work.compute), ("faults", work.faults)):
            began_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
            one()
            ended_ns = time.monotonic_ns()
            done[kind].append((ended_ns, ended_ns - began_ns, time.process_time_ns() - cpu_ns))
    return done


def main(file: str, seconds: str) -> None:
    end_ns = time.monotonic_ns() + int(float(seconds) * 1e9)
    parts = [Path(f"{file}.{number}") for number in range(PROCESSES)]
    for part in parts:
        if os.fork() == 0:
            part.write_text(json.dumps(chunks_until(end_ns)), encoding="utf-8")
            os._exit(0)
    for _ in parts:
        os.wait()
    Path(file).write_text(
        json.dumps([json.loads(part.read_text()) for part in parts]), encoding="utf-8"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
