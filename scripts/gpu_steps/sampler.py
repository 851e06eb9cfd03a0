"""The sidecar's GPU columns beside nvidia-smi, its calibration, energy, and foreign processes."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from evenground.sidecar.calibration.judge import interpolate
from evenground.sidecar.unixstats import UNIXSTATS_VRAM_BYTES
from gpu_steps.bench import LOADS, MIB, ROOT, Bench, Measured, last_line, mib
from gpu_steps.report import Failed, Skip

LOAD_S = 7.0
# The load's first seconds are not compared: memory and averages still rise.
SETTLED_NS = 3_000_000_000
MEMORY_MIB = 2.0
QUERY = "memory.used,utilization.gpu,power.draw,clocks.sm,clocks.mem,temperature.gpu"
# Column, in the order of QUERY -> how far it may be from nvidia-smi: a figure, plus a share of it.
COMPARED = {
    "vram_used_bytes": (MEMORY_MIB * MIB, 0.0),
    "gpu_util_pct": (10.0, 0.0),
    "gpu_power_w": (5.0, 0.1),
    "gpu_sm_clock_mhz": (30.0, 0.05),
    "gpu_mem_clock_mhz": (30.0, 0.05),
    "gpu_temp_c": (3.0, 0.0),
}
UNIXSTATS_MIB = UNIXSTATS_VRAM_BYTES // MIB
SPIN_S = 3.0
MAX_ENERGY_ERROR = 0.05
T = TypeVar("T")


def calibrate(bench: Bench) -> None:
    """The sidecar's calibration with the chosen card (S14); raises Failed if it writes nothing."""
    file = bench.folder / "calibration.json"
    args = [sys.executable, "-m", "evenground.sidecar", "calibrate", "--quick"]
    args += ["--output", str(file), "--gpu", bench.uuid]
    try:
        bench.run(args, 80.0, PYTHONPATH=str(ROOT / "src"))
    except Failed:
        # A goal that is missed has an exit code, too.
        if not file.is_file():
            raise
    figures = json.loads(file.read_text())["figures"]
    failing = [name for name, figure in figures.items() if figure["passed"] is False]
    asked = "sidecar calibrate --quick: figures that fail"
    bench.report.row(asked, ", ".join(failing) or "none", "none", not failing)
    for name in ("gpu_vram", "gpu_util"):
        figure = figures[name]
        text = figure["reason"] or f"{figure['measured']:.2f} {figure['unit']}"
        passed = figure["passed"] is True
        bench.report.row(f"calibration: {name}", text, f"goal {figure['goal']:g}", passed)


def columns(bench: Bench, kind: str) -> None:
    """The sidecar's columns and nvidia-smi's figures of the same seconds, beside a load."""
    python = bench.pythons.get(kind, sys.executable)
    with Smi(bench) as smi:
        measured = bench.beside([python, LOADS, kind, str(LOAD_S)], kind)
    begin_ns, end_ns = ends_ns(measured)
    seen = Seen(measured=measured, smi=smi, since_ns=begin_ns + SETTLED_NS, until_ns=end_ns)
    for column in COMPARED:
        asked = f"{kind}: {column}"
        bench.report.attempt(asked, _compare, bench, asked, seen, column)
    asked = f"{kind}: vram_tree_bytes"
    bench.report.attempt(asked, _compare_tree, bench, asked, seen)
    asked = f"{kind}: VRAM by UnixStats's rule"
    bench.report.attempt(asked, _as_unixstats, bench, asked, seen)


def ends_ns(measured: Measured) -> tuple[int, int]:
    """When the load began to compute and ended, monotonic; raises Failed if it did neither."""
    line = last_line(measured.printed)
    if not line.startswith("{"):
        raise Failed(f"the load ended with status {measured.status}: {line}")
    truth = json.loads(line)
    return truth["begin_ns"], truth["end_ns"]


