#!/usr/bin/env python3
"""Have the container image of one environment in the cache, built or copied in, and write its record."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
from pathlib import Path

import _path  # noqa: F401
import site_settings
from contain import launcher_of
from environment import cache_dir
from evenground.apptainer import Told
from evenground.errors import EvengroundError, cli
from evenground.files import read_json
from evenground.images import (
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
from evenground.preflight.gate import refuse_errors, say_what_flags
from evenground.preflight.launcher import Launcher
from evenground.preflight.probe import probe, wanted_of
from evenground.preflight.start_failure import explain, key_line
from evenground.runs.study import Study, make_study

LOCAL_BASE = "EVENGROUND_CONTAINER_BASE"
OWN_LABELS = ("evenground.", BUILT_LABEL, PULLED_LABELS)
# Half the time of the default; the image is a tenth larger and every Apptainer can mount it.
COMPRESSION = "-comp gzip -Xcompression-level 1"


def image_dir() -> Path:
    """Folder of the images in the cache."""
    return cache_dir() / "images"


def base() -> Base:
    """The base of all images: the pinned one, or the file that EVENGROUND_CONTAINER_BASE names."""
    local = os.environ.get(LOCAL_BASE)
    return base_of(Path(), Path(local) if local else None)


def images(study: Study) -> list[Image]:
    """The images that trainings of an experiment run in; none of a native one."""
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
    parser.add_argument("--told", help="Apptainer's settings in this call, as JSON")
    args = parser.parse_args()
    begin = base()
    image = image_of(Path(), args.environment, begin, image_dir())
    if not is_there(image):
        check_digest(image, None, args.recorded)
        make(image, begin, args.log)
    told = Told.of(args.told) if args.told else Told(arguments="", bound=[], ours=[])
    launcher = launcher_of(told)
    labels = labels_of(image, launcher)
    if (labels.get(RECIPE_LABEL), labels.get(BASE_LABEL)) != (image.recipe, begin.identity):
        raise EvengroundError(
            f"the image of '{image.environment}' was not built from this definition, pins, files and base",
            str(image.file),
            "move it away to have it built, or copy in the one that the pipeline built at this commit",
        )
    record = take_record(image.file, labels)
    check_digest(image, record.sha256, args.recorded)
    record.write(args.record)
    if args.told:
        study = make_study(read_json(args.experiment), Path.cwd(), str(args.experiment))
        found = [probe(image, wanted_of([part.plan for part in study.parts]), launcher)]
        say_what_flags(found)
        refuse_errors(found, "deployment: apptainer")
    print(
        f"image of '{image.environment}': {record.bytes / 1e6:.0f} MB, sha256:{record.sha256[:12]}",
        flush=True,
    )


def make(image: Image, begin: Base, log: Path) -> None:
    """Build the image, one working copy at a time: a second build would have another digest."""
    try:
        image.file.parent.mkdir(parents=True, exist_ok=True)
        with image.file.with_suffix(".lock").open("w") as lock:
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
    """Build the image under a passing name, then give it its own: no half image is ever taken for whole."""
    print(f"building the image of '{image.environment}' (once per recipe; {log}) ...", flush=True)
    partial = image.file.with_suffix(".part")
    args = build_arguments(Path(), image, begin)
    words = [word for name, value in args.items() for word in ("--build-arg", f"{name}={value}")]
    command = ["apptainer", "build", "--force", "--mksquashfs-args", COMPRESSION, *words]
    command += [str(partial), str(definition(Path(), image.environment))]
    env = {**site_settings.for_image(os.environ), TEMPORARY: str(building_folder(image))}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        status = subprocess.run(
            [*as_root(), *command], stdout=file, stderr=subprocess.STDOUT, env=env
        ).returncode
    if status:
        partial.unlink(missing_ok=True)
        printed = log.read_text(errors="replace")
        if refused := refused_base(begin, printed):
            raise refused
        said = key_line(printed)
        raise EvengroundError(
            f"the image of '{image.environment}' could not be built: {said}", str(log), "see there"
        )
    partial.rename(image.file)


def as_root() -> list[str]:
    """What makes root without all capabilities, as in a small virtual machine, the root of a user namespace.

    Apptainer asks for every capability when root builds, and for none when a user does.
    """
    held = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapEff")
    )
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    whole = int(held.split()[1], 16) == (1 << (last + 1)) - 1
    return ["unshare", "--map-root-user"] if os.geteuid() == 0 and not whole else []


def labels_of(image: Image, launcher: Launcher) -> dict[str, str]:
    """The image's own labels; EvengroundError for a file that is no image, or that cannot be run."""
    told = run(["inspect", "--json", "--labels", str(image.file)])
    started = told if told.returncode else run(["exec", "--cleanenv", str(image.file), "true"])
    if started.returncode:
        seen, fix = explain(started.stderr, launcher)
        raise EvengroundError(
            f"the image of '{image.environment}' cannot be run: {seen}", str(image.file), fix
        )
    found = json.loads(told.stdout)["data"]["attributes"]["labels"]
    return {name: value for name, value in sorted(found.items()) if name.startswith(OWN_LABELS)}


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Call Apptainer, which the gate has found."""
    return subprocess.run(["apptainer", *words], capture_output=True, text=True, errors="replace")


if __name__ == "__main__":
    cli(main)
