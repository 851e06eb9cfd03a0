"""Git, asked about the working copy in a folder and about no other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LIMIT_S = 30.0
# With these a caller, such as one of git's own hooks, names a repository that is to stand for every folder.
REPOSITORY = {
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
}
REPOSITORY |= {"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE"}
REPOSITORY |= {
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_IMPLICIT_WORK_TREE",
}


def git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call git in the folder `root`; OSError where there is none, TimeoutExpired after `LIMIT_S`."""
    left = {name: value for name, value in os.environ.items() if name not in REPOSITORY}
    return subprocess.run(
        # Without optional locks it disturbs no other call of git, and needs to write nothing.
        ["git", "--no-optional-locks", "-C", str(root), *arguments],
        env={**left, "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=LIMIT_S,
    )


def why_none_of_its_own(root: Path) -> str | None:
    """Why `root` is not the top of a git working copy that git can read; None where it is.

    A tree that was unpacked inside of another repository, ignored there or not, has no history there.
    """
    try:
        asked = git(root, "rev-parse", "--show-toplevel")
    except OSError:
        return "git cannot be started"
    except subprocess.TimeoutExpired:
        return "git does not answer"
    if "dubious ownership" in asked.stderr:
        return "git refuses a repository of another user: git config --global --add safe.directory FOLDER"
    # A folder's name may begin or end with a blank.
    top = asked.stdout.removesuffix("\n")
    if asked.returncode or not top or Path(top).resolve() != root.resolve():
        return "not a git repository of its own"
    return None
