"""What is mounted in a container where the image has its own files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
# Where images keep programs and settings; what a site mounts elsewhere no program looks for.
OF_IMAGES = (
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/usr",
    "/opt",
    "/etc",
    "/.singularity.d",
)
# Where `--nv` puts the driver's libraries, which an engine is told to look in.
DRIVER = "/.singularity.d/libs"
# What Apptainer mounts there in every container: names of users and hosts, the time zone, its own folder.
_OF_APPTAINER = re.compile(
    r"/etc/(hosts|hostname|localtime|resolv\.conf|passwd|group)|/\.singularity\.d(/libs)?"
)
# And of `--nv`: the driver's programs, libraries and settings, by its nvliblist.conf.
_LIBRARIES = (
    r"lib(cuda|cudadebugger|E?GL\w*|glx|OpenGL|OpenCL|nvcuvid|nvoptix|nvidia-[\w-]+|vdpau_nvidia)"
    r"|nvidia_drv|tls_test_"
)
_OF_DRIVER = re.compile(
    r"/usr/s?bin/nvidia-[a-z-]+"
    r"|/usr/share/(glvnd|vulkan|egl|nvidia)/.*nv(idia|optix)[\w.]*"
    rf"|{re.escape(DRIVER)}/({_LIBRARIES})\.so[\d.]*"
)
_ESCAPED = re.compile(r"\\([0-7]{3})")
# A folder that every image has and nobody mounts.
_SURELY_OF_IMAGE = "/.singularity.d/actions"


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo: what of which file system is seen where."""

    device: str
    """`major:minor`."""
    root: str
    """Folder or file of the file system."""
    point: str
    kind: str = ""
    """Type of the file system, as `ext4` or `nfs4`."""


def read_mounts(mountinfo: Path = MOUNTINFO) -> list[Mount]:
    """Every mount that this process sees, in order; OSError where there is no such file."""
    return [_mount(fields) for fields in _lines(mountinfo)]


def root_options(mountinfo: Path = MOUNTINFO) -> dict[str, str]:
    """How the file system that is seen at `/` was mounted; OSError as by `read_mounts`."""
    root = [fields for fields in _lines(mountinfo) if fields[4] == "/"][-1]
    return dict(word.partition("=")[::2] for word in root[-1].split(","))


def _lines(mountinfo: Path) -> list[list[str]]:
    lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return [line.split(" ") for line in lines]


def _mount(fields: Sequence[str]) -> Mount:
    # Fields that not every line has end with a hyphen.
    kind = fields[fields.index("-") + 1]
    return Mount(
        device=fields[2], root=_unescaped(fields[3]), point=_unescaped(fields[4]), kind=kind
    )


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def over_image(mounts: Sequence[Mount]) -> list[Mount]:
    """The mounts of a container that show something else than its image.

    Where Apptainer can lay nothing over an image it mounts each of the image's folders by itself.
    """
    image = max(
        (mount for mount in mounts if is_below(_SURELY_OF_IMAGE, mount.point)),
        key=lambda mount: len(mount.point),
        default=Mount("", "", ""),
    )
    beginning = image.root.removesuffix(image.point)
    return [
        mount
        for mount in mounts
        if mount.point != "/"
        and (mount.device, mount.root) != (image.device, beginning + mount.point)
    ]


def foreign_mounts(copy: Path, ours: Collection[str], mountinfo: Path = MOUNTINFO) -> list[str]:
    """Mount points in the image's folders and in the working copy that neither Apptainer nor we made.

    `ours`: what the pipeline binds beside the working copy, and what the machine itself mounts in that.
    OSError as by `read_mounts`.
    """
    places = (*OF_IMAGES, str(copy))
    known = {str(copy), *ours}
    points = [mount.point for mount in over_image(read_mounts(mountinfo))]
    return sorted(set(_foreign(points, places, known)))


def _foreign(
    points: Collection[str], places: Collection[str], known: Collection[str]
) -> Iterator[str]:
    for point in points:
        is_inside = any(is_below(point, place) for place in places)
        if is_inside and point not in known and not is_expected(point):
            yield point


def mounted_below(folder: Path, mountinfo: Path = MOUNTINFO) -> list[str]:
    """Where something is mounted in a folder, as a disk for its data; OSError as by `read_mounts`."""
    points = {mount.point for mount in read_mounts(mountinfo)} - {str(folder)}
    return sorted(point for point in points if is_below(point, str(folder)))


def kind_at(folder: Path, mountinfo: Path = MOUNTINFO) -> str:
    """The type of the file system that a path without links lies on; OSError as by `read_mounts`."""
    above = [mount for mount in read_mounts(mountinfo) if is_below(str(folder), mount.point)]
    longest = max((len(mount.point) for mount in above), default=0)
    # Of several at one place the last one is seen.
    return next((mount.kind for mount in reversed(above) if len(mount.point) == longest), "")


def is_expected(point: str) -> bool:
    """Whether Apptainer mounts something there by itself, with `--nv`."""
    return bool(_OF_APPTAINER.fullmatch(point) or _OF_DRIVER.fullmatch(point))


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is the folder or lies in it; both are taken as they are written."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
