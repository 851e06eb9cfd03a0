"""Whose code a process mapped: each file by where it lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evenground.surroundings.mounts import DRIVER, Mount, is_below, is_expected, over_image

# Where a system has its own libraries; what an administrator adds by hand (/usr/local, /opt) is none of them.
OF_SYSTEMS = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/bin",
    "/sbin",
    "/nix/store",
    "/gnu/store",
)
NOT_OF_SYSTEMS = ("/usr/local",)

Places = Mapping[str, str]
"""Folder -> what lies there, in words; the longest folder holds. Without words it is foreign."""


def native_places(own: Places) -> Places:
    """Where a native engine's code may lie: `own` folders of the run, and the system's."""
    system = dict.fromkeys(OF_SYSTEMS, "system")
    # A Python in /usr/local is the run's own; one in /usr is the system's.
    return {**dict.fromkeys(NOT_OF_SYSTEMS, ""), **own, **system}


def image_places(own: Places, mounts: Sequence[Mount]) -> Places:
    """The same in an image: all that is mounted over it is foreign, but for `own` folders and the driver."""
    mounted = [mount.point for mount in over_image(mounts) if not is_expected(mount.point)]
    return {**dict.fromkeys(mounted, ""), "/": "image", DRIVER: "driver", **own}


def places_of(files: Sequence[str], places: Places) -> dict[str, str]:
    """Where each of `files` lies, in words; nothing for one that is foreign."""
    return {path: _place_of(path, places) for path in files}


def sorted_out(of_each: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """How many files lie where, and those that are foreign; `of_each` as `places_of` says it."""
    counts = Counter(place for place in of_each.values() if place)
    foreign = [path for path, place in of_each.items() if not place]
    return dict(sorted(counts.items())), sorted(foreign)


def _place_of(path: str, places: Places) -> str:
    folders = [folder for folder in places if is_below(path, folder)]
    return places[max(folders, key=len)] if folders else ""