class Smi:
    """Calls nvidia-smi again and again in a thread, within a `with`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._query, daemon=True)
        self.figures: list[tuple[int, list[str]]] = []
        """Monotonic moment, and the text for each part of QUERY."""
        self.processes: list[tuple[int, dict[int, float]]] = []
        """Monotonic moment, and the MiB of each process that computes, by its number."""
        self.texts: list[tuple[int, str]] = []
        """Monotonic moment, and what nvidia-smi prints without options."""

    def __enter__(self) -> Smi:
        # Raises Skip if there is no nvidia-smi.
        self._bench.smi("-L")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60.0)

    def _query(self) -> None:
        plain = "--format=csv,noheader,nounits"
        while not self._stop.wait(0.2):
            # One that fails is left out; later ones may succeed.
            with suppress(Skip):
                figures = self._bench.smi(f"--query-gpu={QUERY}", plain).split(",")
                self.figures.append((time.monotonic_ns(), [text.strip() for text in figures]))
                lines = self._bench.smi("--query-compute-apps=pid,used_memory", plain).splitlines()
                processes = dict(_process(line) for line in lines if line.strip())
                self.processes.append((time.monotonic_ns(), processes))
                self.texts.append((time.monotonic_ns(), self._bench.smi()))


@dataclass(frozen=True)
class Seen:
    """What sidecar and nvidia-smi saw, and the monotonic moments between which to compare it."""

    measured: Measured
    smi: Smi
    since_ns: int
    until_ns: int

    def column(self, name: str) -> float:
        """Median of the sidecar's column; raises Failed as `Measured.values`."""
        return statistics.median(self.measured.values(name, self.since_ns, self.until_ns))

    def between(self, series: Sequence[tuple[int, T]]) -> list[T]:
        """The values of nvidia-smi in that time; raises Failed if there is none."""
        values = [value for at_ns, value in series if self.since_ns <= at_ns <= self.until_ns]
        if not values:
            raise Failed("nvidia-smi said nothing in these seconds")
        return values


def _process(line: str) -> tuple[int, float]:
    pid, used_mib = line.split(",")
    return int(pid), _number(used_mib)


def _number(text: str) -> float:
    """The number in a text of nvidia-smi; NaN for `[N/A]`."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _compare(bench: Bench, asked: str, seen: Seen, column: str) -> None:
    place = list(COMPARED).index(column)
    numbers = [_number(figures[place]) for figures in seen.between(seen.smi.figures)]
    theirs = statistics.median(numbers)
    ours = seen.column(column)
    unit = ""
    absolute, share = COMPARED[column]
    if column.endswith("_bytes"):
        # nvidia-smi has MiB.
        unit = " MiB"
        ours, absolute = ours / MIB, absolute / MIB
    apart = absolute + share * theirs
    figure = f"{ours:,.1f}, nvidia-smi {theirs:,.1f}{unit}"
    bench.report.row(asked, figure, f"within {apart:,.1f}", abs(ours - theirs) <= apart)


def _compare_tree(bench: Bench, asked: str, seen: Seen) -> None:
    """Memory of the load's own process (S3)."""
    listed = [processes for processes in seen.between(seen.smi.processes) if processes]
    if not listed:
        raise Skip(
            "nvidia-smi lists no process here, as in a container with process numbers of its own"
        )
    count = max(len(processes) for processes in listed)
    ours_mib = seen.column("vram_tree_bytes") / MIB
    theirs_mib = statistics.median(sum(processes.values()) for processes in listed)
    figure = f"{ours_mib:,.1f} MiB, nvidia-smi's {count} processes {theirs_mib:,.1f} MiB"
    # Which of several processes is the load's is not known.
    good = count > 1 or abs(ours_mib - theirs_mib) <= MEMORY_MIB
    bench.report.row(asked, figure, f"within {MEMORY_MIB:.0f} MiB of one process", good)


