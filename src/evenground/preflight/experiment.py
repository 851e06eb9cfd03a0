"""What the configured experiment still needs on this machine: environments, data, disk and time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import requests

from evenground.addresses import fault_of, host_of, is_address
from evenground.datasets.fetch import file_in_mirror, sources
from evenground.environments.build import bytes_of_environment
from evenground.preflight.finding import Finding, error, ok, warning
from evenground.records.dataset import FETCHED, PREPARED, Prepared
from evenground.records.outcome import OUTCOME, AttemptOutcome
from evenground.runs.plan import RUNS, LeftOut, Plan

# About what a finished run takes.
RUN_BYTES = 2**20
CONNECT_S = 3.0
Reachable = Callable[[str], bool]


def environments(faults: Mapping[str, str]) -> Finding:
    """Check which environments are built; `faults`: why one cannot be used, empty if it can."""
    missing = _not_built(faults)
    if missing:
        fix = "the package index must be reachable once"
        return warning("environments", f"to be built: {', '.join(missing)}", fix)
    return ok("environments", f"built: {', '.join(faults)}")


def environment_bytes(faults: Mapping[str, str]) -> int:
    """Return the disk space that environments take which are not built yet, in bytes."""
    return sum(bytes_of_environment(name) for name in _not_built(faults))


def _not_built(faults: Mapping[str, str]) -> list[str]:
    return [name for name, fault in faults.items() if fault]


def engines(plans: Sequence[Plan]) -> list[Finding]:
    """Report the engines, which the pipeline does not install, that cannot train here."""
    left_out: dict[str, list[LeftOut]] = {}
    for plan in plans:
        for engine in plan.left_out:
            left_out.setdefault(engine.name, []).append(engine)
    found = []
    for name, parts in left_out.items():
        runs = sum(part.runs for part in parts)
        fix = f"until then {runs} of its trainings are left out; what is recorded is kept"
        found.append(warning(f"engine {name}", parts[0].reason, fix))
    return found


def dataset(plan: Plan, name: str, mirrors: Sequence[str], reachable: Reachable) -> Finding:
    """Check whether a dataset is stored here or available from a mirror or host."""
    entry = plan.datasets[name]
    raw, prepared = plan.root / plan.raw(name), plan.root / plan.prepared(name)
    what = f"dataset {name}"
    if (prepared / PREPARED).is_file():
        lines = Prepared.read(prepared / PREPARED).empty_class_lines
        if lines:
            return warning(what, "; ".join(lines), "see whether labels and `classes` fit")
        return ok(what, "prepared")
    if not entry.files:
        return ok(what, "generated here")
    if (raw / FETCHED).is_file():
        return ok(what, "fetched")
    missing = []
    for file in entry.files:
        # An interrupted invocation keeps the files that are complete.
        if (raw / file.name).is_file():
            continue
        places = [source.place for source in sources(name, file, mirrors)]
        if not any(_is_at(place, reachable) for place in places):
            missing.append(file.name)
    if not missing:
        return ok(what, "can be fetched")
    fix = "name a mirror that holds it"
    hosts = sorted({host_of(url) for file in entry.files for url in file.urls})
    if hosts:
        fix = f"connect to {' or '.join(hosts)}, or {fix}"
    return error(what, f"not available from any mirror or host: {', '.join(missing)}", fix)


def _is_at(place: str, reachable: Reachable) -> bool:
    if is_address(place):
        return reachable(place)
    return file_in_mirror(place) is not None


def answers(url: str) -> bool:
    """Return whether the host of an address, or its proxy, answers within seconds."""
    if fault_of(url):
        return False
    try:
        # Any answer will do, also that there is no such file: a mirror's own folder may be closed.
        requests.head(url, timeout=CONNECT_S)
    except requests.RequestException:
        return False
    return True


def disk_bytes(plans: Sequence[Plan]) -> int:
    """Return the disk space of datasets and runs that do not exist yet, in bytes."""
    total = RUN_BYTES * sum(len(plan.pending) for plan in plans)
    for name, entry in plans[0].datasets.items():
        if not (plans[0].root / plans[0].prepared(name) / PREPARED).is_file():
            # One byte for each value of a picture.
            picture = entry.height * entry.width * entry.channels
            total += (entry.train_examples + entry.test_examples) * picture
            total += sum(file.bytes or 0 for file in entry.files)
    return total


def duration(plans: Sequence[Plan]) -> Finding:
    """Estimate how long the pending trainings take, from recorded ones on this class of machine."""
    n_runs = sum(len(plan.runs) for plan in plans)
    n_pending = 0
    total_s = 0.0
    known_s: dict[tuple[str, str, str], float | None] = {}
    for plan in plans:
        for run in plan.runs:
            if run.path not in plan.pending:
                continue
            group = (run.machine, run.dataset, run.engine)
            if group not in known_s:
                known_s[group] = _recorded_s(plan, run.dataset, run.engine)
            n_pending += 1
            total_s += known_s[group] or 0.0
    if not n_pending:
        return ok("time", f"nothing to train: {n_runs} of {n_runs} runs are recorded")
    seen = f"{n_pending} of {n_runs} trainings to do"
    if total_s:
        seen += f", about {_minutes(total_s)}"
    unknown = {f"{dataset} {engine}" for (_, dataset, engine), s in known_s.items() if not s}
    if unknown:
        names = ", ".join(sorted(unknown))
        seen += f", time unknown for {names} (not recorded on this machine)"
    return ok("time", seen)


def _recorded_s(plan: Plan, dataset: str, engine: str) -> float | None:
    """Return the median length of recorded trainings with any parameters, in seconds.

    None if there are none.
    """
    folder = plan.root / RUNS / plan.machine / dataset / engine
    lengths_s = [AttemptOutcome.read(path).length_s for path in folder.glob(f"*/*/{OUTCOME}")]
    return statistics.median(lengths_s) if lengths_s else None


def _minutes(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
