"""Container images: what determines one before it is built, and whether a file is unchanged."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from evenground import digests
from evenground.containers.pins import LIBRARIES, PINS, load_pins
from evenground.errors import EvengroundError, words_of
from evenground.files import read_json, sha256_file, sha256_json
from evenground.records.image import ImageRecord

CONTAINERS = Path("containers")
# The definition of every environment without one of its own.
FOR_PYTHON = CONTAINERS / "python.def"
RECORDS = Path("results/images")
CUDA = "-cuda"
ANY_PYTHON = "any"
# Where a definition puts the two Pythons of an image.
ENGINE_PYTHON = "/opt/evenground/engine/bin/python"
RUNNER_PYTHON = "/opt/evenground/runner/bin/python"
RECIPE_LABEL, BASE_LABEL, LOCK_LABEL = "evenground.recipe", "evenground.base", "evenground.lock"
BUILT_LABEL = "org.label-schema.build-date"
# Name and digest of the pulled base; only newer Apptainers write them.
PULLED_LABELS = "org.opencontainers.image.base."
NO_MANIFEST = re.compile(r"manifest[ _](unknown|invalid)|name[ _]unknown", re.I)
LABELS_INSIDE = Path("/.singularity.d/labels.json")
TEMPORARY = "APPTAINER_TMPDIR"
READABLE = "let this user read it (chmod a+rX), or point EVENGROUND_CACHE to a folder of your own"


@dataclass(frozen=True)
class Base:
    """The image that a build starts from."""

    bootstrap: str
    reference: str
    """As Apptainer finds it."""
    identity: str
    """What distinguishes it from other bases."""
    python: str
    """Minor version, e.g. `3.12`; `any` takes what the image or its packages have."""


@dataclass(frozen=True)
class Image:
    """The image of one environment; neither its file nor its record need exist yet."""

    environment: str
    recipe: str
    file: Path
    record: Path


def definition(root: Path, environment: str) -> Path:
    """The definition file of an environment and of its CUDA variant."""
    special = CONTAINERS / f"{environment.removesuffix(CUDA)}.def"
    if (root / special).is_file():
        return special
    return FOR_PYTHON


def recipe(root: Path, environment: str) -> str:
    """Hexadecimal sha256 of everything in the repository that determines an image.

    That is the definition, the pinned libraries and every file it copies in: locks, and the code of
    an engine that is compiled there. Raises as `copied_in`.
    """
    # Not the image's own digest: it is unknown before the build, and a second build has another.
    paths = [definition(root, environment)] + copied_in(root, environment)
    files = digests.tree([root / path for path in paths], root)
    return sha256_json([files, _libraries(root, environment)])


def _libraries(root: Path, environment: str) -> dict[str, str]:
    """The pinned version of each of CUDA's libraries; `none` for an environment without CUDA."""
    if not environment.endswith(CUDA):
        return dict.fromkeys(LIBRARIES, "none")
    pins = load_pins(root)
    return {name: getattr(pins, name) for name in LIBRARIES}


def copied_in(root: Path, environment: str) -> list[Path]:
    """What the definition copies in from the repository; EvengroundError if it is missing."""
    where = definition(root, environment)
    text = re.sub(r"\{\{\s*lock\s*\}\}", environment, (root / where).read_text(encoding="utf-8"))
    paths: list[Path] = []
    section: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith("%"):
            section = words
        # `%files from STAGE` copies out of another image.
        elif section == ["%files"] and words and not words[0].startswith("#"):
            paths.append(Path(words[0]))
    for path in paths:
        if not (root / path).exists():
            what = f"the container of '{environment}' copies in what is not there"
            raise EvengroundError(what, f"{where}: {path}", "fix %files there")
    return paths


def base_of(root: Path, local: Path | None) -> Base:
    """The pinned base, or the image file `local` (EVENGROUND_CONTAINER_BASE) in its place.

    Raises EvengroundError if that file is missing, or the pins are broken.
    """
    if local is not None:
        if not local.is_file():
            fix = "build it (containers/local_base.sh), or unset EVENGROUND_CONTAINER_BASE"
            raise EvengroundError("the base image is missing", str(local), fix)
        return Base(
            bootstrap="localimage",
            reference=str(local),
            identity=f"sha256:{sha256_file(local)}",
            python=ANY_PYTHON,
        )
    pinned = load_pins(root).base
    reference = identity = f"{pinned.image}:{pinned.tag}"
    if pinned.digest:
        # Apptainer takes a tag or a digest, not both.
        reference = f"{pinned.image}@{pinned.digest}"
        identity += f"@{pinned.digest}"
    return Base(bootstrap="docker", reference=reference, identity=identity, python=pinned.python)


