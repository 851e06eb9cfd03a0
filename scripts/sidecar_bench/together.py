"""One load beside the sidecar and its peers at once, so that all see the same processes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from evenground.errors import EvengroundError
from evenground.sidecar.calibration import judge, loads
from evenground.sidecar.calibration.experiments import load_args, read_observed, sidecar_args
from evenground.sidecar.linux import process_cpu_ns
from sidecar_bench.peers import INTERVAL_S, Peer, Recorded, Series

SIDECAR = "sidecar"
LEAD_S = 1.3
LOOK_S = 0.05
PATIENCE_S = 15.0


class Watched(NamedTuple):
    """A load's truth, what each sampler recorded of it, and each sampler's own CPU nanoseconds over time."""

    truth: dict[str, Any]
    recorded: dict[str, Recorded]
    own: dict[str, Series]

    def own_ms_per_s(self, name: str) -> float:
        """A sampler's own CPU during the work."""
        span = (self.truth["begin_ns"], self.truth["end_ns"])
        return judge.ms_per_s([(at_ns, judge.interpolate(self.own[name], at_ns)) for at_ns in span])

    def times_ns(self, name: str) -> list[int]:
        """When a sampler's rows began, those during the work."""
        begin_ns, end_ns = self.truth["begin_ns"], self.truth["end_ns"]
        return [at_ns for at_ns in self.recorded[name].times_ns if begin_ns <= at_ns <= end_ns]

    def rows_pct(self, name: str) -> float:
        """Rows during the work, of those that the interval asks for from the first to the last."""
        times_ns = self.times_ns(name)
        return 100 * (len(times_ns) - 1) * INTERVAL_S * 1e9 / (times_ns[-1] - times_ns[0])

    def late_ms(self, name: str) -> list[float]:
        """By how much each row came later after the one before it than the interval says."""
        return [
            (now - then) / 1e6 - 1000 * INTERVAL_S for then, now in pairwise(self.times_ns(name))
        ]

    def drift_ms(self, name: str) -> float:
        """By how much the last row lags behind the first one's clock and the number of rows between."""
        times_ns = self.times_ns(name)
        return (times_ns[-1] - times_ns[0]) / 1e6 - 1000 * INTERVAL_S * (len(times_ns) - 1)


def watch(peers: Sequence[Peer], load: str, *, sidecar: bool = True, **numbers: float) -> Watched:
    """Run a load with `peers` attached, started by a sidecar or alone; EvengroundError when that fails.

    The load's lead is long enough for all samplers to have begun.
    """
    with tempfile.TemporaryDirectory(prefix="bench-sidecar-") as scratch:
        folder = Path(scratch)
        truth, samples = folder / "truth.json", folder / "samples.csv"
        words = load_args(load, truth, {"lead_s": LEAD_S, **numbers})
        words = sidecar_args(words, samples, 1 / INTERVAL_S) if sidecar else words
        own = _run(words, load, peers, folder, sidecar)
        recorded = {peer.name: peer.read(folder) for peer in peers}
        if sidecar:
            seen = read_observed(samples, truth)
            memory = {"RSS": seen.series("rss_bytes"), "PSS": seen.series("pss_bytes")}
            recorded[SIDECAR] = Recorded(seen.times_ns(), {"": seen.cpu_ns()}, memory)
        return Watched(json.loads(truth.read_text()), recorded, own)


def _run(
    words: Sequence[str], load: str, peers: Sequence[Peer], folder: Path, sidecar: bool
) -> dict[str, Series]:
    """Start everything, wait for the load's end; each sampler's own CPU, looked at now and then."""
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(words, **quiet) as first:
        pid = _load_pid(first.pid) if sidecar else first.pid
        samplers = {peer.name: subprocess.Popen(peer.words(pid, folder), **quiet) for peer in peers}
        pids = {name: sampler.pid for name, sampler in samplers.items()}
        own = _look(first, pids | ({SIDECAR: first.pid} if sidecar else {}))
        for sampler in samplers.values():
            _end(sampler)
    if first.returncode:
        raise EvengroundError(
            f"the load {load} ended with status {first.returncode}", words[0], "run it alone"
        )
    return own


def _look(first: subprocess.Popen[bytes], pids: dict[str, int]) -> dict[str, Series]:
    own: dict[str, Series] = {name: [] for name in pids}
    while first.poll() is None:
        for name, pid in pids.items():
            with contextlib.suppress(OSError):
                own[name].append((time.monotonic_ns(), process_cpu_ns(pid)))
        time.sleep(LOOK_S)
    return own


def _load_pid(sidecar: int) -> int:
    """The load among the sidecar's children; waits until it is there.

    The guardian's command line names the load too, but behind the sidecar's own options.
    """
    until_s = time.monotonic() + PATIENCE_S
    with contextlib.suppress(psutil.NoSuchProcess):  # then it has ended at once
        while time.monotonic() < until_s:
            for child in psutil.Process(sidecar).children():
                if loads.__file__ in _words(child)[:4]:
                    return child.pid
            time.sleep(0.01)
    raise EvengroundError(
        "the sidecar did not start the load", "bench_sidecar.py", "run `sidecar run` alone"
    )


def _words(process: psutil.Process) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def _end(sampler: subprocess.Popen[bytes]) -> None:
    """It should end when its process does; if not, it is told."""
    try:
        sampler.wait(2.0)
    except subprocess.TimeoutExpired:
        sampler.terminate()
        sampler.wait()
