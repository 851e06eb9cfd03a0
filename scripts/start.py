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
    evenground prune      throw away runs that no index here names any more
    evenground aside      set runs or files aside that are in the way; nothing is deleted

What stands behind the word goes to Snakemake, to pytest or to the script of that name (each knows --help).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

# Where Python is told to leave a script's folder out (PYTHONSAFEPATH), its neighbours are found all the same.
sys.path.insert(0, str(Path(__file__).resolve().parent))
import site_settings
from environment import ROOT, build, cli, with_cache

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
    "aside": ("workflow", ["scripts/aside.py"]),
}


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (the caller's Python, not the project's)
        raise SystemExit(
            f"error: Python {sys.version.split()[0]} is too old: 3.11 or newer is needed"
        )
    start_alone()
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
    if sys.argv[1] == "quick":
        # The page says it under "Do it again".
        os.environ["EVENGROUND_COMMAND"] = shlex.join(["./evenground", *sys.argv[1:]])
    python = str(folder / "bin" / "python")
    env = with_cache(site_settings.without_python(os.environ))
    os.execve(python, [python, *command, *sys.argv[2:]], env)


def start_alone() -> None:
    """Begin anew where variables steer this Python, as PYTHONPATH does: they are for others."""
    if not sys.flags.isolated and any(map(site_settings.steers_python, os.environ)):
        env = site_settings.without_python(os.environ)
        os.execve(sys.executable, [sys.executable, "-I", *sys.argv], env)


def link_venv(folder: Path) -> None:
    """Let `.venv` be the environment in the cache; a real folder of that name is the user's and stays."""
    link = ROOT / ".venv"
    if link.exists() and not link.is_symlink():
        raise SystemExit(
            f"error: {link.name} is a folder of yours: move it away, or use {folder} as it is"
        )
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    except OSError as error:
        raise SystemExit(
            f"error: cannot write ({link}): {error.strerror}: use {folder} as it is"
        ) from None
    print("ready: . .venv/bin/activate")


if __name__ == "__main__":
    cli(main)
