"""One experiment per known load: run it under its own sidecar and judge the rows."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evenground.sidecar.api import sidecar_command
from evenground.sidecar.calibration import gpu_load, judge, loads
from evenground.sidecar.calibration.judge import Figure, Series, figure, left_out

CHILDREN = 200
# The kernel cuts off up to 20 ms of clock ticks: with so much CPU this is below 1 % of all.
CHILD_CPU_S = 0.011
SHARERS = 5
# A load does not know its CPU of its last one or two milliseconds: 0.1 % of this.
MIN_ACCOUNT_S = 2.0
MIN_PSS_S = 1.3
MIN_ORPHAN_S = 0.6
MAX_BURN_S = 30.0
# How much CPU of a burst counts as seen.
SEEN_CPU_NS = 1_000_000
# A row that begins this shortly before the end of a plateau may be read after it.
SETTLED_NS = 20_000_000
GPU_PHASE_S = 1.4
# After this a load hangs.
PATIENCE_S = 60.0
# Without user settings and site packages: loads start fast, and need nothing but the library.
PYTHON = (sys.executable, "-I", "-S")
Truth = dict[str, Any]


class CalibrationError(RuntimeError):
    """A load or its sidecar failed, so that nothing can be judged; the text says which and how."""


class NotHere(RuntimeError):
    """Something cannot be measured on this machine; the text is the reason."""


class Observed(NamedTuple):
    """The rows and the header that one sidecar wrote beside one load, and the load's truth."""

    rows: list[dict[str, str]]
    header: dict[str, Any]
    truth: Truth

    def series(self, column: str, scale: float = 1.0) -> list[tuple[int, float]]:
        """(monotonic nanoseconds, cell times `scale`) of the rows that have a value there."""
        return [
            (int(row["t_mono_ns"]), float(row[column]) * scale) for row in self.rows if row[column]
        ]

    def cpu_ns(self) -> list[tuple[int, float]]:
        """The column `cpu_s`, in nanoseconds."""
        return self.series("cpu_s", 1e9)

    def span(self) -> tuple[int, int]:
        """Begin and end of the load's work, monotonic nanoseconds."""
        return self.truth["begin_ns"], self.truth["end_ns"]

    def due_ns(self) -> list[int]:
        """The sampler's deadlines during the work; raises as `judge.deadlines`."""
        zero_ns, rate_hz = self.header["slot_zero_mono_ns"], self.header["rate_hz"]
        return judge.deadlines(zero_ns, rate_hz, self.span())

    def times_ns(self) -> list[int]:
        """When each row's reading began."""
        return [int(row["t_mono_ns"]) for row in self.rows]

    def late_ms(self, share: float) -> float:
        """A percentile of the rows' lateness during the work; raises as `judge.lateness_ns`."""
        return judge.percentile(judge.lateness_ns(self.times_ns(), self.due_ns()), share) / 1e6


class Harness:
    """Runs known loads, under a sidecar or alone, and writes their files to one folder."""

    def __init__(self, folder: Path, card: str | None = None) -> None:
        """`card` is the UUID of the card or MIG instance to load; None for CUDA's first one."""
        self._folder = folder
        self._card = card
        self._truth = folder / "truth.json"
        # How the last sidecar worked: `scheduling` and `cpu_source` of its header.
        self.modes: dict[str, str] = {}

    def observe(self, load: str, rate_hz: float = 10.0, **numbers: float) -> Observed:
        """Run a load under a sidecar; raises CalibrationError if one of the two fails."""
        return self._observe(load, load_args(load, self._truth, numbers), rate_hz)

    def _observe(
        self, load: str, command: Sequence[str], rate_hz: float, options: Sequence[str] = ()
    ) -> Observed:
        samples = self._folder / "samples.csv"
        _run(load, sidecar_args(command, samples, rate_hz, options))
        seen = read_observed(samples, self._truth)
        self.modes = {key: seen.header[key] for key in ("scheduling", "cpu_source")}
        return seen

    def alone(self, load: str, **numbers: float) -> Truth:
        """Run a load without a sidecar; raises CalibrationError if it fails, or NotHere."""
        _run(load, load_args(load, self._truth, numbers))
        return read_truth(self._truth)

    def on_gpu(self, seconds: float) -> Observed:
        """Run the GPU load under a sidecar of the same card; raises NotHere if CUDA refuses."""
        load = [*PYTHON, gpu_load.__file__, str(self._truth)]
        card = self._card
        if card is None:
            _run("gpu_load", load)
            card = str(read_truth(self._truth)["uuid"])
        return self._observe("gpu_load", [*load, repr(seconds), card], 10.0, [f"--gpu={card}"])

    @contextlib.contextmanager
    def all_cores_loaded(self) -> Iterator[None]:
        """Keep all cores busy, by processes in their own session and outside the sidecar's tree."""
        numbers = {"processes": float(cores()), "seconds": MAX_BURN_S, "lead_s": 0.0}
        args = load_args("full_cores", self._folder / "burning.json", numbers)
        with subprocess.Popen(
            args, start_new_session=True, preexec_fn=loads.end_with_parent
        ) as burning:
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(burning.pid, signal.SIGKILL)


