"""Short commands: what they print, how they end. Standard library only, for it runs in images."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

ENDING_S = 2.0


def output_of(command: Sequence[str], timeout_s: float | None = 30.0) -> str | None:
    """What a command prints, stripped; None if it fails, takes too long or is not installed."""
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout.strip()


def exit_code(
    command: Sequence[str],
    env: Mapping[str, str],
    out: IO[bytes],
    err: IO[bytes] | None = None,
    cwd: Path | None = None,
    limit_s: float = 30.0,
) -> int | None:
    """Run a command with `env` only; None if it took too long and was killed.

    `out` and `err` are files on a disk: a pipe would be kept open by a child that outlives the
    command. Raises OSError or ValueError if it cannot be started.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err or subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.returncode is None:
            # With all that it had started: they are a session of their own.
            os.killpg(process.pid, signal.SIGKILL)
            # One that hangs in a driver may not end even then.
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_S)
