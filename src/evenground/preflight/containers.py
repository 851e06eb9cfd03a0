"""Checks for containers: Apptainer, the right to start one, the engines' images, disk space."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evenground.commands import output_of
from evenground.containers.images import (
    CUDA,
    TEMPORARY,
    Image,
    building_folder,
    check_digest,
    check_image,
    is_recorded,
    is_there,
)
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import allow_namespaces, key_line
from evenground.environments.cache import ELSEWHERE
from evenground.errors import EvengroundError
from evenground.preflight import machine
from evenground.preflight.finding import Finding, error, ok, passed, warning
from evenground.preflight.probe import probe, wanted_of
from evenground.records.environment import ENVIRONMENT, Environment
from evenground.records.image import ImageRecord
from evenground.runs.plan import RUNS, Plan
from evenground.surroundings.mounts import MOUNTINFO, kind_at

GIB = 2**30
# About what building one image takes: downloads, unpacked packages and the image itself.
IMAGE_BYTES = {"cpu": 4 * GIB, "cuda": 20 * GIB}
HOST_PROGRAMS = ("bin", "sbin", "lib", "lib64", "usr")
OTHER_FOLDERS = ("proc", "sys", "dev", "tmp", "etc", "root", "home", "var/tmp")
START_S = 60.0
# Snakemake passes the path of an image to a shell without quoting it.
SPECIAL_CHARACTER = re.compile(r"[^\w@%+=./-]")
# These cannot keep the owners and attributes of an image's files, or keep them only for root.
NETWORK_FILE_SYSTEM = re.compile(
    r"nfs\d?|lustre|gpfs|beegfs|fhgfs\w*|ceph|cifs|smb\w*|9p|afs|panfs|wekafs|orangefs|pvfs2"
    r"|fuse\.(sshfs|ceph\w*|glusterfs|beegfs|juicefs|lustre|s3fs|gcsfuse|rclone)"
)
# Apptainer 1.4 is the first that lets a build choose how it compresses.
MIN_VERSION = (1, 4)


def findings(
    plans: Sequence[Plan], images: Sequence[Image], launcher: Launcher | None = None
) -> list[Finding]:
    """Check everything that decides whether trainings can run in `images`.

    With `launcher`, each recorded image is started as for a training.
    """
    found = [apptainer()]
    can_start = passed(found)
    usable = []
    for candidate in images:
        of_image = image(candidate, recorded_digests(plans, candidate.environment))
        found.append(of_image)
        if of_image.state != "error":
            usable.append(candidate)
    recorded = []
    if launcher:
        recorded = [candidate for candidate in usable if is_recorded(candidate)]
        if passed(found):
            wanted = wanted_of(plans)
            found += [probe(candidate, wanted, launcher) for candidate in recorded]
    # If every image was probed, it is known whether containers start.
    if can_start and len(recorded) < len(images):
        found.append(container_start())
    missing = [candidate for candidate in usable if not is_there(candidate)]
    if missing:
        found += room(missing, building_folder(missing[0]))
    return found


def room(missing: Sequence[Image], building: Path, mountinfo: Path = MOUNTINFO) -> list[Finding]:
    """Check that images can be built in `building`, one at a time, and kept in their folder."""
    sizes = []
    for candidate in missing:
        on_gpu = candidate.environment.endswith(CUDA)
        sizes.append(IMAGE_BYTES["cuda" if on_gpu else "cpu"])
    kept = missing[0].file.parent
    found = [machine.disk("disk for images", kept, sum(sizes))]
    if building != kept:
        found.append(machine.disk("disk for building images", building, max(sizes)))
    kind = kind_at(machine.nearest_existing(building).resolve(), mountinfo)
    if NETWORK_FILE_SYSTEM.fullmatch(kind):
        seen = f"{building} is on a network file system ({kind}), where builds by users mostly fail"
        needed = f"about {max(sizes) / GIB:.0f} GiB"
        fix = f"set {TEMPORARY} to a folder on a disk of this machine with {needed} free"
        found.append(warning("folder for building images", seen, fix))
    return found


def apptainer(program: str = "apptainer") -> Finding:
    """Check that Apptainer is installed and new enough."""
    fix = "install Apptainer 1.4 or newer, or run natively, without --use-singularity"
    if shutil.which(program) is None:
        return error("Apptainer", "not installed", fix)
    version = output_of([program, "--version"], timeout_s=10.0) or ""
    number = re.search(r"(\d+)\.(\d+)", version)
    if number is None:
        return error("Apptainer", f"{program} does not answer", fix)
    if (int(number[1]), int(number[2])) < MIN_VERSION:
        return error("Apptainer", f"{version} is too old", fix)
    return ok("Apptainer", version)


def container_start(program: str = "apptainer") -> Finding:
    """Check that this user can start a container, without any image.

    An Apptainer without setuid needs a user namespace, which many systems do not allow. Only a
    start shows whether this one does.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "exec", "--contain"]
        # The container is an empty folder over which this machine's programs are bound.
        for name in HOST_PROGRAMS:
            if Path("/", name).is_dir():
                Path(folder, name).mkdir()
                command += ["--bind", f"/{name}"]
        for name in OTHER_FOLDERS:
            Path(folder, name).mkdir(parents=True)
        command += [folder, "true"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
        except (OSError, subprocess.TimeoutExpired) as failure:
            reason = str(failure)
        else:
            if done.returncode == 0:
                return ok("container start", "allowed")
            reason = key_line(done.stderr)
    return error("container start", f"refused: {reason}", allow_namespaces())


def image(wanted: Image, recorded: Sequence[str]) -> Finding:
    """Check that an engine's image is there, or can be built, and is the one of its finished runs.

    `recorded`: sha256s of the images of these runs.
    """
    what = f"image {wanted.environment}"
    try:
        _refuse_path(wanted)
        if wanted.record.is_file():
            record = ImageRecord.read(wanted.record)
            check_image(wanted, record)
            check_digest(wanted, record.sha256, recorded)
            return ok(what, f"sha256:{record.sha256[:12]} ({wanted.file})")
        if is_there(wanted):
            return ok(what, f"there, to be checked ({wanted.file})")
        check_digest(wanted, None, recorded)
    except EvengroundError as refused:
        return error(what, f"{refused.what} ({refused.where})", refused.fix)
    fix = "the base image and the package index must be reachable once"
    return warning(what, f"to be built ({wanted.file})", fix)


def _refuse_path(wanted: Image) -> None:
    """Raise EvengroundError for a path that Apptainer misreads, or where no image can be made."""
    special = SPECIAL_CHARACTER.search(str(wanted.file))
    if special:
        what = f"its path has {special[0]!r}, which is special to a shell or Apptainer"
        fix = "point EVENGROUND_CACHE to a folder with a plain path"
        raise EvengroundError(what, str(wanted.file), fix)
    if is_there(wanted):
        return
    # A link that leads nowhere counts: no folder can be made in its place.
    folder = next(folder for folder in wanted.file.parents if os.path.lexists(folder))
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        what = "no image can be made: the folder cannot be written to"
        raise EvengroundError(what, str(folder), ELSEWHERE)


def recorded_digests(plans: Sequence[Plan], environment: str) -> list[str]:
    """Return the sha256s of the images in which finished runs of an environment were made."""
    runs = []
    for plan in plans:
        engines = [engine for engine in plan.engines if plan.environment(engine) == environment]
        names = {engine.name for engine in engines}
        runs += [run for run in plan.runs if run.engine in names]
    digests = set()
    for run in runs:
        path = plans[0].root / RUNS / run.path / ENVIRONMENT
        if path.is_file():
            made_in = Environment.read(path).image
            # None natively.
            if made_in:
                digests.add(made_in.sha256)
    return sorted(digests)
