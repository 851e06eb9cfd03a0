#!/usr/bin/env python3
"""Build the container image of an environment, unless it is in the cache, and write its record."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
from pathlib import Path

import _path  # noqa: F401
from contain import launcher_of
from evenground.containers.apptainer import Told
from evenground.containers.images import (
    BASE_LABEL,
    BUILT_LABEL,
    ELSEWHERE,
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
from evenground.environments.build import cache_dir
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.preflight.gate import refuse_errors, say_what_flags
from evenground.preflight.probe import probe, wanted_of
from evenground.runs.study import Study, make_study

LOCAL_BASE = "EVENGROUND_CONTAINER_BASE"
OWN_LABELS = ("evenground.", BUILT_LABEL, PULLED_LABELS)
# Takes half the time of the default; the image is a tenth larger, and every Apptainer can mount it.
COMPRESSION = "-comp gzip -Xcompression-level 1"


def image_dir() -> Path:
    """Folder of the images in the cache."""
    return cache_dir() / "images"


def base() -> Base:
    """The base of all images: the pinned one, or the file that EVENGROUND_CONTAINER_BASE names."""
    local = os.environ.get(LOCAL_BASE)
    if local:
        return base_of(Path(), Path(local))
    return base_of(Path(), None)


def images(study: Study) -> list[Image]:
    """The images that an experiment's trainings run in; none for a native experiment."""
    if study.first.experiment.deployment != "apptainer":
        return []
    begin = base()
    return [image_of(Path(), environment, begin, image_dir()) for environment in study.environments]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help="its requirements are envs/ENVIRONMENT.txt")
    parser.add_argument(
        "--record", type=Path, required=True, help="results/images/NAME.json, written last"
    )
    parser.add_argument("--log", type=Path, required=True, help="what the build prints")
    parser.add_argument(
        "--recorded", nargs="*", default=[], help="sha256 of the image of finished runs"
    )
    parser.add_argument("--experiment", type=Path, help="experiment.json of the deployment")
    parser.add_argument("--told", help="Apptainer's settings in this invocation, as JSON")
    args = parser.parse_args()
    begin = base()
    image = image_of(Path(), args.environment, begin, image_dir())
    if not is_there(image):
        check_digest(image, None, args.recorded)
        make(image, begin, args.log)
    told = Told(arguments="", bound=[], ours=[])
    if args.told:
        told = Told.of(args.told)
    launcher = launcher_of(told)
    labels = labels_of(image, launcher)
    refuse_other_recipe(image, begin, labels)
    record = take_record(image.file, labels)
    check_digest(image, record.sha256, args.recorded)
    record.write(args.record)
    if args.told:
        probe_image(image, launcher, args.experiment)
    size_mb = record.bytes / 1e6
    digest = record.sha256[:12]
    print(f"image of '{image.environment}': {size_mb:.0f} MB, sha256:{digest}", flush=True)


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


def probe_image(image: Image, launcher: Launcher, experiment: Path) -> None:
    """Try in the image what trainings need; raises EvengroundError if something is missing."""
    study = make_study(read_json(experiment), Path.cwd(), str(experiment))
    findings = [probe(image, wanted_of([part.plan for part in study.parts]), launcher)]
    say_what_flags(findings)
    refuse_errors(findings, "deployment: apptainer")


def make(image: Image, begin: Base, log: Path) -> None:
    """Build the image, in one working copy at a time; raises EvengroundError if that fails."""
    try:
        image.file.parent.mkdir(parents=True, exist_ok=True)
        with image.file.with_suffix(".lock").open("w") as lock:
            # A second build would have another digest.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not image.file.is_file():
                build(image, begin, log)
    except OSError as error:
        raise EvengroundError(
            f"the image of '{image.environment}' cannot be made: {error}",
            str(image.file.parent),
            ELSEWHERE,
        ) from error


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


if __name__ == "__main__":
    cli(main)
