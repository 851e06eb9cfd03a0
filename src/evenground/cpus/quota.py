"""How much CPU this process's cgroups allow it, and how often they made it wait: cgroups v2 and v1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from evenground.cpus.sysfs import (
    SYSTEM,
    Absent,
    Unknown,
    has_file,
    has_folder,
    plain,
    read_number,
    read_text,
    shown,
)

Version = Literal[1, 2]
# Nanoseconds in v1, microseconds in v2.
TIME_KEYS: dict[Version, tuple[str, float]] = {
    1: ("throttled_time", 1e-9),
    2: ("throttled_usec", 1e-6),
}


@dataclass(frozen=True)
class Groups:
    """The folders of this process's cgroup and of those it lies in, the own one first."""

    version: Version
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class Waits:
    """Since a cgroup was made: periods in which it had to wait, and seconds, of all its CPUs together."""

    periods: int
    seconds: float


@dataclass(frozen=True)
class WaitCounts:
    """The waits of each cgroup that counts them, and the reason where none does."""

    counts: Mapping[Path, Waits]
    missing: str = ""


def find_groups(system: Path = SYSTEM) -> Groups:
    """The cgroups that a CPU limit of this process may stand in; Unknown where none can be seen."""
    proc = system / "proc" / "self"
    # A line is ID:CONTROLLERS:PATH; v2 has no controllers there.
    lines = [line.split(":", 2) for line in read_text(proc / "cgroup").splitlines()]
    lines = [line for line in lines if len(line) == 3]
    mounts = read_text(proc / "mountinfo")
    v1 = [path for _, controllers, path in lines if "cpu" in controllers.split(",")]
    v2 = [path for number, controllers, path in lines if (number, controllers) == ("0", "")]
    # A controller is in one hierarchy only: where v1 has it, v2 does not.
    found: list[tuple[Version, str]] = [*((1, path) for path in v1), *((2, path) for path in v2)]
    for version, path in found:
        folders = _folders(mounts, version, path, system)
        if folders:
            return Groups(version, folders)
    raise Unknown("no cgroup of this process that could limit its CPU is mounted here")


def _folders(mountinfo: str, version: Version, path: str, system: Path) -> tuple[Path, ...]:
    for mounted, root in _mounts(mountinfo, version):
        inside = PurePosixPath(path)
        if inside.is_relative_to(root):
            inside = inside.relative_to(root)
        names = [name for name in inside.parts if name != "/"]
        top = system / mounted.lstrip("/")
        own = top.joinpath(*names)
        # `..` is a cgroup outside of what this process's namespace shows.
        if ".." not in names and has_folder(own):
            return (own, *own.parents[: len(names)])
    return ()


def _mounts(mountinfo: str, version: Version) -> Iterator[tuple[str, str]]:
    """Where cgroups of a version with the CPU controller are mounted, and which part of them (proc(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3:
            continue
        v1 = kind[0] == "cgroup" and "cpu" in kind[2].split(",")
        if v1 if version == 1 else kind[0] == "cgroup2":
            yield _unescaped(fields[4]), _unescaped(fields[3])


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def read_quota(groups: Groups) -> tuple[float | None, str]:
    """CPUs that the strictest of the cgroups allows at once, None for no limit; why one's is not known."""
    limits: list[float] = []
    missing = ""
    for folder in groups.folders:
        try:
            limit = _limit(folder, groups.version)
        except Unknown as error:
            missing = missing or _reason(error, folder)
            continue
        if limit is not None:
            limits.append(limit)
    return min(limits, default=None), missing


def _limit(folder: Path, version: Version) -> float | None:
    """One cgroup's own limit; without the files, as at the top or without the controller, there is none."""
    try:
        quota, period = _of_v2(folder) if version == 2 else _of_v1(folder)
    except Absent:
        return None
    if quota is None:
        return None
    if quota <= 0 or period <= 0:
        raise Unknown(f"the CPU limit of this process's cgroup is odd: {quota} in {period} µs")
    return quota / period


def _of_v2(folder: Path) -> tuple[int | None, int]:
    path = folder / "cpu.max"
    text = read_text(path)
    match = re.fullmatch(r"(max|[0-9]{1,18})(?: ([0-9]{1,18}))?", text)
    if match is None:
        raise Unknown(f"{path.name} holds no limit: {plain(text)!r}")
    return None if match[1] == "max" else int(match[1]), int(match[2] or 100_000)


def _of_v1(folder: Path) -> tuple[int | None, int]:
    quota = read_number(folder / "cpu.cfs_quota_us")
    return None if quota < 0 else quota, read_number(folder / "cpu.cfs_period_us")


def read_waits(groups: Groups) -> WaitCounts:
    """What each of the cgroups has counted so far."""
    counts: dict[Path, Waits] = {}
    missing = ""
    for folder in groups.folders:
        try:
            waits = _waits(folder / "cpu.stat", groups.version)
        except Unknown as error:
            missing = missing or _reason(error, folder)
            continue
        if waits is not None:
            counts[folder] = waits
    if not counts and not missing and _is_root(groups):
        counts[groups.folders[-1]] = Waits(0, 0.0)
    if not counts and not missing:
        missing = "none of this process's cgroups counts how often it had to wait"
    return WaitCounts(counts, missing)


def _reason(error: Unknown, folder: Path) -> str:
    """A reason without the cgroup's name, which may be a user's: records name no one."""
    name = shown(folder / "-").removesuffix("-")
    return str(error).replace(name, "")


def _is_root(groups: Groups) -> bool:
    """Whether all cgroups above this process's are seen: where none of them limits CPU, nothing does."""
    top = groups.folders[-1]
    return has_file(top / "cgroup.controllers") and not has_file(top / "cgroup.events")


def _waits(path: Path, version: Version) -> Waits | None:
    """What one cgroup has counted; None of one that has no CPU controller."""
    try:
        words = [line.split() for line in read_text(path).splitlines()]
    except Absent:
        return None
    found = {word[0]: word[1] for word in words if len(word) == 2}
    key, unit_s = TIME_KEYS[version]
    if "nr_throttled" not in found and key not in found:
        return None
    values = [found.get(name, "") for name in ("nr_throttled", key)]
    if not all(re.fullmatch(r"[0-9]{1,18}", value) for value in values):
        raise Unknown(f"{shown(path)} holds no counts: {plain(' '.join(values))!r}")
    periods, time = map(int, values)
    return Waits(periods, time * unit_s)


def waits_between(before: WaitCounts, after: WaitCounts) -> tuple[Waits | None, str]:
    """The waits of the cgroup that waited longest between two readings; as text why they are not known."""
    both = before.counts.keys() & after.counts.keys()
    pairs = [(before.counts[folder], after.counts[folder]) for folder in both]
    # A cgroup lies in the next one, and both count: the sum would count twice.
    found = [Waits(new.periods - old.periods, new.seconds - old.seconds) for old, new in pairs]
    if any(waits.periods < 0 or waits.seconds < 0 for waits in found):
        return None, "a count of this process's cgroup fell"
    missing = before.missing or after.missing
    if not found:
        return None, missing or "this process was moved to another cgroup meanwhile"
    most = max(found, key=lambda waits: (waits.seconds, waits.periods))
    return (None, missing) if missing and not most.periods else (most, missing)
