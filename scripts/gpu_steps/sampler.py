"""The sidecar's GPU columns beside nvidia-smi, its calibration, energy, and others' processes."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from evenground.sidecar.unixstats import UNIXSTATS_VRAM_BYTES
from gpu_steps.bench import LOADS, MIB, ROOT, Bench, Measured, last_line, median, mib
from gpu_steps.report import Failed, Skip

LOAD_S = 7.0
# What the load does first is not compared: memory is still taken, and averages still rise.
SETTLED_NS = 3_000_000_000
MEMORY_MIB = 2.0
QUERY = "memory.used,utilization.gpu,power.draw,clocks.sm,clocks.mem,temperature.gpu"
# Column, how far it may be from nvidia-smi: so much, or this share of it.
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
ENERGY_AT_MOST = 0.05
T = TypeVar("T")


def calibrate(bench: Bench) -> None:
    """The sidecar's own calibration with the chosen card (S14)."""
    file, asked = bench.folder / "calibration.json", "sidecar calibrate --quick: figures that fail"
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "evenground.sidecar",
        "calibrate",
        "--quick",
        "--output",
        file,
    ]
    try:
        bench.run([*words, "--gpu", bench.uuid], 80.0, PYTHONPATH=str(ROOT / "src"))
    except Failed:
        # Its exit code says that a goal is missed, too.
        if not file.is_file():
            raise
    figures = json.loads(file.read_text())["figures"]
    failing = [name for name, found in figures.items() if found["passed"] is False]
    bench.report.row(asked, ", ".join(failing) or "none", "none", not failing)
    for name in ("gpu_vram", "gpu_util"):
        found = figures[name]
        figure = found["reason"] or f"{found['measured']:.2f} {found['unit']}"
        bench.report.row(
            f"calibration: {name}", figure, f"goal {found['goal']:g}", found["passed"] is True
        )


def columns(bench: Bench, kind: str) -> None:
    """The sidecar's columns and nvidia-smi's figures of the same seconds, beside a load."""
    python = bench.pythons.get(kind, sys.executable)
    with Smi(bench) as smi:
        measured = bench.beside([python, LOADS, kind, str(LOAD_S)], kind)
    begin_ns, end_ns = ends_ns(measured)
    since_ns = begin_ns + SETTLED_NS
    for place, column in enumerate(COMPARED):
        asked = f"{kind}: {column}"
        bench.report.attempt(asked, _compare, bench, asked, measured, smi, place, since_ns, end_ns)
    asked = f"{kind}: vram_tree_bytes"
    bench.report.attempt(asked, _compare_tree, bench, asked, measured, smi, since_ns, end_ns)
    asked = f"{kind}: VRAM by UnixStats's rule"
    bench.report.attempt(asked, _as_unixstats, bench, asked, measured, smi, since_ns, end_ns)


def ends_ns(measured: Measured) -> tuple[int, int]:
    """When the load began to compute and when it ended, monotonic; Failed where it did not come to it."""
    line = last_line(measured.printed)
    if not line.startswith("{"):
        raise Failed(f"the load ended with status {measured.status}: {line}")
    truth = json.loads(line)
    return truth["begin_ns"], truth["end_ns"]


class Smi:
    """Asks nvidia-smi over and over while it is entered, in a thread."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.figures: list[tuple[int, list[str]]] = []
        """Monotonic moment, and what stands for each part of QUERY."""
        self.processes: list[tuple[int, dict[int, float]]] = []
        """Monotonic moment, and the MiB of each process that computes."""
        self.texts: list[tuple[int, str]] = []
        """Monotonic moment, and what nvidia-smi prints without options."""

    def __enter__(self) -> Smi:
        self._bench.smi("-L")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60.0)

    def _ask_on(self) -> None:
        plain = "--format=csv,noheader,nounits"
        while not self._stop.wait(0.2):
            with suppress(Skip):
                line = self._bench.smi(f"--query-gpu={QUERY}", plain)
                self.figures.append(
                    (time.monotonic_ns(), [cell.strip() for cell in line.split(",")])
                )
                lines = self._bench.smi("--query-compute-apps=pid,used_memory", plain).splitlines()
                self.processes.append(
                    (time.monotonic_ns(), dict(_process(line) for line in lines if line.strip()))
                )
                self.texts.append((time.monotonic_ns(), self._bench.smi()))


def _process(line: str) -> tuple[int, float]:
    pid, used_mib = line.split(",")
    return int(pid), _number(used_mib)


def _number(text: str) -> float:
    """What nvidia-smi says as a number; NaN where it says `[N/A]`."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def between(found: Sequence[tuple[int, T]], since_ns: int, until_ns: int) -> list[T]:
    """What was seen between two moments; Failed where there is nothing."""
    inside = [value for at_ns, value in found if since_ns <= at_ns <= until_ns]
    if not inside:
        raise Failed("nvidia-smi said nothing in these seconds")
    return inside


def _compare(
    bench: Bench, asked: str, measured: Measured, smi: Smi, place: int, since_ns: int, until_ns: int
) -> None:
    column = list(COMPARED)[place]
    absolute, share = COMPARED[column]
    ours = median(measured.values(column, since_ns, until_ns))
    unit = MIB if column.endswith("_bytes") else 1
    theirs = (
        median([_number(cells[place]) for cells in between(smi.figures, since_ns, until_ns)]) * unit
    )
    apart = absolute + share * theirs
    figure = f"{ours / unit:,.1f}, nvidia-smi {theirs / unit:,.1f}{' MiB' if unit == MIB else ''}"
    bench.report.row(asked, figure, f"within {apart / unit:,.1f}", abs(ours - theirs) <= apart)


