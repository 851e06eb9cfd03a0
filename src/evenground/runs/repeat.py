"""The command that a user repeats to have the same experiment made again, as the page shows it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from evenground.addresses import shown_in
from evenground.invocation import DVC
from evenground.runs.installed import without_paths

# How `./evenground` was called, for what it calls; then the invocation's own command, for its jobs.
COMMAND = "EVENGROUND_COMMAND"
DVC_COMMAND = "dvc repro"
MAX_CHARACTERS = 2000


def command_of(argv: Sequence[str], root: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The command line behind the planning process's `argv`, without logins and this machine's paths.

    Empty for one that no page could show: it is too long, or has control characters.
    """
    # Its stages call Snakemake; the parameters are in DVC's own file.
    if DVC in environment:
        return DVC_COMMAND
    called = environment.get(COMMAND) or shlex.join(["snakemake", *argv[1:]])
    command = without_paths(shown_in(called), root)
    return command if command.isprintable() and len(command) <= MAX_CHARACTERS else ""
