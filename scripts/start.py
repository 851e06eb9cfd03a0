#!/usr/bin/env python3
"""Run evenground on a fresh machine; needs git and Python 3.11+ with venv, nothing else.

    evenground quick      the quick experiment, to its figures
    evenground test       the fast tests
    evenground setup      only the environment, as .venv
    evenground bundle     pack recorded runs, tables and figures into one file
    evenground replay     redraw everything from such a file
    evenground convert    redraw tables and figures in such a file with this version
    evenground adopt      copy the runs of such a file into this working copy
    evenground compare    compare two or more such files
    evenground explain    print what differs between two runs of what decides a result
    evenground parity     show step by step where an engine leaves Keras
    evenground prune      delete runs that no index here names any more
    evenground aside      move runs or files aside that are in the way; nothing is deleted

Further arguments go to Snakemake, to pytest or to the script of that name (each has --help).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

# With PYTHONSAFEPATH, Python does not look for modules in the script's folder.
sys.path.insert(0, str(Path(__file__).resolve().parent))
import _path  # noqa: F401
from evenground.environments import site_settings
from evenground.environments.build import ROOT, build
from evenground.environments.cache import with_cache
from evenground.errors import EvengroundError, cli
from evenground.files import writing

# Word -> environment and command; a script runs in the caller's folder.
COMMANDS = {
    "quick": ("workflow", ["-m", "snakemake", "--workflow-profile", "profiles/quick"]),
    "test": ("test", ["-m", "pytest", "-m", "not slow"]),
    "setup": ("workflow", []),
    "bundle": ("workflow", ["scripts/bundle.py"]),
    "replay": ("analysis", ["scripts/replay.py"]),
    "convert": ("analysis", ["scripts/convert.py"]),
    "adopt": ("analysis", ["scripts/adopt.py"]),
    "compare": ("analysis", ["scripts/compare.py"]),
    "explain": ("workflow", ["scripts/why.py"]),
    "parity": ("workflow", ["scripts/parity.py"]),
    "prune": ("workflow", ["scripts/prune.py"]),
    "aside": ("workflow", ["scripts/aside.py"]),
}


def main() -> None:
    """Build the command's environment and become it; raises EvengroundError if that fails."""
    if sys.version_info < (3, 11):  # noqa: UP036  (the caller's Python, not the project's)
        what = f"Python {sys.version.split()[0]} is too old"
        raise EvengroundError(what, sys.executable, "start it with Python 3.11 or newer")
    restart_isolated()
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        raise SystemExit(__doc__)
    word, arguments = sys.argv[1], sys.argv[2:]
    environment, command = COMMANDS[word]
    folder = build(environment)
    if not command:
        link_venv(folder)
        return
    if command[0] == "-m":
        os.chdir(ROOT)
    else:
        command = [str(ROOT / command[0])]
    if word == "quick":
        # The report shows it under "Do it again".
        os.environ["EVENGROUND_COMMAND"] = shlex.join(["./evenground", "quick"] + arguments)
    python = str(folder / "bin" / "python")
    env = with_cache(site_settings.without_python(os.environ))
    os.execve(python, [python] + command + arguments, env)


def restart_isolated() -> None:
    """Start again without variables that change this Python, e.g. PYTHONPATH."""
    if not sys.flags.isolated and any(map(site_settings.steers_python, os.environ)):
        env = site_settings.without_python(os.environ)
        os.execve(sys.executable, [sys.executable, "-I"] + sys.argv, env)


def link_venv(folder: Path) -> None:
    """Make `.venv` a link to the environment in the cache.

    Raises EvengroundError if the user has a folder of that name, or if it cannot be written.
    """
    link = ROOT / ".venv"
    if link.exists() and not link.is_symlink():
        fix = f"move it away, or use {folder} as it is"
        raise EvengroundError("it is a folder of yours", str(link), fix)
    with writing(link):
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    print("ready: . .venv/bin/activate")


if __name__ == "__main__":
    cli(main)
