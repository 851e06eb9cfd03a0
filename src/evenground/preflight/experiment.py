"""What the configured experiment still needs on this machine: environments, data, disk and time."""

from __future__ import annotations

import socket
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests

from evenground.addresses import fault_of, host_of, is_address, split
from evenground.datasets.prepare import RECORD, empty_class_lines
from evenground.datasets.registry import DatasetEntry, RemoteFile
from evenground.disk import bytes_of_environment
from evenground.files import read_json
from evenground.preflight.finding import Finding
from evenground.runs.plan import RUNS, LeftOut, Plan, Run

RUN_BYTES = 2**20
CONNECT_S = 3.0
PORTS = {"https": 443, "http": 80}
Reachable = Callable[[str], bool]


class Stored(NamedTuple):
    """Where a dataset's files and arrays stand, or will."""

    raw: Path
    prepared: Path


def environments(markers: Mapping[str, Path]) -> Finding:
    """Which engines' environments are built; `markers` are the files that stand when one is."""
    missing = [name for name, marker in markers.items() if not marker.is_file()]
    if missing:
        seen = f"to be built: {', '.join(missing)}"
        return Finding("environments", "warning", seen, "the package index must be reachable once")
    return Finding("environments", "ok", f"built: {', '.join(markers) or 'none needed'}")


def engines(plans: Sequence[Plan]) -> list[Finding]:
    """Of each engine that the pipeline does not install, and its arms, whether it can train here."""
    left_out: dict[str, list[LeftOut]] = {}
    for engine in (engine for plan in plans for engine in plan.left_out):
        left_out.setdefault(engine.name, []).append(engine)
    asked = {run.engine for plan in plans for run in plan.runs if run.place in plan.pending}
    there = {e.name: e for plan in plans for e in plan.engines if plan.asks and e.file.check}
    lost = [_left_out(parts[0], sum(part.runs for part in parts)) for parts in left_out.values()]
    return [*lost, *(_installed(name, name in asked) for name in there if name not in left_out)]


def _left_out(engine: LeftOut, runs: int) -> Finding:
    fix = f"until then {runs} of its trainings are left out; what is recorded is kept"
    return Finding(f"engine {engine.name}", "warning", engine.reason, fix)


def _installed(name: str, asked: bool) -> Finding:
    return Finding(
        f"engine {name}", "ok", "installed" if asked else "not asked: all its runs are recorded"
    )


def environment_bytes(markers: Mapping[str, Path]) -> int:
    """Disk that environments which are not built yet will take."""
    missing = [name for name, marker in markers.items() if not marker.is_file()]
    return sum(map(bytes_of_environment, missing))


def dataset(
    entry: DatasetEntry, stored: Stored, mirrors: Sequence[str], reachable: Reachable
) -> Finding:
    """Whether a dataset is there, or from where it can be had."""
    what = f"dataset {entry.name}"
    if (stored.prepared / RECORD).is_file():
        lines = empty_class_lines(read_json(stored.prepared / RECORD))
        fix = "see whether labels and `classes` fit"
        return (
            Finding(what, "warning", "; ".join(lines), fix)
            if lines
            else Finding(what, "ok", "prepared")
        )
    if not entry.files:
        return Finding(what, "ok", "generated here")
    if (stored.raw / "fetched.json").is_file():
        return Finding(what, "ok", "fetched")
    lost = [
        file.name
        for file in entry.files
        if not _place_of(entry.name, file, stored.raw, mirrors, reachable)
    ]
    if not lost:
        return Finding(what, "ok", "can be fetched")
    hosts = sorted({host_of(url) for file in entry.files for url in file.urls})
    fix = (
        f"connect to {' or '.join(hosts)}, or name a mirror that holds it"
        if hosts
        else "name a mirror"
    )
    return Finding(what, "lack", f"nobody has {', '.join(lost)}", fix)


