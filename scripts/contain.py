"""The shell line with which Snakemake runs a command in an image; the gate's probe is called with it, too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from snakemake.deployment.singularity import Singularity, shellcmd

from evenground.apptainer import Told
from evenground.preflight.call import Call


def call_of(told: Told) -> Call:
    """How Apptainer is called for a training."""

    def line(image: Path, command: str) -> str:
        # Which of its names Apptainer has here is only known then.
        Singularity().check()
        bound = [Path(folder) for folder in told.bound]
        return str(
            shellcmd(str(image), command, bind=bound, args=told.arguments, shell_executable="bash")
        )

    # Where Snakemake lets its jobs keep passing files, whatever the caller's variable says.
    return Call(line, told, {**os.environ, "TMPDIR": tempfile.gettempdir()})
