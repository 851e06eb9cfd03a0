"""The sidecar and its peers on the same loads: runs them, and prints two tables."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from evenground.sidecar.calibration import experiments, judge
from sidecar_bench.peers import PEERS, PROCPATH_PSS, PSRECORD, PSUTIL
from sidecar_bench.tables import median_and_worst, print_table, progress
from sidecar_bench.together import SIDECAR, Watched, watch

CORES_S = 3.0
LOAD_S = 1.0
NAMES = (SIDECAR, *(peer.name for peer in PEERS))
CPU_LOADS = ("half_core", "short_children", "orphan")


class Comparison(NamedTuple):
    """Of every round: the loads that all watched at once, and the busy cores that each watched alone."""

    together: list[dict[str, Watched]]
    alone: list[dict[str, Watched]]


def run(rounds: int, quick: bool) -> Comparison:
    """`quick` leaves out the orphan and half a core."""
    done = Comparison([], [])
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: beside the peers")
        done.together.append(_together(quick))
        seconds = LOAD_S if quick else CORES_S
        alone = {SIDECAR: watch((), "full_cores", processes=experiments.cores(), seconds=seconds)}
        for peer in PEERS:
            cores = float(experiments.cores())
            alone[peer.name] = watch(
                (peer,), "full_cores", sidecar=False, processes=cores, seconds=seconds
            )
        done.alone.append(alone)
    return done


def _together(quick: bool) -> dict[str, Watched]:
    children, cpu_s = experiments.CHILDREN, experiments.CHILD_CPU_S
    with_pss = (PSRECORD, PROCPATH_PSS, PSUTIL)
    seen = {
        "short_children": watch(PEERS, "short_children", children=children, cpu_s=cpu_s),
        "shared_memory": watch(
            with_pss,
            "shared_memory",
            processes=experiments.SHARERS,
            seconds=experiments.MIN_PSS_S,
        ),
    }
    if not quick:
        seen["orphan"] = watch(PEERS, "orphan", seconds=LOAD_S)
        seen["half_core"] = watch(PEERS, "half_core", seconds=LOAD_S)
    return seen


def idle(seconds: float) -> Watched:
    """All samplers beside one idle process, for their drift and their own CPU."""
    progress(f"{seconds:g} s beside an idle process")
    return watch(PEERS, "idle", seconds=seconds)


def show(done: Comparison, quiet: Watched, quiet_s: float) -> None:
    """Print what each sampler saw, and how punctual and how cheap it is."""
    print(
        "Errors of the samplers, 10 Hz, all beside the same processes; median (worst) of the rounds:\n"
    )
    head = ["sampler", "half a core", "200 short children", "orphan", "all three, CPU seconds"]
    print_table([*head, "memory of five that share 64 MiB"], _accuracy_rows(done))
    print(
        f"Punctuality at 10 Hz and own CPU; idle: {quiet_s:g} s, all four at once; loaded: all cores busy:\n"
    )
    head = [
        "sampler",
        "rows, loaded",
        "row late after the one before: p50, p99, loaded",
        "drift, idle",
    ]
    print_table(
        [*head, "own CPU, idle", "own CPU, loaded"], [_row(name, done, quiet) for name in NAMES]
    )


def _accuracy_rows(done: Comparison) -> list[list[str]]:
    rows = []
    for name in NAMES:
        for way in done.together[0]["short_children"].recorded[name].cpu:
            cells = [_cpu(done, load, name, way) for load in CPU_LOADS]
            memory = _memory(done, name) if not way else "as above"
            rows.append([f"{name}, {way}" if way else name, *cells, _lost(done, name, way), memory])
    return rows


def _cpu(done: Comparison, load: str, name: str, way: str) -> str:
    errors = [_growth(seen[load], name, way) for seen in done.together if load in seen]
    return median_and_worst([judge.error_pct(got, truth) for got, truth in errors])


def _lost(done: Comparison, name: str, way: str) -> str:
    """CPU seconds missing over all loads of a round, of those that there were."""
    sums = []
    for seen in done.together:
        pairs = [_growth(seen[load], name, way) for load in CPU_LOADS if load in seen]
        sums.append([sum(values) / 1e9 for values in zip(*pairs, strict=True)])
    missing = statistics.median(got - truth for got, truth in sums)
    return f"{missing:+.2f} of {statistics.median(truth for _, truth in sums):.2f}"


def _growth(seen: Watched, name: str, way: str) -> tuple[float, float]:
    """CPU nanoseconds from the last row before the work to the last row in the quiet after it; the truth."""
    rows = seen.recorded[name].cpu[way]
    first_ns, first = judge.between(rows, (0, seen.truth["begin_ns"]))[-1]
    last_ns, last = judge.between(rows, (0, seen.truth["final_ns"]))[-1]
    accounts = seen.truth["accounts"]
    return last - first, judge.total(accounts, last_ns) - judge.total(accounts, first_ns)


def _memory(done: Comparison, name: str) -> str:
    """Each kind of memory against the sum of what the processes read as their Pss."""
    cells = []
    for kind in done.together[0]["shared_memory"].recorded[name].memory:
        errors = [_memory_error_pct(seen["shared_memory"], name, kind) for seen in done.together]
        cells.append(f"{kind} {median_and_worst(errors)}")
    return ", ".join(cells)


def _memory_error_pct(seen: Watched, name: str, kind: str) -> float:
    """Median over the rows in which all processes held the memory."""
    rows = judge.between(seen.recorded[name].memory[kind], seen.truth["shared_ns"])
    return statistics.median(
        judge.error_pct(value, judge.total(seen.truth["pss"], at_ns)) for at_ns, value in rows
    )


def _row(name: str, done: Comparison, quiet: Watched) -> list[str]:
    loaded = [seen[name] for seen in done.alone]
    late_ms = [late for seen in loaded for late in seen.late_ms(name)]
    p50_ms, p99_ms = (judge.percentile(late_ms, share) for share in (0.5, 0.99))
    minutes = (quiet.truth["end_ns"] - quiet.truth["begin_ns"]) / 60e9
    return [
        name,
        f"{statistics.median(seen.rows_pct(name) for seen in loaded):.1f} %",
        f"{p50_ms:+.2f}, {p99_ms:+.2f} ms",
        f"{quiet.drift_ms(name) / minutes:+.1f} ms a minute",
        f"{quiet.own_ms_per_s(name):.1f} ms/s",
        f"{statistics.median(seen.own_ms_per_s(name) for seen in loaded):.1f} ms/s",
    ]
