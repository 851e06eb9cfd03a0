"""Whose code a process mapped: each file by the folder that it lies in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from evenground.sidecar.mounts import Mount
from evenground.surroundings.mounts import DRIVER, is_below, is_expected, over_image

# Where a system has its own libraries. What an administrator adds by hand (/usr/local, /opt) is not
# the system's.
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
NOT_OF_SYSTEMS = "/usr/local"
# Folder -> a label of its content, empty for foreign code; the longest matching folder counts.
Places = Mapping[str, str]


def native_places(own: Places) -> Places:
    """Where a native engine's code may lie: `own` folders of the run, and the system's."""
    # The order matters: a Python in /usr/local is the run's own, one in /usr is the system's.
    return {NOT_OF_SYSTEMS: "", **own, **dict.fromkeys(OF_SYSTEMS, "system")}


def image_places(own: Places, mounts: Sequence[Mount]) -> Places:
    """Where an engine's code may lie in an image.

    What is mounted over the image is foreign, except for `own` folders and the driver.
    """
    mounted = [mount.point for mount in over_image(mounts) if not is_expected(mount.point)]
    return {**dict.fromkeys(mounted, ""), "/": "image", DRIVER: "driver", **own}


def places_of(files: Sequence[str], places: Places) -> dict[str, str]:
    """File -> the label of the place that it lies in; empty if it is foreign."""
    return {path: _place_of(path, places) for path in files}


def sorted_out(of_files: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """Count the files of each place in the result of `places_of`, and list the foreign ones."""
    counts = Counter(place for place in of_files.values() if place)
    foreign = [path for path, place in of_files.items() if not place]
    return dict(sorted(counts.items())), sorted(foreign)


def _place_of(path: str, places: Places) -> str:
    folders = [folder for folder in places if is_below(path, folder)]
    if not folders:
        return ""
    return places[max(folders, key=len)]
