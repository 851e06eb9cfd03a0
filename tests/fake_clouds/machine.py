"""Behind the fake kubectl and aws: jobs as processes of this machine, kept in the folder FAKE_CLOUD."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_CLOUD"])


def start(name: str, asked: Any, command: list[str], env: dict[str, str]) -> None:
    """Keep what was asked for, and run the command by itself, away from the caller's folder and variables."""
    (FOLDER / f"{name}.json").write_text(json.dumps(asked))
    status = FOLDER / f"{name}.status"
    line = ["/bin/sh", "-c", '"$@"; echo $? > "$0"', str(status), *command]
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", **env}
    with (FOLDER / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            line, cwd="/", env=clean, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    (FOLDER / f"{name}.pid").write_text(str(process.pid))


def status(name: str) -> int | None:
    """The exit status of a job; None while it runs."""
    file = FOLDER / f"{name}.status"
    return int(file.read_text() or 1) if file.is_file() else None


def end(name: str) -> None:
    """Kill a job with all it started."""
    if status(name) is None:
        os.killpg(int((FOLDER / f"{name}.pid").read_text()), signal.SIGKILL)
        (FOLDER / f"{name}.status").write_text("137")
