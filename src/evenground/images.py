"""Container images: what decides one before it is built, and whether a file is still the one on record."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evenground.errors import EvengroundError, set_aside, words_of
from evenground.files import read_json, sha256_file, sha256_json, sha256_tree, write_json
from evenground.pins import LIBRARIES, PINS, load_pins

CONTAINERS = Path("containers")
# Of every environment that has no definition of its own.
FOR_PYTHON = CONTAINERS / "python.def"
RECORDS = Path("results/images")
CUDA = "-cuda"
ANY_PYTHON = "any"
# Where a definition puts the two Pythons of an image.
ENGINE_PYTHON = "/opt/evenground/engine/bin/python"
RUNNER_PYTHON = "/opt/evenground/runner/bin/python"
RECIPE_LABEL, BASE_LABEL, LOCK_LABEL = "evenground.recipe", "evenground.base", "evenground.lock"
BUILT_LABEL = "org.label-schema.build-date"
# Name and digest of what was pulled: only newer Apptainers write them.
PULLED_LABELS = "org.opencontainers.image.base."
NO_MANIFEST = re.compile(r"manifest[ _](unknown|invalid)|name[ _]unknown", re.I)
LABELS_INSIDE = Path("/.singularity.d/labels.json")
TEMPORARY = "APPTAINER_TMPDIR"
ELSEWHERE = "point EVENGROUND_CACHE to a folder that can be written"
READABLE = "let this user read it (chmod a+rX), or point EVENGROUND_CACHE to a folder of his own"


@dataclass(frozen=True)
class Base:
    """The image a build begins with: `reference` for Apptainer, `identity` tells it from others."""

    bootstrap: str
    reference: str
    identity: str
    python: str
    """Minor version, `3.12`; `any` takes what the image or its packages have."""


@dataclass(frozen=True)
class Record:
    """An image file as it was when it was built or copied in; kept in `results/images`."""

    name: str
    sha256: str
    bytes: int
    mtime_ns: int
    labels: dict[str, str]
    unpacked_bytes: int | None = None
    """What its files take where Apptainer unpacks it; None where that was not known."""
    schema: int = 1

    def write(self, path: Path) -> None:
        """Replace the record at `path`."""
        write_json(path, asdict(self))


@dataclass(frozen=True)
class Image:
    """The image of one environment: its file, built or to be built, and this working copy's record of it."""

    environment: str
    recipe: str
    file: Path
    record: Path


def definition(root: Path, environment: str) -> Path:
    """The definition file of an environment and its CUDA variant: its own, or that of all of Python's."""
    own = CONTAINERS / f"{environment.removesuffix(CUDA)}.def"
    return own if (root / own).is_file() else FOR_PYTHON


def recipe(root: Path, environment: str) -> str:
    """Hexadecimal sha256 of all that decides an image and stands in the repository.

    Definition, pinned libraries and every file it copies in: locks, and the code of an engine that is
    compiled there. The image's own digest is not known before it is built and a second build has another.
    EvengroundError where what the definition copies in is missing.
    """
    paths = [definition(root, environment), *copied_in(root, environment)]
    files = sha256_tree([root / path for path in paths], root)
    return sha256_json([files, _libraries(root, environment)])


def _libraries(root: Path, environment: str) -> dict[str, str]:
    """CUDA's pinned libraries, as a definition calls them; `none` without CUDA."""
    pins = load_pins(root)
    on_gpu = environment.endswith(CUDA)
    return {name: getattr(pins, name) if on_gpu else "none" for name in LIBRARIES}


def copied_in(root: Path, environment: str) -> list[Path]:
    """What the definition copies in from the repository; EvengroundError for what is not there."""
    where = definition(root, environment)
    text = re.sub(r"\{\{\s*lock\s*\}\}", environment, (root / where).read_text(encoding="utf-8"))
    found, copies = [], False
    for words in filter(None, map(str.split, text.splitlines())):
        if words[0].startswith("%"):
            # With `from STAGE` it copies out of another image.
            copies = words == ["%files"]
        elif copies and not words[0].startswith("#"):
            found.append(Path(words[0]))
    for path in found:
        if not (root / path).exists():
            what, fix = (
                f"the container of '{environment}' copies in what is not there",
                "fix %files there",
            )
            raise EvengroundError(what, f"{where}: {path}", fix)
    return found


def base_of(root: Path, local: Path | None) -> Base:
    """The pinned base, or the image file `local` in its place (EVENGROUND_CONTAINER_BASE)."""
    if local is not None:
        if not local.is_file():
            raise EvengroundError(
                "the base image is missing",
                str(local),
                "build it (containers/local_base.sh), or unset EVENGROUND_CONTAINER_BASE",
            )
        return Base("localimage", str(local), f"sha256:{sha256_file(local)}", ANY_PYTHON)
    pinned = load_pins(root).base
    tagged = f"{pinned.image}:{pinned.tag}"
    if not pinned.digest:
        return Base("docker", tagged, tagged, pinned.python)
    # Apptainer takes a tag or a digest, not both.
    return Base(
        "docker", f"{pinned.image}@{pinned.digest}", f"{tagged}@{pinned.digest}", pinned.python
    )


