"""The shell line with which Snakemake runs a command in an image, for the probe of images."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from snakemake.deployment.singularity import Singularity, shellcmd

from evenground.containers.apptainer import Told
from evenground.containers.launcher import Launcher


def launcher_of(told: Told) -> Launcher:
    """Return how Apptainer is launched for a training."""

    def line(image: Path, command: str) -> str:
        # Which of its names Apptainer has here is only known then.
        Singularity().check()
        bound = [Path(folder) for folder in told.bound]
        return str(
            shellcmd(str(image), command, bind=bound, args=told.arguments, shell_executable="bash")
        )

    # Snakemake lets its jobs keep temporary files here, whatever the caller's variable is.
    environ = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    return Launcher(line=line, told=told, environ=environ)