def _as_unixstats(bench: Bench, asked: str, seen: Seen) -> None:
    """What UnixStats takes from nvidia-smi's text, and the sidecar's columns beside it (S3)."""
    texts = seen.between(seen.smi.texts)
    unixstats = statistics.median(unixstats_mib(text, "python") for text in texts)
    share = 100 * unixstats / UNIXSTATS_MIB
    tree = seen.column("vram_tree_bytes")
    card = seen.column("vram_used_bytes")
    figure = f"{unixstats:,.0f} MiB = {share:.1f} % of {UNIXSTATS_MIB}; "
    figure += f"tree {mib(tree)}, card {mib(card)}"
    good = abs(unixstats - tree / MIB) <= MEMORY_MIB
    bench.report.row(asked, figure, "that of the tree", good)


def unixstats_mib(text: str, name: str) -> float:
    """The MiB in the first line of nvidia-smi's text that has a process's name; 0 if none has."""
    for line in text.splitlines():
        if name not in line:
            continue
        if match := re.search(r"(\d+)MiB", line):
            return float(match[1])
    return 0.0


def energy(bench: Bench) -> None:
    """Energy of three seconds of load by the counter and by both powers, and of an idle card (S6).

    Raises Failed if the counter does not rise, or if there are too few readings of a column.
    """
    measured = bench.beside([sys.executable, LOADS, "cuda", str(SPIN_S)], "energy", rate_hz=20.0)
    begin_ns, end_ns = ends_ns(measured)
    counter = measured.series("gpu_energy_j")
    counter_j = interpolate(counter, end_ns) - interpolate(counter, begin_ns)
    if counter_j <= 0:
        raise Failed("the energy counter did not rise during the load")
    figure = f"{counter_j:.1f} J, {counter_j / SPIN_S:.1f} W"
    bench.report.row("3 s of load: energy counter", figure)
    # `gpu_power_w` is a mean over up to a second: its integral has no goal.
    goals = {"gpu_power_w": "", "gpu_power_instant_w": f"within {MAX_ENERGY_ERROR:.0%}"}
    for column, expected in goals.items():
        series = measured.series(column, begin_ns, end_ns)
        integral_j = _integral(series, (end_ns - begin_ns) / 1e9)
        error = abs(integral_j / counter_j - 1)
        figure = f"{integral_j:.1f} J, {error:.1%} off the counter"
        good = not expected or error <= MAX_ENERGY_ERROR
        bench.report.row(f"integral of {column}", figure, expected, good)
    baseline = measured.header.get("gpu_baseline")
    asked = "what the card drew and held before"
    bench.report.row(asked, json.dumps(baseline), "known", bool(baseline))


def _integral(series: list[tuple[int, float]], seconds: float) -> float:
    """Joules of a power in watts over so many seconds, from its readings in them."""
    if len(series) < 2:
        raise Failed("there are no two readings of it beside the load")
    joules = 0.0
    for (before_ns, before), (after_ns, after) in pairwise(series):
        joules += (after_ns - before_ns) / 1e9 * (before + after) / 2
    # The readings begin after the load did and end before it.
    covered_s = (series[-1][0] - series[0][0]) / 1e9
    return joules * seconds / covered_s


def foreign(bench: Bench) -> None:
    """Whether another program's context is counted, and not as the command's (S4)."""
    alone = bench.beside(["sleep", "2.5"], "alone")
    with bench.load("context", 30.0):
        beside = bench.beside(["sleep", "2.5"], "beside")
    column = "gpu_foreign_processes"
    count_alone, count_beside = max(alone.values(column)), max(beside.values(column))
    figure = f"{count_alone:.0f}, beside a context {count_beside:.0f}"
    bench.report.row(column, figure, "one more", count_beside == count_alone + 1)
    tree = max(beside.values("vram_tree_bytes"))
    bench.report.row("vram_tree_bytes of a command without GPU", mib(tree), "0 MiB", tree == 0)