def read_observed(samples: Path, truth: Path) -> Observed:
    """Read the files of a sidecar and of its load; raises NotHere as `read_truth`."""
    with samples.open(newline="") as file:
        rows = list(csv.DictReader(file))
    header = json.loads(samples.with_suffix(".json").read_text(encoding="utf-8"))
    return Observed(rows=rows, header=header, truth=read_truth(truth))


def read_truth(path: Path) -> Truth:
    """Read what a load wrote; raises NotHere if it is the reason why the load could not run."""
    truth: Truth = json.loads(path.read_text(encoding="utf-8"))
    if "error" in truth:
        raise NotHere(truth["error"])
    return truth


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_args(load: str, truth: Path, numbers: dict[str, float]) -> list[str]:
    """The command line of a known load."""
    settings = [f"{key}={value!r}" for key, value in numbers.items()]
    return [*PYTHON, loads.__file__, load, str(truth), *settings]


def sidecar_args(
    command: Sequence[str], samples: Path, rate_hz: float, options: Sequence[str] = ()
) -> list[str]:
    """The command line of a sidecar that runs `command`; its header is beside the samples."""
    header = str(samples.with_suffix(".json"))
    args = ["run", "--end-with-parent", "--samples", str(samples), "--header", header]
    # A known load does not need the baseline of the GPU, which takes a second.
    args += ["--gpu-wait-s", "0", "--rate-hz", repr(rate_hz)]
    return sidecar_command([*args, *options, "--", *command])


