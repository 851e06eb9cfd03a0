"""The files of the core that steps are made of: a step is made again when one of them changes."""

from __future__ import annotations

from pathlib import Path

CORE = "src/evenground"
# What reads and judges recorded runs: packages and single modules.
ANALYSIS = ("cpus", "gpus", "judged", "records", "surroundings", "analysis")


def modules(*rooms: str) -> list[str]:
    """The modules of rooms, which are packages or single modules."""
    patterns = []
    for room in rooms:
        patterns += [f"{CORE}/{room}.py", f"{CORE}/{room}/**/*.py"]
    return files(*patterns)


def files(*patterns: str) -> list[str]:
    """The files of the working copy that match any of the patterns."""
    return sorted(str(path) for pattern in patterns for path in Path().glob(pattern))