def _compare_tree(
    bench: Bench, asked: str, measured: Measured, smi: Smi, since_ns: int, until_ns: int
) -> None:
    """Memory of the load's own process (S3)."""
    seen = between(smi.processes, since_ns, until_ns)
    loads_mib = [sum(used for used in one.values()) for one in seen if one]
    if not loads_mib:
        raise Skip(
            "nvidia-smi lists no process here, as in a container with process numbers of its own"
        )
    others = max(len(one) for one in seen) - 1
    ours_mib, theirs_mib = (
        median(measured.values("vram_tree_bytes", since_ns, until_ns)) / MIB,
        median(loads_mib),
    )
    figure = f"{ours_mib:,.1f} MiB, nvidia-smi's {others + 1} processes {theirs_mib:,.1f} MiB"
    near = others > 0 or abs(ours_mib - theirs_mib) <= MEMORY_MIB
    bench.report.row(asked, figure, f"within {MEMORY_MIB:.0f} MiB of one process", near)


def _as_unixstats(
    bench: Bench, asked: str, measured: Measured, smi: Smi, since_ns: int, until_ns: int
) -> None:
    """What UnixStats takes from nvidia-smi's text, and the sidecar's columns beside it (S3)."""
    said_mib = median(
        [unixstats_mib(text, "python") for text in between(smi.texts, since_ns, until_ns)]
    )
    tree = median(measured.values("vram_tree_bytes", since_ns, until_ns))
    whole = median(measured.values("vram_used_bytes", since_ns, until_ns))
    figure = (
        f"{said_mib:,.0f} MiB = {100 * said_mib / UNIXSTATS_MIB:.1f} % of {UNIXSTATS_MIB}; "
        f"tree {mib(tree)}, card {mib(whole)}"
    )
    near = abs(said_mib - tree / MIB) <= MEMORY_MIB
    bench.report.row(asked, figure, "that of the tree", near)


def unixstats_mib(text: str, name: str) -> float:
    """The MiB in the first line of nvidia-smi's text that has the process's name; 0 where none has it."""
    for line in text.splitlines():
        found = re.search(r"(\d+)MiB", line) if name in line else None
        if found:
            return float(found[1])
    return 0.0


def energy(bench: Bench) -> None:
    """Energy of three seconds of load by the counter and by both powers, and of an idle card (S6)."""
    measured = bench.beside([sys.executable, LOADS, "cuda", str(SPIN_S)], "energy", rate_hz=20.0)
    ends = ends_ns(measured)
    counter_j = _at(measured.series("gpu_energy_j"), ends[1]) - _at(
        measured.series("gpu_energy_j"), ends[0]
    )
    if counter_j <= 0:
        raise Failed("the energy counter did not rise during the load")
    bench.report.row(
        "3 s of load: energy counter", f"{counter_j:.1f} J, {counter_j / SPIN_S:.1f} W"
    )
    for column in ("gpu_power_w", "gpu_power_instant_w"):
        integral_j = _integral(measured.series(column), *ends)
        share = abs(integral_j / counter_j - 1)
        figure = f"{integral_j:.1f} J, {share:.1%} off the counter"
        wanted = f"within {ENERGY_AT_MOST:.0%}" if column == "gpu_power_instant_w" else ""
        bench.report.row(
            f"integral of {column}", figure, wanted, not wanted or share <= ENERGY_AT_MOST
        )
    baseline = measured.header.get("gpu_baseline")
    bench.report.row(
        "what the card drew and held before", json.dumps(baseline), "known", bool(baseline)
    )


def _at(series: list[tuple[int, float]], at_ns: int) -> float:
    """A counter's value between two of its readings."""
    for (before_ns, before), (after_ns, after) in pairwise(series):
        if before_ns <= at_ns <= after_ns:
            return before + (after - before) * (at_ns - before_ns) / (after_ns - before_ns)
    raise Failed("the energy counter was not read around the load")


def _integral(series: list[tuple[int, float]], since_ns: int, until_ns: int) -> float:
    """Of a power over time, by its readings between two moments."""
    inside = [(at_ns, value) for at_ns, value in series if since_ns <= at_ns <= until_ns]
    if len(inside) < 2:
        raise Failed("there are no two readings of it beside the load")
    parts = (
        (after_ns - before_ns) * (before + after) / 2
        for (before_ns, before), (after_ns, after) in pairwise(inside)
    )
    whole = (until_ns - since_ns) / (inside[-1][0] - inside[0][0])
    return sum(parts) / 1e9 * whole


def foreign(bench: Bench) -> None:
    """A process of somebody else's that holds a context is seen, and is not the command's (S4)."""
    alone = bench.beside(["sleep", "2.5"], "alone")
    with bench.load("context", 30.0):
        beside = bench.beside(["sleep", "2.5"], "beside")
    counts = [max(measured.values("gpu_foreign_processes")) for measured in (alone, beside)]
    figure = f"{counts[0]:.0f}, beside a context {counts[1]:.0f}"
    bench.report.row("gpu_foreign_processes", figure, "one more", counts[1] == counts[0] + 1)
    tree = max(beside.values("vram_tree_bytes"))
    bench.report.row("vram_tree_bytes of a command without GPU", mib(tree), "0 MiB", tree == 0)
