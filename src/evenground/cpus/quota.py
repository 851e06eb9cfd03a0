"""How much CPU this process's cgroups allow it, and how often they made it wait: cgroups v2, v1."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from evenground.cpus.sysfs import (
    MAX_SHOWN,
    SYSTEM,
    Absent,
    Unknown,
    exists,
    read_number,
    read_text,
    shown,
)
from evenground.sidecar.mounts import Mount, read_mounts

Version = Literal[1, 2]
# Version -> key in `cpu.stat` of the time for which processes waited, and its unit in seconds.
TIME_KEYS: dict[Version, tuple[str, float]] = {
    1: ("throttled_time", 1e-9),
    2: ("throttled_usec", 1e-6),
}
# What the kernel takes where `cpu.max` has no period.
PERIOD_US = 100_000
Value = TypeVar("Value")


@dataclass(frozen=True)
class Groups:
    """The folders of this process's cgroup and of those above it, from the innermost outwards."""

    version: Version
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Waits:
    """Periods in which a cgroup had to wait, and seconds, summed over its CPUs."""

    periods: int
    seconds: float


@dataclass(frozen=True)
class WaitCounts:
    """The waits of each cgroup since it was made, and why those of some are not known."""

    counts: Mapping[Path, Waits]
    missing: str = ""


