#!/usr/bin/env python3
"""From a fresh machine to figures or to passed tests: git, Python 3.11+ with venv, nothing else.

    evenground quick      the quick experiment, to its figures
    evenground test       the fast tests
    evenground setup      only the environment, as .venv
    evenground bundle     pack recorded runs, tables and figures into one file
    evenground replay     redraw everything from such a file
    evenground convert    bring such a file of an older version to the formats of this one
    evenground adopt      take the runs of such a file over into this working copy
    evenground compare    set such files, or machines, side by side, two or more
    evenground prune      throw away runs that nothing names any more

What stands behind the word goes to Snakemake, to pytest or to the script of that name (each knows --help).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from environment import ROOT, build

# Word -> environment and command; a script works in the folder it is called from.
COMMANDS = {
    "quick": ("workflow", ["-m", "snakemake", "--workflow-profile", "profiles/quick"]),
    "test": ("test", ["-m", "pytest", "-m", "not slow"]),
    "setup": ("workflow", []),
    "bundle": ("workflow", ["scripts/bundle.py"]),
    "replay": ("analysis", ["scripts/replay.py"]),
    "convert": ("analysis", ["scripts/convert.py"]),
    "adopt": ("analysis", ["scripts/adopt.py"]),
    "compare": ("analysis", ["scripts/compare.py"]),
    "prune": ("workflow", ["scripts/prune.py"]),
}


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (the caller's Python, not the project's)
        raise SystemExit(f"error: Python {sys.version.split()[0]} is too old: 3.11 or newer is needed")
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    environment, command = COMMANDS[sys.argv[1]]
    folder = build(environment)
    if not command:
        link_venv(folder)
        return
    if command[0] == "-m":
        os.chdir(ROOT)
    else:
        command = [str(ROOT / command[0])]
    python = str(folder / "bin" / "python")
    os.execv(python, [python, *command, *sys.argv[2:]])


def link_venv(folder: Path) -> None:
    """Let `.venv` be the environment in the cache; a real folder of that name is the user's and stays."""
    link = ROOT / ".venv"
    if link.exists() and not link.is_symlink():
        raise SystemExit(f"error: {link.name} is a folder of yours: move it away, or use {folder} as it is")
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    print("ready: . .venv/bin/activate")


if __name__ == "__main__":
    main()
