"""Short commands that are asked for what they print."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence


def output_of(command: Sequence[str], timeout_s: float | None = 30.0) -> str | None:
    """What a command prints, without blanks at its ends; None where it fails, hangs or is not there."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
