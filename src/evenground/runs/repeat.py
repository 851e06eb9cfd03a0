"""The command that a user repeats to make the same experiment again, as the report shows it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from evenground.addresses import shown_in
from evenground.invocation import DVC
from evenground.runs.installed import without_paths

# Set by `./evenground` to its own command line, then by the invocation for its jobs.
COMMAND = "EVENGROUND_COMMAND"
DVC_COMMAND = "dvc repro"
MAX_CHARACTERS = 2000


def command_of(argv: Sequence[str], root: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The command line behind Snakemake's `argv`, without logins and this machine's paths.

    Empty if no page can show it: it is too long, or has control characters.
    """
    # DVC's stages start Snakemake; the parameters are in DVC's own file.
    if DVC in environment:
        return DVC_COMMAND
    started = environment.get(COMMAND) or f"snakemake {shlex.join(argv[1:])}".rstrip()
    command = without_paths(shown_in(started), root)
    if not command.isprintable() or len(command) > MAX_CHARACTERS:
        return ""
    return command
