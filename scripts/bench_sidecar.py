#!/usr/bin/env python3
"""What the sidecar is good for: accuracy, punctuality and cost against its goals, and beside its peers.

Prints Markdown for docs/benchmarks.md. The loads, their truth from the kernel and the judging are those of
`sidecar calibrate`. psrecord, procpath and the usual recipe with psutil watch the same processes at once.
The cost to a job is measured within one job, by stopping and continuing the sampler beside it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import _path  # noqa: F401
from evenground.errors import EvengroundError, cli
from evenground.sidecar.calibration import calibrate, experiments, judge
from evenground.sidecar.calibration.calibrate import goal_text
from evenground.sidecar.calibration.experiments import CalibrationError, Harness
from evenground.sidecar.calibration.judge import Figure
from sidecar_bench import comparison, cost
from sidecar_bench.peers import PSRECORD, python
from sidecar_bench.tables import print_table, progress
from sidecar_bench.together import SIDECAR, Watched

LOAD_S = 1.0
PEER_ROUNDS = 2
# A busy job with the sidecar, with psrecord, and in a smoke run with the sidecar.
COST_S, PEER_COST_S, QUICK_COST_S = 120.0, 40.0, 6.0
NO_REAL_TIME = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice")
DRIFT_AT_MOST_MS = 1.0
COST_AT_MOST_PCT = 1.0
Found = dict[str, list[Figure]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="calibrations (default: 5)")
    parser.add_argument(
        "--drift-s", type=float, default=60.0, help="default: 60; 600 for the full claim"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run of under a minute")
    args = parser.parse_args()
    if args.quick:
        args.rounds = 1
        args.drift_s = 2.0
    return args


def main() -> None:
    args, began_s = arguments(), time.monotonic()
    python()  # builds the peers' environment, which must not happen beside a measurement
    try:
        measure(args)
    except CalibrationError as error:
        raise EvengroundError(
            str(error), "bench_sidecar.py", "run `sidecar calibrate` alone"
        ) from error
    progress(f"took {time.monotonic() - began_s:.0f} s")


def measure(args: argparse.Namespace) -> None:
    """Measure everything, then print it."""
    with tempfile.TemporaryDirectory(prefix="bench-sidecar-") as scratch:
        found, modes = rounds(args.rounds, args.quick, Path(scratch))
        compared = comparison.run(1 if args.quick else PEER_ROUNDS, args.quick)
        quiet = comparison.idle(args.drift_s)
        costs = costs_to_a_job(args.quick, Path(scratch))
    print(
        f"Rounds: {args.rounds}. Scheduling: {modes['scheduling']}. CPU from: {modes['cpu_source']}.\n"
    )
    rows = [goal_row(figures) for figures in found.values() if figures[0].goal.limit is not None]
    rows += [drift_row(quiet, args.drift_s), cost_row(costs[SIDECAR])]
    print_table(["figure", "goal", "median", "worst", "met"], rows)
    print("Beside it, for comparison:\n")
    rows = [goal_row(figures) for figures in found.values() if figures[0].goal.limit is None]
    print_table(["figure", "median", "worst"], [[row[0], *row[2:4]] for row in rows])
    comparison.show(compared, quiet, args.drift_s)
    cost.show(costs)


def costs_to_a_job(quick: bool, folder: Path) -> dict[str, cost.Cost]:
    """Of the sidecar and of psrecord; `quick` leaves out psrecord."""
    if quick:
        return {SIDECAR: cost.of_sidecar(folder, QUICK_COST_S)}
    progress(f"{COST_S + PEER_COST_S:g} s beside a busy job")
    of_sidecar = cost.of_sidecar(folder, COST_S)
    of_psrecord = cost.of_attached(folder, PEER_COST_S, lambda pid: PSRECORD.words(pid, folder))
    return {SIDECAR: of_sidecar, PSRECORD.name: of_psrecord}


def rounds(number: int, quick: bool, folder: Path) -> tuple[Found, dict[str, str]]:
    """Each figure of every round by its text, and how the sidecar worked (`Calibration.sidecar`)."""
    found: Found = {}
    modes: dict[str, str] = {}
    for count in range(number):
        progress(f"round {count + 1} of {number}: calibration")
        done = calibrate.calibrate(LOAD_S / 2 if quick else LOAD_S, quick=quick)
        modes = done.sidecar
        for figure in [*done.figures, *([] if quick else variants(folder, modes))]:
            found.setdefault(figure.goal.what, []).append(figure)
    return found, modes


def variants(folder: Path, modes: dict[str, str]) -> list[Figure]:
    """What an unprivileged user gets, where the sidecar has more: no cgroup, no real-time priority."""
    figures: list[Figure] = []
    if modes["cpu_source"] == "cgroup":
        harness = Harness(folder, ["--no-cgroup"])
        of_processes = experiments.short_children(harness, LOAD_S)
        of_processes += experiments.orphan(harness, LOAD_S)
        figures += renamed(judge.merge(of_processes), "without cgroup")
    if modes["scheduling"] == "fifo" and shutil.which(NO_REAL_TIME[0]):
        harness = Harness(folder, prefix=NO_REAL_TIME)
        loaded = experiments.loaded_lateness(harness, LOAD_S)
        figures += renamed(
            [one for one in loaded if not one.name.startswith("loop_")], "without SCHED_FIFO"
        )
    return figures


def renamed(figures: list[Figure], how: str) -> list[Figure]:
    """The figures, with `how` in their texts."""
    return [
        figure._replace(goal=figure.goal._replace(what=f"{figure.goal.what}, {how}"))
        for figure in figures
    ]


def goal_row(figures: list[Figure]) -> list[str]:
    """One figure of all rounds: the goal, the median, the worst and how often it was met."""
    first, goal = figures[0], figures[0].goal
    measured = [figure.measured for figure in figures if figure.measured is not None]
    if not measured:
        return [goal.what, goal_text(first), "-", "-", f"- ({first.reason})"]
    limits = [figure.goal.limit for figure in figures if figure.goal.limit is not None]
    if limits:
        goal = goal._replace(limit=statistics.median(limits))
    worst = min(measured) if goal.at_least else max(measured)
    met = sum(figure.passed is True for figure in figures)
    values = [f"{value:.3f} {goal.unit}" for value in (statistics.median(measured), worst)]
    return [goal.what, goal_text(first._replace(goal=goal)), *values, f"{met} of {len(figures)}"]


def drift_row(quiet: Watched, seconds: float) -> list[str]:
    """How far the rows' clock has moved against the deadlines, whole rows that are missing left aside."""
    drift_ms, period_ms = quiet.drift_ms(SIDECAR), 100.0
    drift_ms -= period_ms * round(drift_ms / period_ms)
    met = "1 of 1" if abs(drift_ms) <= DRIFT_AT_MOST_MS else "0 of 1"
    goal = f"at most {DRIFT_AT_MOST_MS:g} ms"
    return [f"drift over {seconds:g} s, 10 Hz", goal, f"{drift_ms:+.3f} ms", "-", met]


def cost_row(done: cost.Cost) -> list[str]:
    """More CPU seconds for a busy job, in all; met when the whole interval is below the goal."""
    both = done.in_all("both")
    below = [end_pct <= COST_AT_MOST_PCT for end_pct in both.ends_pct()]
    met = "1 of 1" if all(below) else "not shown" if any(below) else "0 of 1"
    return [
        "cost to a busy job, 10 Hz: CPU",
        f"at most {COST_AT_MOST_PCT:g} %",
        str(both),
        "-",
        met,
    ]


if __name__ == "__main__":
    cli(main)