def refused_base(base: Base, output: str) -> EvengroundError | None:
    """The error of a build with this `output`, if the registry does not have the pinned digest."""
    # Only the reference of a pinned base has an `@`, and only before its digest.
    if base.bootstrap != "docker" or "@" not in base.reference or not NO_MANIFEST.search(output):
        return None
    what = f"the registry does not have the base image of that digest: {base.identity}"
    return EvengroundError(what, str(PINS), "set base.digest: null there to build by the tag alone")


def image_of(root: Path, environment: str, base: Base, folder: Path) -> Image:
    """The image of `environment` in `folder`, where each recipe and base has its own file."""
    digest = recipe(root, environment)
    name = f"{environment}-{sha256_json([digest, base.identity])[:12]}"
    return Image(
        environment=environment,
        recipe=digest,
        file=folder / f"{name}.sif",
        record=RECORDS / f"{name}.json",
    )


def build_arguments(root: Path, image: Image, base: Base) -> dict[str, str]:
    """The values of the definition's arguments for this image."""
    return {
        "bootstrap": base.bootstrap,
        "base": base.reference,
        "base_id": base.identity,
        "python": base.python,
        "lock": image.environment,
        **_libraries(root, image.environment),
        "recipe": image.recipe,
    }


def building_folder(image: Image, environ: Mapping[str, str] = os.environ) -> Path:
    """Where Apptainer unpacks what it builds: APPTAINER_TMPDIR, else the image's folder."""
    # Not the system's temporary folder, which may be small and in memory.
    return Path(environ.get(TEMPORARY) or image.file.parent).absolute()


def take_record(image: Path, labels: Mapping[str, str]) -> ImageRecord:
    """The record of the image file as it is now."""
    status = image.stat()
    return ImageRecord(
        name=image.stem,
        sha256=sha256_file(image),
        bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        labels=dict(labels),
    )


def is_there(image: Image) -> bool:
    """Whether the file exists; EvengroundError if this user may not look."""
    try:
        return stat.S_ISREG(image.file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        what = f"the image of '{image.environment}' cannot be looked at: {words_of(error)}"
        raise EvengroundError(what, str(image.file), READABLE) from None


def is_recorded(image: Image) -> bool:
    """Whether the file exists and this working copy has a record of it."""
    return is_there(image) and image.record.is_file()


def check_image(image: Image, record: ImageRecord) -> None:
    """Check that an image file is the recorded one.

    Raises EvengroundError for a missing, an unreadable, a truncated and a different file.
    """
    fix = f"put the recorded file there; to build it anew, move it and {image.record} away"
    what, where = f"the image of '{image.environment}'", str(image.file)
    if not is_there(image):
        raise EvengroundError(f"{what} is missing", where, fix)
    if not os.access(image.file, os.R_OK):
        raise EvengroundError(f"{what} may not be read", where, READABLE)
    status = image.file.stat()
    if status.st_size < record.bytes:
        sizes = f"{status.st_size:,} of {record.bytes:,} bytes"
        raise EvengroundError(f"{what} is truncated: {sizes}", where, fix)
    # Images have gigabytes: the content is hashed only where size or time differ.
    if (status.st_size, status.st_mtime_ns) == (record.bytes, record.mtime_ns):
        return
    digest = sha256_file(image.file)
    if digest != record.sha256:
        differs = f"is sha256:{digest[:12]}, recorded is sha256:{record.sha256[:12]}"
        raise EvengroundError(f"{what} {differs}", where, fix)


def check_inside(image: ImageRecord, labels_file: Path = LABELS_INSIDE) -> None:
    """Check, inside a container, that it runs the recorded image; raises EvengroundError if not."""
    # The image's file may be replaced during a long invocation.
    inside = read_json(labels_file)
    if any(inside.get(name) != value for name, value in image.labels.items()):
        what = f"the image {image.name} was replaced during this invocation"
        raise EvengroundError(what, str(labels_file), "run again")


def check_digest(image: Image, digest: str | None, recorded: Collection[str]) -> None:
    """Check that an image is the one that finished runs of this environment were made in.

    `digest` is the sha256 of the file, None if it does not exist yet; `recorded` are the sha256s in
    those runs' `environment.json`. Raises EvengroundError if they differ.
    """
    if not recorded or set(recorded) == {digest}:
        return
    seen = "is missing"
    if digest:
        seen = f"is sha256:{digest[:12]}"
    made = " and ".join(f"sha256:{other[:12]}" for other in sorted(recorded))
    raise EvengroundError(
        f"the image of '{image.environment}' {seen}, finished runs were made in {made}",
        str(image.file),
        "put that image there; to make those runs anew, set them aside: ./evenground aside RUN ...",
    )
