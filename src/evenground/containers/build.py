"""Building the image of an environment, and what is checked of one that is there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from evenground.containers.images import (
    BASE_LABEL,
    BUILT_LABEL,
    PULLED_LABELS,
    RECIPE_LABEL,
    TEMPORARY,
    Base,
    Image,
    base_of,
    build_arguments,
    building_folder,
    check_digest,
    definition,
    image_of,
    is_there,
    refused_base,
    take_record,
)
from evenground.containers.launcher import Launcher
from evenground.containers.start_failure import explain, key_line
from evenground.environments import site_settings
from evenground.environments.cache import alone, cache_dir
from evenground.errors import EvengroundError
from evenground.files import writing
from evenground.records.image import ImageRecord

LOCAL_BASE = "EVENGROUND_CONTAINER_BASE"
OWN_LABELS = ("evenground.", BUILT_LABEL, PULLED_LABELS)
# Takes half the time of the default; the image is a tenth larger, and every Apptainer can mount it.
COMPRESSION = "-comp gzip -Xcompression-level 1"


def base() -> Base:
    """The base of all images: the pinned one, or the file that EVENGROUND_CONTAINER_BASE names."""
    local = os.environ.get(LOCAL_BASE)
    if local:
        return base_of(Path(), Path(local))
    return base_of(Path(), None)


def images(deployment: str, environments: Sequence[str]) -> list[Image]:
    """The images that an experiment's trainings run in; none for a native experiment."""
    if deployment != "apptainer":
        return []
    begin = base()
    return [_image(environment, begin) for environment in environments]


def _image(environment: str, begin: Base) -> Image:
    return image_of(Path(), environment, begin, cache_dir() / "images")


def ready(
    environment: str, log: Path, recorded: Collection[str], launcher: Launcher
) -> tuple[Image, ImageRecord]:
    """The image of an environment, built if it is missing, and the record of its file.

    `log`: for what the build prints; `recorded`: sha256 of the images of finished runs. Raises
    EvengroundError if it cannot be built or run, is of another recipe, or is not one of these.
    """
    begin = base()
    image = _image(environment, begin)
    if not is_there(image):
        check_digest(image, None, recorded)
        # A second build would have another digest.
        with writing(image.file), alone(image.file):
            if not image.file.is_file():
                build(image, begin, log)
    labels = labels_of(image, launcher)
    refuse_other_recipe(image, begin, labels)
    record = take_record(image.file, labels)
    check_digest(image, record.sha256, recorded)
    return image, record


def refuse_other_recipe(image: Image, begin: Base, labels: dict[str, str]) -> None:
    """Raises EvengroundError if the image was built from other files, or on another base."""
    if labels.get(RECIPE_LABEL) != image.recipe or labels.get(BASE_LABEL) != begin.identity:
        raise EvengroundError(
            f"the image of '{image.environment}' was not built from this definition, pins, files "
            "and base",
            str(image.file),
            "move it away to have it built, or copy in the one that the pipeline built at this "
            "commit",
        )


def build(image: Image, begin: Base, log: Path) -> None:
    """Build the image; raises EvengroundError if Apptainer fails."""
    print(f"building the image of '{image.environment}' (once per recipe; {log}) ...", flush=True)
    # It gets its final name once it is complete.
    partial = image.file.with_suffix(".part")
    command = as_root()
    command += ["apptainer", "build", "--force", "--mksquashfs-args", COMPRESSION]
    for name, value in build_arguments(Path(), image, begin).items():
        command += ["--build-arg", f"{name}={value}"]
    command += [str(partial), str(definition(Path(), image.environment))]
    env = site_settings.for_image(os.environ) | {TEMPORARY: str(building_folder(image))}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env).returncode
    if status:
        partial.unlink(missing_ok=True)
        printed = log.read_text(errors="replace")
        if refused := refused_base(begin, printed):
            raise refused
        raise EvengroundError(
            f"the image of '{image.environment}' could not be built: {key_line(printed)}",
            str(log),
            "see there",
        )
    partial.rename(image.file)


def as_root() -> list[str]:
    """The start of a command line for root that lacks capabilities, as in a small virtual machine.

    It makes root the root of a user namespace. Apptainer needs every capability when root builds,
    and none when a user does.
    """
    if os.geteuid() != 0:
        return []
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    every = (1 << (last + 1)) - 1
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, mask = line.partition(":")
        if name == "CapEff" and int(mask, 16) == every:
            return []
    return ["unshare", "--map-root-user"]


def labels_of(image: Image, launcher: Launcher) -> dict[str, str]:
    """The image's own labels; raises EvengroundError if it is no image or cannot be run."""
    inspected = apptainer("inspect", "--json", "--labels", str(image.file))
    started = inspected
    if inspected.returncode == 0:
        started = apptainer("exec", "--cleanenv", str(image.file), "true")
    if started.returncode:
        reason, fix = explain(started.stderr, launcher)
        raise EvengroundError(
            f"the image of '{image.environment}' cannot be run: {reason}", str(image.file), fix
        )
    labels = json.loads(inspected.stdout)["data"]["attributes"]["labels"]
    return {name: value for name, value in sorted(labels.items()) if name.startswith(OWN_LABELS)}


def apptainer(*args: str) -> subprocess.CompletedProcess[str]:
    """Run Apptainer, which the gate has found."""
    command = ["apptainer"]
    command += args
    return subprocess.run(command, capture_output=True, text=True, errors="replace")