def _place_of(
    name: str, file: RemoteFile, raw: Path, mirrors: Sequence[str], reachable: Reachable
) -> str | None:
    """Where a file can be had: kept from before, a mirror or a host; None when nowhere."""
    if (raw / file.name).is_file():
        return "kept"
    for mirror in mirrors:
        if is_address(mirror):
            if reachable(mirror):
                return mirror
        elif _is_in(mirror, name, file.name):
            return mirror
    return next((url for url in file.urls if reachable(url)), None)


def _is_in(folder: str, *names: str) -> bool:
    """Whether a mirror's folder has a file; a folder that cannot be looked into has none."""
    try:
        return Path(folder).expanduser().joinpath(*names).is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def answers(url: str) -> bool:
    """Whether the host of an address, or its proxy, takes a connection within seconds; asks nothing of it."""
    if fault_of(url):
        return False
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    parts = split(proxy if proxy and is_address(proxy) else url)
    if parts is None or parts.hostname is None:
        return False
    try:
        port = parts.port or PORTS.get(parts.scheme, PORTS["https"])
        socket.create_connection((parts.hostname, port), timeout=CONNECT_S).close()
    except (OSError, ValueError):
        return False
    return True


def data_bytes(entries: Iterable[tuple[DatasetEntry, Stored]]) -> int:
    """Disk that files and arrays of datasets which are not prepared yet will take."""
    total = 0
    for entry, stored in entries:
        if not (stored.prepared / RECORD).is_file():
            picture = entry.height * entry.width * entry.channels
            total += (entry.train_examples + entry.test_examples) * picture + sum(
                f.bytes or 0 for f in entry.files
            )
    return total


def results_bytes(plan: Plan) -> int:
    """Disk that runs which are not finished yet will take."""
    return len(plan.pending) * RUN_BYTES


def duration(plans: Sequence[Plan]) -> Finding:
    """How long the trainings that are left will take, from recorded ones of this machine class."""
    runs = sum(len(plan.runs) for plan in plans)
    left = [(plan, run) for plan in plans for run in plan.runs if run.place in plan.pending]
    if not left:
        return Finding("time", "ok", f"nothing to train: {runs} of {runs} runs are recorded")
    known: dict[tuple[str, str, str], float | None] = {}
    for plan, run in left:
        pair = (run.machine, run.dataset, run.engine)
        if pair not in known:
            known[pair] = _recorded_s(plan, run.dataset, run.engine)
    lengths = [known[run.machine, run.dataset, run.engine] for _, run in left]
    total_s = sum(seconds for seconds in lengths if seconds)
    unknown = sorted(
        {f"{dataset} {engine}" for (_, dataset, engine), seconds in known.items() if not seconds}
    )
    seen = f"{len(left)} of {runs} trainings to do"
    if total_s:
        seen += f", about {_minutes(total_s)}{' and' if unknown else ''}"
    if unknown:
        comma = "" if total_s else ","
        seen += f"{comma} an unknown time for {', '.join(unknown)} (not recorded on this machine)"
    return Finding("time", "ok", seen)


def _recorded_s(plan: Plan, dataset: str, engine: str) -> float | None:
    """Median length of recorded trainings of this pair, whatever their parameters; None without any."""
    lengths = []
    folder = plan.root / RUNS / plan.machine / dataset / engine
    for path in folder.glob("*/*/outcome.json"):
        ended = read_json(path)
        lengths.append((ended["ended_unix_ns"] - ended["started_unix_ns"]) / 1e9)
    return statistics.median(lengths) if lengths else None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def recorded_environments(runs: Iterable[Run], root: Path) -> Iterator[dict[str, Any]]:
    """`environment.json` of each finished one among the wanted runs."""
    for run in runs:
        path = root / RUNS / run.place / "environment.json"
        if path.is_file():
            yield read_json(path)


def recorded_drivers(runs: Iterable[Run], root: Path) -> list[str]:
    """Drivers of the finished ones among the wanted runs."""
    return sorted(
        {str(found["driver"]) for found in recorded_environments(runs, root) if found["driver"]}
    )
