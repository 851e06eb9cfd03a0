"""What running in containers needs: Apptainer, the right to start one, the engines' images, room for them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evenground.errors import EvengroundError
from evenground.images import CUDA, Image, check_digest, check_image, read_record
from evenground.preflight import machine
from evenground.preflight.experiment import recorded_environments
from evenground.preflight.finding import Finding, State
from evenground.runs.plan import Plan

GIB = 2**30
IMAGE_BYTES = {"cpu": 4 * GIB, "cuda": 20 * GIB}
"""About what building one image takes: downloads, unpacked packages and the image itself."""
HOST_PROGRAMS = ("bin", "sbin", "lib", "lib64", "usr")
START_S = 60.0
OLDEST = (1, 4)
"""Apptainer 1.4 is the first that lets a build choose how it compresses."""


def findings(plans: Sequence[Plan], images: Sequence[Image]) -> list[Finding]:
    """All that decides whether trainings can run in `images`; a native run lacks none of it."""
    needed = plans[0].experiment.deployment == "apptainer"
    found = [apptainer(needed)]
    if found[0].state == "ok":
        found.append(container_start(needed))
    if needed:
        found += [image(wanted, recorded_digests(plans, wanted.environment)) for wanted in images]
    missing = [wanted for wanted in images if not wanted.file.is_file()]
    if missing:
        needed_bytes = sum(IMAGE_BYTES[_kind(wanted.environment)] for wanted in missing)
        found.append(machine.disk("disk for images", missing[0].file.parent, needed_bytes))
    return found


def apptainer(needed: bool, program: str = "apptainer") -> Finding:
    """Whether containers can be run, and by what."""
    mend = _mend("install Apptainer 1.4 or newer, or run natively, without --use-singularity", needed)
    state: State = "lack" if needed else "warning"
    if shutil.which(program) is None:
        return Finding("Apptainer", state, "not installed", mend)
    answer = machine.ask([program, "--version"])
    version = re.search(r"(\d+)\.(\d+)", answer or "")
    if answer is None or version is None:
        return Finding("Apptainer", state, f"{program} does not answer", mend)
    if (int(version[1]), int(version[2])) < OLDEST:
        return Finding("Apptainer", state, f"{answer} is too old", mend)
    return Finding("Apptainer", "ok", answer)


def container_start(needed: bool, program: str = "apptainer") -> Finding:
    """Whether a container of this user's starts: Apptainer is asked, for it may have rights of its own.

    Where it is not installed with setuid it needs a user namespace, and that is what mostly lacks.
    """
    with tempfile.TemporaryDirectory() as folder:
        programs = [name for name in HOST_PROGRAMS if Path("/", name).is_dir()]
        for name in (*programs, "proc", "sys", "dev", "tmp", "etc", "root", "home", "var/tmp"):
            Path(folder, name).mkdir(parents=True)
        binds = [word for name in programs for word in ("--bind", f"/{name}")]
        command = [program, "exec", "--contain", *binds, folder, "true"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
        except (OSError, subprocess.SubprocessError) as error:
            said, status = str(error), 1
        else:
            said, status = done.stderr, done.returncode
    if status == 0:
        return Finding("container start", "ok", "allowed")
    mend = (
        "allow user namespaces (sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1), "
        "or install Apptainer with setuid"
    )
    return Finding(
        "container start",
        "lack" if needed else "warning",
        f"refused: {last_words(said)}",
        _mend(mend, needed),
    )


def last_words(said: str) -> str:
    """The line of Apptainer's output that says most: its first error, else its last line."""
    plain = re.sub(r"\x1b\[\d*m", "", said).splitlines()
    lines = [" ".join(line.split()) for line in plain if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "fatal"))]
    return (errors or lines[-1:] or ["it says nothing"])[0][:300]


def image(wanted: Image, recorded: Sequence[str]) -> Finding:
    """Whether an engine's image is there and is the one that its finished runs were made in."""
    what = f"image {wanted.environment}"
    try:
        if " " in str(wanted.file):
            raise EvengroundError("the path has a blank", str(wanted.file), "set EVENGROUND_CACHE to another")
        known = read_record(wanted.record) if wanted.record.is_file() else None
        if known:
            check_image(wanted, known)
        if known or not wanted.file.is_file():
            check_digest(wanted, known.sha256 if known else None, recorded)
    except EvengroundError as error:
        return Finding(what, "lack", f"{error.what} ({error.where})", error.todo)
    if known:
        return Finding(what, "ok", f"sha256:{known.sha256[:12]} ({wanted.file})")
    if wanted.file.is_file():
        return Finding(what, "ok", f"there, to be looked at ({wanted.file})")
    mend = "the base image and the package index must be reachable once"
    return Finding(what, "warning", f"to be built ({wanted.file})", mend)


def recorded_digests(plans: Sequence[Plan], environment: str) -> list[str]:
    """Sha256s of the images that the finished ones among the wanted runs of an environment were made in."""
    runs = []
    for plan in plans:
        engines = {engine.name for engine in plan.engines if plan.environment(engine) == environment}
        runs += [run for run in plan.runs if run.engine in engines]
    images = (found.get("image") for found in recorded_environments(runs, plans[0].root))
    return sorted({str(image["sha256"]) for image in images if image})


def _kind(environment: str) -> str:
    return "cuda" if environment.endswith(CUDA) else "cpu"


def _mend(text: str, needed: bool) -> str:
    return text if needed else f"only needed for --use-singularity: {text}"
