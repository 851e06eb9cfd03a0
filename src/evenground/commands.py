"""The output of short commands."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def output_of(command: Sequence[str], timeout_s: float | None = 30.0) -> str | None:
    """What a command prints, stripped; None if it fails, takes too long or is not installed."""
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()
