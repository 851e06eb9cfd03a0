#!/usr/bin/env python3
"""Compare the CPU time that the sidecar and its peers record of the same processes.

psrecord, procpath and the usual recipe with psutil are attached to known loads that a sidecar runs.
The table is Markdown: each sampler's error against the kernel's account, and its own CPU.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import _path
from evenground.environments.build import build
from evenground.errors import cli
from evenground.sidecar.calibration import experiments
from evenground.sidecar.linux import process_cpu_ns

INTERVAL_S = 0.1
# All samplers have started by then; the load is quiet so long before it works.
LEAD_S = 2.0
# By load: its numbers.
LOADS: dict[str, dict[str, float]] = {
    "half_core": {"seconds": 1.0},
    "short_children": {"children": 200, "cpu_s": 0.011},
    "orphan": {"seconds": 1.0},
    # Beside this one, the samplers' own CPU is measured.
    "idle": {"seconds": 20.0},
}
RECIPE = _path.ROOT / "scripts/psutil_recipe.py"
# psrecord writes seconds since its start, which comes after its imports; this notes when that was.
PSRECORD = """
import sys, time, pathlib
from psrecord.main import main
pathlib.Path(sys.argv.pop(1)).write_text(str(time.time_ns()))
main()
"""
# (monotonic nanoseconds, CPU nanoseconds so far) of each row.
Series = list[tuple[int, float]]


@dataclass(frozen=True)
class Watched:
    """What the samplers recorded of one load."""

    truth: dict[str, Any]
    """As `loads` describes it."""
    cpu: dict[str, Series]
    """Sampler -> its rows."""
    own_ms_per_s: dict[str, float]
    """Command of COMMANDS, or `sidecar` -> CPU milliseconds per second that it used itself."""


def psrecord(python: str, pid: int, folder: Path) -> list[str]:
    """psrecord's command line; it counts children that are alive."""
    args = [python, "-c", PSRECORD, str(folder / "psrecord.start"), str(pid)]
    args += ["--include-children", "--interval", str(INTERVAL_S)]
    return args + ["--log-format", "csv", "--log", str(folder / "psrecord.csv")]


def procpath(python: str, pid: int, folder: Path) -> list[str]:
    """procpath's command line for a process and all below it."""
    args = [python, "-m", "procpath", "--logging-level", "ERROR", "record"]
    args += ["-i", str(INTERVAL_S), "-d", str(folder / "procpath.sqlite"), "-p", str(pid)]
    return args + ["--stop-without-result", f"$..children[?(@.stat.pid == {pid})]"]


def recipe(python: str, pid: int, folder: Path) -> list[str]:
    """The command line of psutil_recipe.py."""
    return [python, str(RECIPE), str(pid), str(INTERVAL_S), str(folder / "recipe.csv")]


COMMANDS: dict[str, Callable[[str, int, Path], list[str]]] = {
    "psrecord 1.4": psrecord,
    "procpath 1.15.1": procpath,
    "psutil recipe": recipe,
}


