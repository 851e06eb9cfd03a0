#!/usr/bin/env python3
"""From a fresh machine to figures or to passed tests: git, Python 3.11+ with venv, nothing else.

    python3 scripts/start.py quick     the quick experiment, to its figures
    python3 scripts/start.py test      the fast tests
    python3 scripts/start.py setup     only the environment, as .venv

What stands behind the word goes to Snakemake or pytest.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from environment import ROOT, build

COMMANDS = {
    "quick": ("workflow", ["-m", "snakemake", "--workflow-profile", "profiles/quick"]),
    "test": ("test", ["-m", "pytest", "-m", "not slow"]),
    "setup": ("workflow", []),
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
    os.chdir(ROOT)
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