def _run(load: str, args: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            args, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise CalibrationError(f"the load {load} did not end within {PATIENCE_S:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CalibrationError(f"the load {load} ended with status {done.returncode}: {last}")


def kernel_total(seen: Observed) -> Figure:
    """The last row's CPU against the kernel's total."""
    last_s, kernel_s = float(seen.rows[-1]["cpu_s"]), seen.header["summary"]["cpu_s"]
    return figure("cpu_total_kernel", lambda: abs(judge.error_pct(last_s, kernel_s)))


def totals(seen: Observed) -> list[Figure]:
    """The last row's CPU against the kernel's total, and against a long load's own account."""
    last_s, account_s = float(seen.rows[-1]["cpu_s"]), seen.truth["own_cpu_ns"] / 1e9
    figures = [kernel_total(seen)]
    # A shorter load's account misses too much of its end.
    if account_s >= MIN_ACCOUNT_S:
        of_load = figure("cpu_total_load", lambda: abs(judge.error_pct(last_s, account_s)))
        figures.append(of_load)
    return figures


def share_error_pct(seen: Observed) -> float:
    """Signed error of the mean CPU share while the load worked."""
    return judge.growth_error_pct(seen.cpu_ns(), seen.truth["accounts"], seen.span())


def half_core(harness: Harness, load_s: float) -> list[Figure]:
    """50 % of one core."""
    seen = harness.observe("half_core", seconds=load_s)
    return [figure("half_core", lambda: abs(share_error_pct(seen))), kernel_total(seen)]


def full_cores(harness: Harness, load_s: float) -> list[Figure]:
    """Two full cores."""
    seen = harness.observe("full_cores", processes=2, seconds=load_s)
    return [figure("full_cores", lambda: abs(share_error_pct(seen)))] + totals(seen)


def short_children(harness: Harness, load_s: float) -> list[Figure]:
    """200 children one after the other, each waited for; judged while their parent still lives."""
    seen = harness.observe("short_children", children=CHILDREN, cpu_s=CHILD_CPU_S)
    error = figure("short_children", lambda: abs(work_error_pct(seen.cpu_ns(), seen.truth)))
    return [error] + totals(seen)


def work_error_pct(cpu_ns: Series, truth: Truth) -> float:
    """Signed error of all CPU from before the load's work to the rows after it."""
    span = (truth["begin_ns"], truth["final_ns"])
    return judge.since_error_pct(cpu_ns, truth["accounts"], span)


def orphan(harness: Harness, load_s: float) -> list[Figure]:
    """A process that left its parents."""
    seen = harness.observe("orphan", seconds=max(MIN_ORPHAN_S, load_s / 2))
    limit = None
    # The kernel's own account of a cgroup must be closer than a sum over processes.
    if seen.header["cpu_source"] == "cgroup":
        limit = judge.ORPHAN_IN_CGROUP_PCT
    error = figure("orphan", lambda: orphan_worst_pct(seen.cpu_ns(), seen.truth), limit)
    return [error, kernel_total(seen)]


def orphan_worst_pct(cpu_ns: Series, truth: Truth) -> float:
    """The larger error of the CPU since before the orphan: while it runs, or after its end."""
    orphan_end_ns = truth["accounts"][-1][-1][0]
    errors: list[float] = []
    for end_ns in (orphan_end_ns, truth["final_ns"]):
        span = (truth["begin_ns"], end_ns)
        errors.append(abs(judge.since_error_pct(cpu_ns, truth["accounts"], span)))
    return max(errors)


def memory(harness: Harness, load_s: float) -> list[Figure]:
    """Memory in steps."""
    seen = harness.observe("memory_steps", seconds=load_s)
    rss, peak = seen.series("rss_bytes"), seen.truth["peak_bytes"]
    return [
        figure("memory_plateau", lambda: abs(plateau_error_pct(rss, seen.truth))),
        figure("memory_peak", lambda: abs(judge.error_pct(max(value for _, value in rss), peak))),
    ]


def plateau_error_pct(rss: Series, truth: Truth) -> float:
    """Signed error of the worst row on any plateau."""
    errors: list[float] = []
    for marks in truth["plateaus"]:
        span = (marks[0][0], marks[-1][0] - SETTLED_NS)
        errors.append(judge.level_error_pct(rss, [marks], span))
    return max(errors, key=abs)


def shared(harness: Harness, load_s: float) -> list[Figure]:
    """Memory shared by five processes, against what they read of themselves."""
    try:
        seen = harness.observe("shared_memory", processes=SHARERS, seconds=max(load_s, MIN_PSS_S))
    except NotHere as error:
        return [left_out("shared_pss", str(error))]
    pss = seen.series("pss_bytes")
    if not pss:
        reason = seen.header["missing"].get("pss_bytes", "no column pss_bytes")
        return [left_out("shared_pss", reason)]
    return [figure("shared_pss", lambda: abs(pss_error_pct(pss, seen.truth)))]


def pss_error_pct(pss: Series, truth: Truth) -> float:
    """Signed error of the worst row while all processes hold the memory."""
    return judge.level_error_pct(pss, truth["pss"], truth["shared_ns"])


def steps(harness: Harness, load_s: float) -> list[Figure]:
    """Jumps of memory and CPU at recorded moments."""
    seen = harness.observe("steps", count=max(1, round(2 * load_s)))
    return [
        figure("step_memory", lambda: memory_delay_ms(seen.series("rss_bytes"), seen.truth)),
        figure("step_cpu", lambda: cpu_delay_ms(seen.cpu_ns(), seen.truth)),
    ]


def memory_delay_ms(rss: Series, truth: Truth) -> float:
    """Longest time from a memory step being complete to the first row with nine tenths of it."""
    delays_ns = []
    for begin_ns, there_ns, gone_ns, size in truth["memory"]:
        level = judge.before(rss, begin_ns) + 0.9 * size
        delays_ns.append(judge.shown_after_ns(rss, (begin_ns, gone_ns), level, there_ns))
    return max(delays_ns) / 1e6


def cpu_delay_ms(cpu_ns: Series, truth: Truth) -> float:
    """Longest time from the begin of a burst to the first row with a millisecond of it."""
    delays_ns = []
    for begin_ns, end_ns, _ in truth["cpu"]:
        level = judge.before(cpu_ns, begin_ns) + SEEN_CPU_NS
        delays_ns.append(judge.shown_after_ns(cpu_ns, (begin_ns, end_ns), level, begin_ns))
    return max(delays_ns) / 1e6


def idle_lateness(harness: Harness, load_s: float) -> list[Figure]:
    """Rows at 100 Hz on an idle machine, an empty timed loop before and after."""
    loop_ns = _loop_late_ns(harness, load_s / 2)
    seen = harness.observe("idle", 100.0, seconds=load_s)
    loop_ns += _loop_late_ns(harness, load_s / 2)
    p50_ms, p99_ms = judge.percentile(loop_ns, 0.5) / 1e6, judge.percentile(loop_ns, 0.99) / 1e6
    # No program can be more punctual than this machine's timers.
    limit_ms = p99_ms + judge.LATER_THAN_LOOP_MS
    return [
        figure("late_idle_p50", lambda: seen.late_ms(0.5)),
        figure("late_idle_p99", lambda: seen.late_ms(0.99), limit_ms),
        figure("loop_idle_p50", lambda: p50_ms),
        figure("loop_idle_p99", lambda: p99_ms),
        figure("own_cpu_100hz", lambda: judge.ms_per_s(seen.truth["parent"])),
    ]


def loaded_lateness(harness: Harness, load_s: float) -> list[Figure]:
    """Rows at 100 Hz and at 10 Hz with all cores loaded."""
    with harness.all_cores_loaded():
        seen = harness.observe("idle", 100.0, seconds=load_s)
        slow = harness.observe("idle", seconds=load_s)
    limit_ms = None
    if seen.header["scheduling"] == "fifo":
        limit_ms = judge.LOADED_P99_FIFO_MS
    return [
        figure("late_loaded_p99", lambda: seen.late_ms(0.99), limit_ms),
        figure("rows_100hz", lambda: judge.served_pct(seen.times_ns(), seen.due_ns())),
        figure("own_cpu_100hz_loaded", lambda: judge.ms_per_s(seen.truth["parent"])),
        figure("rows_10hz", lambda: judge.served_pct(slow.times_ns(), slow.due_ns())),
        figure("own_cpu_10hz_loaded", lambda: judge.ms_per_s(slow.truth["parent"])),
    ]


def _loop_late_ns(harness: Harness, seconds: float) -> list[int]:
    """Lateness of an empty loop at 100 Hz, without a sidecar."""
    truth = harness.alone("timed_loop", rate_hz=100.0, seconds=seconds)
    begin_ns = truth["begin_ns"]
    # The first deadline is one period after the begin.
    due_ns = judge.deadlines(begin_ns, 100.0, (begin_ns + 1, truth["end_ns"]))
    return judge.lateness_ns(truth["times_ns"], due_ns)


def own_cpu(harness: Harness, load_s: float) -> list[Figure]:
    """The sidecar's own CPU beside an idle command, at the slowest and the fastest rate."""
    slow = harness.observe("idle", seconds=load_s)
    fast = harness.observe("idle", 1000.0, seconds=load_s / 2)
    return [
        figure("own_cpu_10hz", lambda: judge.ms_per_s(slow.truth["parent"])),
        figure("own_cpu_1000hz", lambda: judge.ms_per_s(fast.truth["parent"])),
    ]


def gpu(harness: Harness, _load_s: float) -> list[Figure]:
    """Memory ballast and spinning on one card. Errors become the reason of both figures."""
    try:
        if reason := gpu_load.no_cuda():
            raise NotHere(reason)
        return gpu_figures(harness.on_gpu(GPU_PHASE_S))
    # A driver may fail in any way, and must not hide the other figures.
    except Exception as error:
        reason = str(error) or type(error).__name__
        return [left_out(name, reason) for name in ("gpu_vram", "gpu_util")]


def gpu_figures(seen: Observed) -> list[Figure]:
    """Judge the GPU load; raises NotHere if the driver knows no card."""
    if not seen.header["gpus"]:
        no_card = "the NVIDIA driver gives this user no card"
        raise NotHere(seen.header["missing"].get("gpu_util_pct", no_card))
    truth, vram, util = seen.truth, seen.series("vram_used_bytes"), seen.series("gpu_util_pct")
    begin_ns, end_ns = truth["spin_ns"]

    def rise_error_pct() -> float:
        rise = _median(vram, truth["held_ns"]) - _median(vram, truth["before_ns"])
        return abs(judge.error_pct(rise, truth["ballast_bytes"]))

    def use_pct() -> float:
        # The driver averages over up to a second: only the second half is spinning alone.
        return _median(util, ((begin_ns + end_ns) // 2, end_ns))

    return [
        _undisturbed(seen, _of_gpu(seen, "gpu_vram", "vram_used_bytes", rise_error_pct)),
        _of_gpu(seen, "gpu_util", "gpu_util_pct", use_pct),
    ]


def _of_gpu(seen: Observed, name: str, column: str, measure: Callable[[], float]) -> Figure:
    """The figure; left out if the driver does not report it, as the use of a MIG instance."""
    missing = seen.header["missing"].get(column)
    if missing and not seen.series(column):
        return left_out(name, missing)
    return figure(name, measure)


def _undisturbed(seen: Observed, judged: Figure) -> Figure:
    """The figure; left out if it misses its goal while others hold memory on the card, too."""
    others: list[str] = []
    columns = {"gpu_foreign_processes": "compute", "gpu_desktop_processes": "draw"}
    for column, does in columns.items():
        count = max((value for _, value in seen.series(column)), default=0)
        if count:
            others.append(f"{count:.0f} {does}")
    if judged.passed is False and others:
        return left_out(judged.name, f"other processes use the card as well: {', '.join(others)}")
    return judged


def _median(series: Series, span: judge.Span) -> float:
    return judge.percentile([value for _, value in judge.between(series, span)], 0.5)
