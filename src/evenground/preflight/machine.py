"""What the machine itself has: processor, memory, disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from evenground.preflight.finding import Finding

GIB = 2**30
MEMORY_AT_LEAST_BYTES = 4 * GIB
LOAD_AT_MOST = 0.5
"""Of a core per core: more is somebody else's work beside the trainings."""


def memory(available_bytes: int) -> Finding:
    """Whether a training fits; `available_bytes` is what can be had without swapping."""
    seen = f"{available_bytes / GIB:.1f} GiB available"
    if available_bytes < MEMORY_AT_LEAST_BYTES:
        return Finding(
            "memory",
            "lack",
            seen,
            f"end other programs: {MEMORY_AT_LEAST_BYTES // GIB} GiB are needed",
        )
    return Finding("memory", "ok", seen)


def load(average: float, cores: int) -> Finding:
    """Whether the machine is quiet; `average` is the load of the last minute."""
    seen = f"load {average:.2f} on {cores} cores"
    if average > LOAD_AT_MOST * cores:
        return Finding(
            "quiet", "warning", seen, "times will be those of a busy machine: end what else runs"
        )
    return Finding("quiet", "ok", seen)


def disk(what: str, folder: Path, needed_bytes: int) -> Finding:
    """Whether the disk below `folder`, which need not exist yet, holds `needed_bytes` more."""
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    seen = f"{free / GIB:.1f} GiB free, about {needed_bytes / GIB:.1f} GiB to come"
    if free < needed_bytes:
        return Finding(what, "lack", seen, "make room, or point EVENGROUND_CACHE to another disk")
    return Finding(what, "ok", seen)
