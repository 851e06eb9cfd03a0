"""What a sampler costs the job beside it: it is stopped and continued, and the job's chunks compared."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from evenground.sidecar.calibration.experiments import sidecar_args
from evenground.sidecar.linux import process_cpu_ns
from sidecar_bench.tables import print_table

JOB = Path(__file__).with_name("job.py")
WARM_S = 2.0
SLICE_S = 1.0
EDGE_NS = 5_000_000
KINDS = ("compute", "faults")
Chunks = list[list[int]]


class Slice(NamedTuple):
    """A time in which the sampler ran, or stood still, and the CPU it used in it."""

    on: bool
    begin_ns: int
    end_ns: int
    sampler_ns: int


class Estimate(NamedTuple):
    """A mean over pairs of slices, and half the width of its 95 % interval; percent."""

    mean_pct: float
    half_width_pct: float
    pairs: int

    def ends_pct(self) -> tuple[float, float]:
        """Both ends of the interval."""
        return self.mean_pct - self.half_width_pct, self.mean_pct + self.half_width_pct

    def __str__(self) -> str:
        return f"{self.mean_pct:+.2f} % ({' to '.join(f'{end:+.2f}' for end in self.ends_pct())})"


class Cost(NamedTuple):
    """What the job paid: more CPU and wall time per chunk, of each kind and of both; the sampler's share."""

    cpu: dict[str, Estimate]
    wall: dict[str, Estimate]
    own_pct: float

    def in_all(self, kind: str) -> Estimate:
        """The job's own CPU and the sampler's together."""
        return self.cpu[kind]._replace(mean_pct=self.cpu[kind].mean_pct + self.own_pct)


def of_sidecar(folder: Path, seconds: float) -> Cost:
    """The cost of a sidecar that started the job."""
    result = folder / "job.json"
    words = sidecar_args(job_words(result, seconds), folder / "cost.csv", rate_hz=10.0)
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as sidecar:
        slices = take_turns(sidecar.pid, seconds)
    return judge(json.loads(result.read_text()), slices)


def of_attached(folder: Path, seconds: float, words: Callable[[int], list[str]]) -> Cost:
    """The cost of another sampler; `words` gives its command line for the job's process."""
    result = folder / "job.json"
    with subprocess.Popen(job_words(result, seconds)) as job:
        quiet: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        with subprocess.Popen(words(job.pid), **quiet) as sampler:
            slices = take_turns(sampler.pid, seconds)
            job.wait()
            sampler.terminate()
    return judge(json.loads(result.read_text()), slices)


def job_words(result: Path, seconds: float) -> list[str]:
    """The job's command line; it outlasts the slices by a second."""
    return [sys.executable, "-I", "-S", str(JOB), str(result), repr(WARM_S + seconds + 1.0)]


def take_turns(pid: int, seconds: float) -> list[Slice]:
    """Stop and continue a process, on off off on, for `seconds`; it runs again in the end.

    A slice lasts about a second, never a whole number of rows.
    """
    slices: list[Slice] = []
    time.sleep(WARM_S)
    until_s, source = time.monotonic() + seconds, random.Random(1)
    try:
        while time.monotonic() < until_s - 3 * SLICE_S or len(slices) % 4:
            on = len(slices) % 4 in (0, 3)
            os.kill(pid, signal.SIGCONT if on else signal.SIGSTOP)
            begin_ns, cpu_ns = time.monotonic_ns(), process_cpu_ns(pid)
            time.sleep(SLICE_S * source.uniform(0.95, 1.05))
            slices.append(Slice(on, begin_ns, time.monotonic_ns(), process_cpu_ns(pid) - cpu_ns))
    finally:
        os.kill(pid, signal.SIGCONT)
    return slices


def judge(processes: list[dict[str, Chunks]], slices: Sequence[Slice]) -> Cost:
    """Compare each slice with the sampler to the one without beside it."""
    of_kind = {kind: [one[kind] for one in processes] for kind in KINDS}
    every = {"both": [chunks for parts in of_kind.values() for chunks in parts], **of_kind}
    cpu = {kind: _compare(parts, slices, 2) for kind, parts in every.items()}
    wall = {kind: _compare(parts, slices, 1) for kind, parts in every.items()}
    on = [one for one in slices if one.on]
    job_ns = sum(
        sum(chunk[2] for chunk in _inside(chunks, one)) for chunks in every["both"] for one in on
    )
    return Cost(cpu, wall, 100 * sum(one.sampler_ns for one in on) / job_ns)


def _compare(parts: Sequence[Chunks], slices: Sequence[Slice], field: int) -> Estimate:
    """On over off, pair by pair; the mean of the logarithms with Student's interval, as percent."""
    means = [
        statistics.fmean(
            statistics.fmean(chunk[field] for chunk in _inside(chunks, one)) for chunks in parts
        )
        for one in slices
    ]
    ratios = [
        math.log(left / right if first.on else right / left)
        for (first, left), (_, right) in list(pairwise(zip(slices, means, strict=True)))[::2]
    ]
    width = stats.t.ppf(0.975, len(ratios) - 1) * statistics.stdev(ratios) / math.sqrt(len(ratios))
    return Estimate(100 * math.expm1(statistics.fmean(ratios)), 100 * float(width), len(ratios))


def _inside(chunks: Chunks, one: Slice) -> Chunks:
    """The chunks that began and ended in a slice."""
    return [
        chunk
        for chunk in chunks
        if chunk[0] - chunk[1] > one.begin_ns + EDGE_NS and chunk[0] < one.end_ns
    ]


def show(costs: dict[str, Cost]) -> None:
    """Print what each sampler cost the job."""
    print(
        "Cost to a busy job at 10 Hz, sampler running over sampler stopped, mean and 95 % interval:\n"
    )
    head = [
        "sampler",
        "chunks",
        "pairs",
        "CPU of the job",
        "sampler's own CPU",
        "CPU in all",
        "wall time",
    ]
    rows = [
        [name, kind, str(of.cpu[kind].pairs), str(of.cpu[kind]), f"{of.own_pct:+.2f} %"]
        + [str(of.in_all(kind)), str(of.wall[kind])]
        for name, of in costs.items()
        for kind in of.cpu
    ]
    print_table(head, rows)
