"""What is mounted in a container where the image has its own files."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from evenground.sidecar.mounts import Mount, read_mounts

MOUNTINFO = Path("/proc/self/mountinfo")
# Where images keep programs and settings: programs do not look into other folders that a site may
# have mounted.
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
# Where `--nv` puts the driver's libraries; Apptainer adds it to LD_LIBRARY_PATH.
DRIVER = "/.singularity.d/libs"
# What Apptainer mounts in every container: names of users and hosts, the time zone, its own folder.
_OF_APPTAINER = re.compile(
    r"/etc/(hosts|hostname|localtime|resolv\.conf|passwd|group)|/\.singularity\.d(/libs)?"
)
# What `--nv` adds: the driver's programs, libraries and settings, by Apptainer's nvliblist.conf.
_LIBRARIES = (
    r"lib(cuda|cudadebugger|E?GL\w*|glx|OpenGL|OpenCL|nvcuvid|nvoptix|nvidia-[\w-]+|vdpau_nvidia)"
    r"|nvidia_drv|tls_test_"
)
_OF_DRIVER = re.compile(
    r"/usr/s?bin/nvidia-[a-z-]+"
    r"|/usr/share/(glvnd|vulkan|egl|nvidia)/.*nv(idia|optix)[\w.]*"
    rf"|{re.escape(DRIVER)}/({_LIBRARIES})\.so[\d.]*"
)
# Every image has this folder, and no site mounts something over it.
_SURELY_OF_IMAGE = "/.singularity.d/actions"


def root_options(mountinfo: Path = MOUNTINFO) -> dict[str, str]:
    """How the file system at `/` was mounted; raises as `read_mounts`."""
    # Of several at one place the last one is seen.
    root = [mount for mount in read_mounts(mountinfo) if mount.point == "/"][-1]
    return dict(option.partition("=")[::2] for option in root.options.split(","))


def over_image(mounts: Sequence[Mount]) -> list[Mount]:
    """The mounts of a container that show something else than its image."""
    of_image = [mount for mount in mounts if is_below(_SURELY_OF_IMAGE, mount.point)]
    image = max(
        of_image, key=lambda mount: len(mount.point), default=Mount(device="", root="", point="")
    )
    # Where no file system can be laid over an image, Apptainer mounts each of its folders by
    # itself: these mounts have the image's device, and the same path inside and outside.
    beginning = image.root.removesuffix(image.point)
    over: list[Mount] = []
    for mount in mounts:
        is_image = (mount.device, mount.root) == (image.device, beginning + mount.point)
        if mount.point != "/" and not is_image:
            over.append(mount)
    return over


def foreign_mounts(copy: Path, ours: Collection[str], mountinfo: Path = MOUNTINFO) -> list[str]:
    """Mount points in the image's folders and in the working copy of neither Apptainer nor us.

    `ours`: what the pipeline binds in addition to the working copy, and what the machine itself
    mounts in that. Raises as `read_mounts`.
    """
    folders = [*OF_IMAGES, str(copy)]
    foreign: set[str] = set()
    for mount in over_image(read_mounts(mountinfo)):
        point = mount.point
        is_known = point == str(copy) or point in ours or is_expected(point)
        if not is_known and any(is_below(point, folder) for folder in folders):
            foreign.add(point)
    return sorted(foreign)


def mounted_below(folder: Path, mountinfo: Path = MOUNTINFO) -> list[str]:
    """Where something is mounted in a folder, e.g. a disk for its data; raises as `read_mounts`."""
    points = {mount.point for mount in read_mounts(mountinfo)} - {str(folder)}
    return sorted(point for point in points if is_below(point, str(folder)))


def kind_at(folder: Path, mountinfo: Path = MOUNTINFO) -> str:
    """The type of the file system that a path without links is on; raises as `read_mounts`."""
    kind, point = "", ""
    for mount in read_mounts(mountinfo):
        # Of several at one place the last one is seen.
        if is_below(str(folder), mount.point) and len(mount.point) >= len(point):
            kind, point = mount.kind, mount.point
    return kind


def is_expected(point: str) -> bool:
    """Whether Apptainer mounts something there by itself, with `--nv`."""
    return bool(_OF_APPTAINER.fullmatch(point) or _OF_DRIVER.fullmatch(point))


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is the folder or lies in it; links in both are not followed."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
