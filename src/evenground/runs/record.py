"""`environment.json`: the machine, libraries and settings a run was made with. No host or user name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from evenground.commands import output_of
from evenground.runs.git import git, why_none_of_its_own
from evenground.runs.machine import Machine
from evenground.runs.variables import WAIT_VARIABLES


def environment_record(
    machine: Machine, python: Path | None, variables: dict[str, str]
) -> dict[str, Any]:
    """What is known before a training starts; a value that is not known is None."""
    libraries = installed(python) if python else {}
    return {
        "schema": 2,
        "machine": {"class": machine.name, "description": machine.description},
        "cpu_model": machine.cpu_model,
        "cores": machine.cores,
        "memory_bytes": machine.memory_bytes,
        "driver": machine.driver,
        "cuda": _first(libraries, "nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime"),
        "cudnn": _first(libraries, "nvidia-cudnn-cu12", "nvidia-cudnn"),
        "kernel": platform.release(),
        "os": _os_name(),
        "python": _python_version(python) if python else None,
        "libraries": libraries,
        "threads": {
            name: value for name, value in variables.items() if name.endswith("_NUM_THREADS")
        },
        # None is the runtime's own default.
        "waiting": {name: variables.get(name) for name in WAIT_VARIABLES},
        "load_average_before": list(os.getloadavg()),
    }


def installed(python: Path) -> dict[str, str]:
    """Every distribution in the environment of the interpreter `python`: name -> version."""
    folders = [str(path) for path in (python.parent.parent / "lib").glob("python3*/site-packages")]
    found = importlib.metadata.distributions(path=folders)
    return dict(sorted((dist.metadata["Name"].lower(), dist.version) for dist in found))


def _first(libraries: dict[str, str], *names: str) -> str | None:
    return next((libraries[name] for name in names if name in libraries), None)


def _python_version(python: Path) -> str | None:
    words = output_of([str(python), "--version"])
    return words.removeprefix("Python ") if words else None


def _os_name() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def source_state(root: Path) -> dict[str, Any]:
    """Commit of the working copy and whether files it tracks were changed; None with the reason of none.

    The commit is what a reader would take for the source of the run: none is better than another tree's.
    """
    reason = why_none_of_its_own(root)
    if reason:
        return {"commit": None, "dirty": None, "reason": reason}
    commit = _git_says(root, "rev-parse", "--verify", "HEAD^{commit}")
    changed = _git_says(root, "status", "--porcelain", "--untracked-files=no")
    if not commit or changed is None:
        return {"commit": None, "dirty": None, "reason": "git names no commit of it"}
    return {"commit": commit, "dirty": bool(changed)}


def _git_says(root: Path, *arguments: str) -> str | None:
    try:
        done = git(root, *arguments)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()
