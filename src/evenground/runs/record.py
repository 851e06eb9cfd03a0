"""What of `environment.json` is known before a training: machine, libraries, settings."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from evenground.commands import output_of
from evenground.records.environment import Environment, MachineClass
from evenground.runs.machine import Machine

GIT_LIMIT_S = 30.0
# A caller that sets one of these, as git does for its hooks, names a repository in place of the
# one in the folder.
OTHER_REPOSITORY = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}


def environment_record(machine: Machine, python: Path | None) -> Environment:
    """What is known before a training starts; an unknown value is None.

    `python`: the interpreter of the engine's environment.
    """
    libraries: dict[str, str] = {}
    version = None
    if python:
        libraries = installed(python)
        version = output_of([str(python), "--version"])
    return Environment(
        machine=MachineClass(class_name=machine.name, description=machine.description),
        cpu_model=machine.cpu_model,
        cores=machine.cores,
        memory_bytes=machine.memory_bytes,
        driver=machine.driver,
        kernel=platform.release(),
        os=_os_name(),
        python=version and version.removeprefix("Python "),
        libraries=libraries,
        load_average_before=list(os.getloadavg()),
    )


def installed(python: Path) -> dict[str, str]:
    """Every distribution in the environment of the interpreter `python`: name -> version."""
    # From their files: nothing of them is imported.
    folders = [str(path) for path in (python.parent.parent / "lib").glob("python3*/site-packages")]
    versions = {}
    for distribution in importlib.metadata.distributions(path=folders):
        versions[distribution.metadata["Name"].lower()] = distribution.version
    return dict(sorted(versions.items()))


def _os_name() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def source_state(root: Path) -> dict[str, Any]:
    """Commit of the working copy and whether tracked files were changed, or None with the reason.

    A reader takes the commit for the source of the run, so that of another tree would mislead.
    """
    try:
        reason = _why_no_history(root)
        if not reason:
            commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
            changed = _git(root, "status", "--porcelain", "--untracked-files=no")
            if commit.returncode == changed.returncode == 0:
                return {"commit": commit.stdout.strip(), "dirty": bool(changed.stdout.strip())}
            reason = "git names no commit of it"
    except OSError:
        reason = "git cannot be started"
    except subprocess.TimeoutExpired:
        reason = "git does not answer"
    return {"commit": None, "dirty": None, "reason": reason}


def _why_no_history(root: Path) -> str:
    """Why `root` is not the top of a git working copy that git can read; empty if it is.

    A tree that was unpacked inside another repository, ignored there or not, has no history of its
    own.
    """
    done = _git(root, "rev-parse", "--show-toplevel")
    if "dubious ownership" in done.stderr:
        fix = "git config --global --add safe.directory FOLDER"
        return f"git refuses a repository of another user: {fix}"
    # A folder's name may begin or end with a blank: only the line break is removed.
    top = done.stdout.removesuffix("\n")
    if done.returncode or not top or Path(top).resolve() != root.resolve():
        return "not a git repository of its own"
    return ""


def _git(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Start git on the working copy `root`. Raises OSError, or TimeoutExpired after GIT_LIMIT_S."""
    env = {name: value for name, value in os.environ.items() if name not in OTHER_REPOSITORY}
    return subprocess.run(
        # Without optional locks it disturbs no git command of the user's, and writes nothing.
        ["git", "--no-optional-locks", "-C", str(root), *args],
        env={**env, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=GIT_LIMIT_S,
    )