def find_groups(system: Path = SYSTEM) -> Groups:
    """Find the cgroups that may limit this process's CPU; raises Unknown if none is visible."""
    found: list[tuple[Version, str]] = []
    # A line is ID:CONTROLLERS:PATH. The line of v2 has no controllers.
    for line in read_text(system / "proc" / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "cpu" in controllers.split(","):
            # A controller is in one hierarchy only: where v1 has it, v2 does not.
            found.insert(0, (1, path))
        elif number == "0" and not controllers:
            found.append((2, path))
    mountinfo = system / "proc" / "self" / "mountinfo"
    try:
        mounts = read_mounts(mountinfo)
    # A CPU limit that is not known must not end a training, whatever that file holds.
    except (OSError, ValueError):
        raise Unknown(f"{shown(mountinfo)} cannot be read") from None
    for version, path in found:
        folders = _folders(mounts, version, path, system)
        if folders:
            return Groups(version=version, folders=folders)
    raise Unknown("no cgroup of this process that could limit its CPU is mounted here")


def _folders(
    mounts: Sequence[Mount], version: Version, path: str, system: Path
) -> tuple[Path, ...]:
    for mount in mounts:
        if not _has_cpu_controller(mount, version):
            continue
        names = mount.inside(path)
        innermost = (system / mount.point.lstrip("/")).joinpath(*names)
        # `..` leads to a cgroup outside the namespace of this process.
        if ".." not in names and exists(innermost):
            return (innermost, *innermost.parents[: len(names)])
    return ()


def _has_cpu_controller(mount: Mount, version: Version) -> bool:
    if version == 1:
        return mount.kind == "cgroup" and "cpu" in mount.options.split(",")
    return mount.kind == "cgroup2"


def read_quota(system: Path = SYSTEM) -> tuple[float | None, str]:
    """How many CPUs the strictest cgroup allows at once, and why a limit is not known.

    None without a reason means that there is no limit.
    """
    try:
        limits, missing = _read_each(find_groups(system), _limit)
    except Unknown as error:
        return None, str(error)
    return min(limits.values(), default=None), missing


def _read_each(
    groups: Groups, read: Callable[[Path, Version], Value | None]
) -> tuple[dict[Path, Value], str]:
    """The value of each cgroup that has one, and the first reason why one cannot be read."""
    values: dict[Path, Value] = {}
    missing = ""
    for folder in groups.folders:
        try:
            value = read(folder, groups.version)
        except Unknown as error:
            # Without the cgroup's path, which may hold a user's name: records are published.
            missing = missing or str(error).replace(shown(folder / "-").removesuffix("-"), "")
            continue
        if value is not None:
            values[folder] = value
    return values, missing


def _limit(folder: Path, version: Version) -> float | None:
    """The limit of one cgroup, in CPUs; None without a limit.

    The root cgroup, and any without the CPU controller, has no such files and no limit.
    """
    read = {1: _limit_of_v1, 2: _limit_of_v2}[version]
    try:
        limit = read(folder)
    except Absent:
        return None
    if limit is None:
        return None
    quota_us, period_us = limit
    if quota_us <= 0 or period_us <= 0:
        raise Unknown(
            f"the CPU limit of this process's cgroup is odd: {quota_us} in {period_us} µs"
        )
    return quota_us / period_us


def _limit_of_v2(folder: Path) -> tuple[int, int] | None:
    path = folder / "cpu.max"
    text = read_text(path)
    match = re.fullmatch(r"(max|[0-9]{1,18})(?: ([0-9]{1,18}))?", text)
    if match is None:
        raise Unknown(f"{path.name} holds no limit: {text[:MAX_SHOWN]!r}")
    if match[1] == "max":
        return None
    return int(match[1]), int(match[2] or PERIOD_US)


def _limit_of_v1(folder: Path) -> tuple[int, int] | None:
    quota_us = read_number(folder / "cpu.cfs_quota_us")
    # v1 writes -1 for no limit.
    if quota_us < 0:
        return None
    return quota_us, read_number(folder / "cpu.cfs_period_us")


def read_waits(system: Path = SYSTEM) -> WaitCounts:
    """Read what the cgroups have counted so far."""
    try:
        groups = find_groups(system)
    except Unknown as error:
        return WaitCounts({}, missing=str(error))
    counts, missing = _read_each(groups, _waits)
    if not counts and not missing:
        if not _is_root(groups.folders[-1]):
            missing = "none of this process's cgroups counts how often it had to wait"
        else:
            counts[groups.folders[-1]] = Waits(periods=0, seconds=0.0)
    return WaitCounts(counts, missing)


def _is_root(folder: Path) -> bool:
    """Whether a cgroup is the machine's root: if none below it limits CPU, nothing does.

    The root of a cgroup namespace has `cgroup.events`, the machine's root has not.
    """
    return exists(folder / "cgroup.controllers") and not exists(folder / "cgroup.events")


def _waits(folder: Path, version: Version) -> Waits | None:
    """What one cgroup has counted; None if it has no CPU controller."""
    path = folder / "cpu.stat"
    try:
        words = [line.split() for line in read_text(path).splitlines()]
    except Absent:
        return None
    values = {word[0]: word[1] for word in words if len(word) == 2}
    key, unit_s = TIME_KEYS[version]
    if "nr_throttled" not in values and key not in values:
        return None
    periods, time = values.get("nr_throttled", ""), values.get(key, "")
    if not re.fullmatch(r"[0-9]{1,18} [0-9]{1,18}", f"{periods} {time}"):
        raise Unknown(f"{shown(path)} holds no counts: {f'{periods} {time}'[:MAX_SHOWN]!r}")
    return Waits(periods=int(periods), seconds=int(time) * unit_s)


def waits_between(before: WaitCounts, after: WaitCounts) -> tuple[int | None, float | None, str]:
    """Periods and seconds for which the cgroup that waited longest did so between two readings.

    The third value is the reason why a cgroup's waits are not known.
    """
    # A cgroup lies within the next one, and both count the same waits: their sum would be too high.
    waits: list[Waits] = []
    for folder in before.counts.keys() & after.counts.keys():
        old, new = before.counts[folder], after.counts[folder]
        waits.append(Waits(periods=new.periods - old.periods, seconds=new.seconds - old.seconds))
    if any(wait.periods < 0 or wait.seconds < 0 for wait in waits):
        return None, None, "a count of this process's cgroup fell"
    missing = before.missing or after.missing
    if not waits:
        return None, None, missing or "this process was moved to another cgroup meanwhile"
    longest = max(waits, key=lambda wait: (wait.seconds, wait.periods))
    # Waits that were seen are a finding even if other cgroups could not be read.
    if missing and not longest.periods:
        return None, None, missing
    return longest.periods, longest.seconds, missing
