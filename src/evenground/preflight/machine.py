"""Checks of the machine itself: memory, load and disk space."""

from __future__ import annotations

import shutil
from pathlib import Path

from evenground.preflight.finding import Finding, error, ok, warning

GIB = 2**30
MIN_MEMORY_BYTES = 4 * GIB
# Above this load other work slows the trainings down.
MAX_LOAD_PER_CORE = 0.5


def memory(available_bytes: int) -> Finding:
    """Check that a training fits into `available_bytes`, what is free without swapping."""
    seen = f"{available_bytes / GIB:.1f} GiB available"
    if available_bytes < MIN_MEMORY_BYTES:
        fix = f"end other programs: {MIN_MEMORY_BYTES // GIB} GiB are needed"
        return error("memory", seen, fix)
    return ok("memory", seen)


def load(average: float, cores: int) -> Finding:
    """Check that the machine is quiet; `average` is the load of the last minute."""
    seen = f"load {average:.2f} on {cores} cores"
    if average > MAX_LOAD_PER_CORE * cores:
        fix = "end other programs: times will be those of a busy machine"
        return warning("quiet", seen, fix)
    return ok("quiet", seen)


def disk(what: str, folder: Path, needed_bytes: int) -> Finding:
    """Check that the disk of `folder`, which need not exist yet, has `needed_bytes` free."""
    free_bytes = shutil.disk_usage(nearest_existing(folder)).free
    seen = f"{free_bytes / GIB:.1f} GiB free, about {needed_bytes / GIB:.1f} GiB to come"
    if free_bytes < needed_bytes:
        return error(what, seen, "make room, or point EVENGROUND_CACHE to another disk")
    return ok(what, seen)


def nearest_existing(path: Path) -> Path:
    """Return the absolute path itself or its nearest parent that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