def read_csv(file: Path, column: str) -> Series:
    """A column of CPU seconds in a CSV file; rows without a value are left out."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [(int(row["t_mono_ns"]), float(row[column]) * 1e9) for row in rows if row[column]]


def read_psrecord(folder: Path) -> Series:
    """It writes percent of a core since the row before, which add up to seconds."""
    start_ns = int((folder / "psrecord.start").read_text()) - unix_ahead_ns()
    with (folder / "psrecord.csv").open(newline="") as lines:
        # The last row may be cut off.
        rows = [row for row in csv.DictReader(lines) if row["mem_virtual"]]
    times_ns = [start_ns + int(float(row["elapsed_time"]) * 1e9) for row in rows]
    used_ns = 0.0
    series = [(times_ns[0], used_ns)]
    for (before_ns, now_ns), row in zip(pairwise(times_ns), rows[1:], strict=True):
        used_ns += float(row["cpu"]) / 100 * (now_ns - before_ns)
        series.append((now_ns, used_ns))
    return series


def read_procpath(folder: Path) -> Series:
    """The sum of user and system time of every process, as it was last seen."""
    query = "SELECT ts, stat_pid, stat_starttime, stat_utime + stat_stime FROM record ORDER BY ts"
    tick_ns = 1e9 / os.sysconf("SC_CLK_TCK")
    ahead_ns = unix_ahead_ns()
    connection = sqlite3.connect(folder / "procpath.sqlite")
    seen: dict[tuple[int, int], float] = {}
    sums: dict[int, float] = {}
    for unix_s, pid, start, ticks in connection.execute(query):
        # A pid alone may be given to a later process.
        seen[pid, start] = ticks * tick_ns
        sums[int(unix_s * 1e9) - ahead_ns] = sum(seen.values())
    connection.close()
    return list(sums.items())


READERS: dict[str, Callable[[Path], Series]] = {
    "sidecar": lambda folder: read_csv(folder / "samples.csv", "cpu_s"),
    "psrecord 1.4": read_psrecord,
    "procpath 1.15.1": read_procpath,
    "psutil recipe": lambda folder: read_csv(folder / "recipe.csv", "cpu_s"),
    "psutil recipe, with children_user, children_system": lambda folder: read_csv(
        folder / "recipe.csv", "waited_cpu_s"
    ),
}


def unix_ahead_ns() -> int:
    """Unix time less monotonic time, which is constant unless the clock is set."""
    return time.time_ns() - time.monotonic_ns()


def watch(python: str, load: str, folder: Path) -> Watched:
    """Run a load under a sidecar, attach the peers, and wait for its end."""
    truth, pid_file = folder / "truth.json", folder / "pid"
    # The shell notes its process number, which is then the load's.
    command = ["sh", "-c", 'echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@"', str(pid_file)]
    command += experiments.load_args(load, truth, LOADS[load] | {"lead_s": LEAD_S})
    args = experiments.sidecar_args(command, folder / "samples.csv", 1 / INTERVAL_S)
    with (folder / "log").open("w") as log:
        sidecar = subprocess.Popen(args, stdout=log, stderr=log)
        while not pid_file.exists():
            time.sleep(0.01)
        processes = {"sidecar": sidecar}
        for name, arguments in COMMANDS.items():
            args = arguments(python, int(pid_file.read_text()), folder)
            processes[name] = subprocess.Popen(args, stdout=log, stderr=log)
    time.sleep(LEAD_S)
    began_ns = time.monotonic_ns()
    before_ns = {name: process_cpu_ns(process.pid) for name, process in processes.items()}
    time.sleep(LOADS[load].get("seconds", 1.0) / 2)
    spent_s = (time.monotonic_ns() - began_ns) / 1e9
    own_ms_per_s = {}
    for name, process in processes.items():
        own_ms_per_s[name] = (process_cpu_ns(process.pid) - before_ns[name]) / 1e6 / spent_s
    sidecar.wait()
    for process in processes.values():
        # A peer ends with the load, or at its next row.
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    cpu = {name: read(folder) for name, read in READERS.items()}
    return Watched(truth=json.loads(truth.read_text()), cpu=cpu, own_ms_per_s=own_ms_per_s)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="default: %(default)s")
    args = parser.parse_args()
    python = str(build("peers") / "bin/python")
    watched: dict[str, list[Watched]] = {load: [] for load in LOADS}
    for _ in range(args.rounds):
        for load in LOADS:
            with tempfile.TemporaryDirectory(prefix="bench-sidecar-") as folder:
                watched[load].append(watch(python, load, Path(folder)))
    idle = watched.pop("idle")
    print(f"| sampler | {' | '.join(watched)} | own CPU |")
    print("|---" * (len(watched) + 2) + "|")
    for sampler in READERS:
        cells = [sampler]
        for rounds in watched.values():
            errors = [experiments.work_error_pct(one.cpu[sampler], one.truth) for one in rounds]
            worst = max(errors, key=abs)
            cells.append(f"{statistics.median(errors):+.2f} % ({worst:+.2f})")
        own = [one.own_ms_per_s[sampler.partition(",")[0]] for one in idle]
        cells.append(f"{statistics.median(own):.1f} ms/s")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    cli(main)