def refused_base(base: Base, said: str) -> EvengroundError | None:
    """Why a build failed that ended with the words `said`: the registry does not have the pinned digest."""
    if base.bootstrap != "docker" or "@" not in base.reference or not NO_MANIFEST.search(said):
        return None
    what = f"the registry does not have the base image of that digest: {base.identity}"
    return EvengroundError(what, str(PINS), "set base.digest: null there to build by the tag alone")


def image_of(root: Path, environment: str, base: Base, folder: Path) -> Image:
    """The image of `environment` in `folder`, one file per recipe and base."""
    wanted = recipe(root, environment)
    name = f"{environment}-{sha256_json([wanted, base.identity])[:12]}"
    return Image(environment, wanted, folder / f"{name}.sif", RECORDS / f"{name}.json")


def build_arguments(root: Path, image: Image, base: Base) -> dict[str, str]:
    """What the definition's arguments are for this image."""
    return {
        "bootstrap": base.bootstrap,
        "base": base.reference,
        "base_id": base.identity,
        "python": base.python,
        "lock": image.environment,
        **_libraries(root, image.environment),
        "recipe": image.recipe,
    }


def building_folder(image: Image, given: Mapping[str, str] = os.environ) -> Path:
    """Where Apptainer unpacks what it builds: APPTAINER_TMPDIR, else beside the image.

    The system's folder for passing files may be small and in memory.
    """
    return Path(given.get(TEMPORARY) or image.file.parent).absolute()


def take_record(
    image: Path, labels: Mapping[str, str], unpacked_bytes: int | None = None
) -> Record:
    """The record of the image file as it is now."""
    seen = image.stat()
    return Record(
        name=image.stem,
        sha256=sha256_file(image),
        bytes=seen.st_size,
        mtime_ns=seen.st_mtime_ns,
        labels=dict(labels),
        unpacked_bytes=unpacked_bytes,
    )


def read_record(path: Path) -> Record:
    """The record at `path`; EvengroundError where it is missing or broken."""
    content: dict[str, Any] = read_json(path)
    try:
        return Record(**content)
    except TypeError:
        raise EvengroundError("not the record of an image", str(path), set_aside(path)) from None


def is_there(image: Image) -> bool:
    """Whether there is a file; EvengroundError where this user may not look."""
    try:
        return stat.S_ISREG(image.file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        what = f"the image of '{image.environment}' cannot be looked at: {words_of(error)}"
        raise EvengroundError(what, str(image.file), READABLE) from None


def is_recorded(image: Image) -> bool:
    """Whether the file is there and this working copy has a record of it."""
    return is_there(image) and image.record.is_file()


def check_image(image: Image, record: Record) -> None:
    """Refuse an image file that is not the recorded one; its content is read only where size or time differ.

    EvengroundError for a missing, an unreadable, a truncated and a different file.
    """
    anew = f"put the recorded file there; to build it anew, move it and {image.record} away"
    what = f"the image of '{image.environment}'"
    if not is_there(image):
        raise EvengroundError(f"{what} is missing", str(image.file), anew)
    if not os.access(image.file, os.R_OK):
        raise EvengroundError(f"{what} may not be read", str(image.file), READABLE)
    seen = image.file.stat()
    if seen.st_size < record.bytes:
        cut = f"{what} is truncated: {seen.st_size:,} of {record.bytes:,} bytes"
        raise EvengroundError(cut, str(image.file), anew)
    if (seen.st_size, seen.st_mtime_ns) == (record.bytes, record.mtime_ns):
        return
    digest = sha256_file(image.file)
    if digest != record.sha256:
        other = f"{what} is sha256:{digest[:12]}, recorded is sha256:{record.sha256[:12]}"
        raise EvengroundError(other, str(image.file), anew)


def check_inside(image: Record, labels_file: Path = LABELS_INSIDE) -> None:
    """Refuse to run in another image than the recorded one: its file may be replaced during a long call."""
    inside = read_json(labels_file)
    if any(inside.get(name) != value for name, value in image.labels.items()):
        raise EvengroundError(
            f"the image {image.name} was replaced during this call", str(labels_file), "run again"
        )


def check_digest(image: Image, digest: str | None, recorded: Collection[str]) -> None:
    """Refuse to train in an image beside finished runs that were made in another one.

    `digest` is the file's sha256, None where there is no file yet; `recorded` the sha256s in those runs'
    `environment.json`.
    """
    if not recorded or (len(recorded) == 1 and digest in recorded):
        return
    made = " and ".join(f"sha256:{other[:12]}" for other in sorted(recorded))
    seen = f"is sha256:{digest[:12]}" if digest else "is missing"
    raise EvengroundError(
        f"the image of '{image.environment}' {seen}, finished runs were made in {made}",
        str(image.file),
        "put that image there; to make those runs anew, set them aside: ./evenground aside RUN ...",
    )
