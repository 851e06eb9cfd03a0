"""What running in containers needs: Apptainer, the right to start one, the engines' images, room for them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evenground.commands import output_of
from evenground.errors import EvengroundError
from evenground.images import (
    CUDA,
    ELSEWHERE,
    TEMPORARY,
    Image,
    building_folder,
    check_digest,
    check_image,
    is_recorded,
    is_there,
    read_record,
)
from evenground.preflight import machine
from evenground.preflight.call import Call
from evenground.preflight.experiment import recorded_environments
from evenground.preflight.finding import Finding, State
from evenground.preflight.namespaces import how_to_allow
from evenground.preflight.probe import probe, wanted_of
from evenground.preflight.words import last_words
from evenground.runs.plan import Plan
from evenground.surroundings.mounts import MOUNTINFO, kind_at

GIB = 2**30
IMAGE_BYTES = {"cpu": 4 * GIB, "cuda": 20 * GIB}
"""About what building one image takes: downloads, unpacked packages and the image itself."""
HOST_PROGRAMS = ("bin", "sbin", "lib", "lib64", "usr")
START_S = 60.0
# Snakemake gives the path of an image to a shell as it is.
ODD = re.compile(r"[^\w@%+=./-]")
# Owners and attributes of an image's files cannot be kept there, or only root may keep them.
OVER_NETWORK = re.compile(
    r"nfs\d?|lustre|gpfs|beegfs|fhgfs\w*|ceph|cifs|smb\w*|9p|afs|panfs|wekafs|orangefs|pvfs2"
    r"|fuse\.(sshfs|ceph\w*|glusterfs|beegfs|juicefs|lustre|s3fs|gcsfuse|rclone)"
)
MIN_VERSION = (1, 4)
"""Apptainer 1.4 is the first that lets a build choose how it compresses."""


def findings(
    plans: Sequence[Plan], images: Sequence[Image], call: Call | None = None
) -> list[Finding]:
    """All that decides whether trainings can run in `images`; a native run lacks none of it.

    With `call` each image that is there and on record is started as for a training.
    """
    needed = plans[0].experiment.deployment == "apptainer"
    found = [apptainer(needed)]
    starts = found[0].state == "ok"
    looked = [image(wanted, recorded_digests(plans, wanted.environment)) for wanted in images]
    if needed:
        found += looked
    # Of an image that cannot be used, nothing more is asked.
    usable = [wanted for wanted, of_it in zip(images, looked, strict=True) if of_it.state != "lack"]
    there = [wanted for wanted in usable if is_recorded(wanted)] if call else []
    if starts and call and all(finding.state != "lack" for finding in found):
        of_trainings = wanted_of(plans)
        found += [probe(wanted, of_trainings, call) for wanted in there]
    if starts and len(there) < max(len(images), 1):
        found.append(container_start(needed))
    missing = [wanted for wanted in usable if not is_there(wanted)]
    if missing:
        found += room(missing, building_folder(missing[0]))
    return found


def room(missing: Sequence[Image], building: Path, mountinfo: Path = MOUNTINFO) -> list[Finding]:
    """Whether images can be built and kept; `building` is where Apptainer unpacks them, one at a time."""
    sizes = [IMAGE_BYTES[_kind(wanted.environment)] for wanted in missing]
    kept = missing[0].file.parent
    found = [machine.disk("disk for images", kept, sum(sizes))]
    if building != kept:
        found.append(machine.disk("disk for building images", building, max(sizes)))
    place = next(folder for folder in (building, *building.parents) if folder.exists()).resolve()
    try:
        kind = kind_at(place, mountinfo)
    except OSError:
        return found
    if OVER_NETWORK.fullmatch(kind):
        seen = (
            f"{building} is on a network's file system ({kind}), where builds by users mostly fail"
        )
        needed = f"about {max(sizes) / GIB:.0f} GiB"
        fix = f"set {TEMPORARY} to a folder on a disk of this machine with {needed} free"
        found.append(Finding("folder for building images", "warning", seen, fix))
    return found


def apptainer(needed: bool, program: str = "apptainer") -> Finding:
    """Whether containers can be run, and by what."""
    fix = _mend(
        "install Apptainer 1.4 or newer, or run natively, without --use-singularity", needed
    )
    state: State = "lack" if needed else "warning"
    if shutil.which(program) is None:
        return Finding("Apptainer", state, "not installed", fix)
    answer = output_of([program, "--version"], timeout_s=10.0)
    version = re.search(r"(\d+)\.(\d+)", answer or "")
    if answer is None or version is None:
        return Finding("Apptainer", state, f"{program} does not answer", fix)
    if (int(version[1]), int(version[2])) < MIN_VERSION:
        return Finding("Apptainer", state, f"{answer} is too old", fix)
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
    state: State = "lack" if needed else "warning"
    fix = _mend(how_to_allow(), needed)
    return Finding("container start", state, f"refused: {last_words(said)}", fix)


def image(wanted: Image, recorded: Sequence[str]) -> Finding:
    """Whether an engine's image is there and is the one that its finished runs were made in."""
    what = f"image {wanted.environment}"
    try:
        _refuse_place(wanted)
        known = read_record(wanted.record) if wanted.record.is_file() else None
        if known:
            check_image(wanted, known)
        if known or not is_there(wanted):
            check_digest(wanted, known.sha256 if known else None, recorded)
    except EvengroundError as error:
        return Finding(what, "lack", f"{error.what} ({error.where})", error.fix)
    if known:
        return Finding(what, "ok", f"sha256:{known.sha256[:12]} ({wanted.file})")
    if is_there(wanted):
        return Finding(what, "ok", f"there, to be looked at ({wanted.file})")
    fix = "the base image and the package index must be reachable once"
    return Finding(what, "warning", f"to be built ({wanted.file})", fix)


def _refuse_place(wanted: Image) -> None:
    """EvengroundError for a path that cannot be told to Apptainer, or where no image can be made."""
    if found := ODD.search(str(wanted.file)):
        what = f"its path has {found[0]!r}, which a shell or Apptainer takes for something else"
        raise EvengroundError(
            what, str(wanted.file), "point EVENGROUND_CACHE to a folder of a plainer path"
        )
    if is_there(wanted):
        return
    folder = next(folder for folder in wanted.file.parents if os.path.lexists(folder))
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise EvengroundError(
            "no image can be made: nothing can be written there", str(folder), ELSEWHERE
        )


def recorded_digests(plans: Sequence[Plan], environment: str) -> list[str]:
    """Sha256s of the images that the finished ones among the wanted runs of an environment were made in."""
    runs = []
    for plan in plans:
        engines = {
            engine.name for engine in plan.engines if plan.environment(engine) == environment
        }
        runs += [run for run in plan.runs if run.engine in engines]
    images = (found.get("image") for found in recorded_environments(runs, plans[0].root))
    return sorted({str(image["sha256"]) for image in images if image})


def _kind(environment: str) -> str:
    return "cuda" if environment.endswith(CUDA) else "cpu"


def _mend(text: str, needed: bool) -> str:
    return text if needed else f"only needed for --use-singularity: {text}"
