"""One experiment per known load: run it beside a sidecar of its own and judge the rows."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from evenground.sidecar.api import sidecar_command
from evenground.sidecar.calibration import gpu_load, judge, loads
from evenground.sidecar.calibration.judge import Figure, figure, left_out

CHILDREN: Final = 200
CHILD_CPU_S: Final = 0.011
"""So that the clock ticks that the kernel cuts off, up to 20 ms, are below 1 % of all."""
SHARERS: Final = 5
ACCOUNT_AT_LEAST_S: Final = 2.0
PSS_AT_LEAST_S: Final = 1.3
ORPHAN_AT_LEAST_S: Final = 0.6
BURN_AT_MOST_S: Final = 30.0
SEEN_CPU_NS: Final = 1_000_000
SETTLED_NS: Final = 20_000_000
GPU_PHASE_S: Final = 1.4
GPU_FIGURES: Final = ("gpu_vram", "gpu_util")
_PATIENCE_S: Final = 60.0


class CalibrationError(RuntimeError):
    """A load or its sidecar failed, so that nothing can be judged; the text says which and how."""


class NotHere(RuntimeError):
    """Something cannot be measured on this machine; the text is the reason."""


class Observed(NamedTuple):
    """What one sidecar left of one load, and the load's truth."""

    rows: list[dict[str, str]]
    header: dict[str, Any]
    truth: dict[str, Any]

    def series(self, column: str, scale: float = 1.0) -> list[tuple[int, float]]:
        """(monotonic nanoseconds, cell times `scale`) of the rows in which the column has a value."""
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
        """The sampler's deadlines during the work."""
        return judge.deadlines(
            self.header["slot_zero_mono_ns"], self.header["rate_hz"], *self.span()
        )

    def times_ns(self) -> list[int]:
        """When each row's reading began."""
        return [int(row["t_mono_ns"]) for row in self.rows]

    def late_ms(self, share: float) -> float:
        """A percentile of the rows' lateness during the work, milliseconds."""
        return judge.percentile(judge.lateness_ns(self.times_ns(), self.due_ns()), share) / 1e6


class Laboratory:
    """Runs known loads, beside a sidecar or alone, in one folder that it may fill."""

    def __init__(
        self,
        folder: Path,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        card: str | None = None,
    ) -> None:
        """`options` are further ones of `sidecar run`; `prefix` is a command that starts another.

        `card` is the UUID of the card or MIG instance to load; None: the one that CUDA counts first.
        """
        self._folder, self._options, self._prefix = folder, tuple(options), prefix
        self._card = card
        self.modes: dict[str, str] = {}
        """How the last sidecar worked: `scheduling` and `cpu_source` of its header."""

    def beside(self, load: str, rate_hz: float = 10.0, **numbers: float) -> Observed:
        """Run a load with a sidecar beside it; CalibrationError when one of the two fails."""
        return self.observe(load, load_words(load, self._truth, numbers), rate_hz)

    def observe(
        self, load: str, words: Sequence[str], rate_hz: float = 10.0, options: Sequence[str] = ()
    ) -> Observed:
        """As `beside`, for a program that writes its truth to this laboratory's file."""
        samples = self._folder / "samples.csv"
        _run(
            load,
            [*self._prefix, *sidecar_words(words, samples, rate_hz, [*self._options, *options])],
        )
        seen = read_observed(samples, self._truth)
        self.modes = {
            key: str(seen.header[key]) for key in ("scheduling", "cpu_source") if key in seen.header
        }
        return seen

    def alone(self, load: str, **numbers: float) -> dict[str, Any]:
        """The truth of a load that runs without a sidecar; CalibrationError when it fails."""
        _run(load, load_words(load, self._truth, numbers))
        return read_truth(self._truth)

    def on_gpu(self, seconds: float) -> Observed:
        """The GPU load beside a sidecar, both on one card; NotHere when the driver refuses."""
        card = self._card or self._first_card()
        words = [
            sys.executable,
            "-I",
            "-S",
            gpu_load.__file__,
            "load",
            str(self._truth),
            repr(seconds),
            card,
        ]
        return self.observe("gpu_load", words, options=[f"--gpu={card}"])

    def _first_card(self) -> str:
        """UUID of what CUDA counts first; NotHere when the driver refuses."""
        words = [sys.executable, "-I", "-S", gpu_load.__file__, "first", str(self._truth)]
        _run("gpu_load", words)
        return str(read_truth(self._truth)["uuid"])

    @contextlib.contextmanager
    def all_cores_loaded(self) -> Iterator[None]:
        """Busy processes on all cores, in a session of their own and outside every sidecar's tree."""
        numbers = {"processes": float(cores()), "seconds": BURN_AT_MOST_S, "lead_s": 0.0}
        words = load_words("full_cores", self._folder / "burning.json", numbers)
        with subprocess.Popen(
            words, start_new_session=True, preexec_fn=loads.end_with_parent
        ) as burning:
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(burning.pid, 9)

    @property
    def _truth(self) -> Path:
        return self._folder / "truth.json"


def read_observed(samples: Path, truth: Path) -> Observed:
    """What a sidecar left of a load; NotHere when the load says why it could not run."""
    with samples.open(newline="") as file:
        rows = list(csv.DictReader(file))
    header = json.loads(samples.with_suffix(".json").read_text(encoding="utf-8"))
    return Observed(rows, header, read_truth(truth))


def read_truth(path: Path) -> dict[str, Any]:
    """What a load wrote; NotHere when that is why it could not run."""
    truth: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "error" in truth:
        raise NotHere(truth["error"])
    return truth


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def load_words(load: str, truth: Path, numbers: dict[str, float]) -> list[str]:
    """The command line of a known load."""
    words = [sys.executable, "-I", "-S", loads.__file__, load, str(truth)]
    return words + [f"{key}={value!r}" for key, value in numbers.items()]


def sidecar_words(
    command: Sequence[str], samples: Path, rate_hz: float, options: Sequence[str] = ()
) -> list[str]:
    """The command line of a sidecar beside `command`; its header stands beside the samples.

    A known load has no use for the GPU's baseline, which takes a second.
    """
    words = ["run", "--end-with-parent", "--gpu-wait-s", "0", "--samples", str(samples)]
    words += ["--header", str(samples.with_suffix(".json")), "--rate-hz", repr(rate_hz)]
    return sidecar_command([*words, *options, "--", *command])


def _run(load: str, words: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise CalibrationError(f"the load {load} did not end within {_PATIENCE_S:g} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CalibrationError(f"the load {load} ended with status {done.returncode}: {last}")


def kernel_total(seen: Observed) -> Figure:
    """The last row's CPU against the kernel's total."""
    last_s, kernel_s = float(seen.rows[-1]["cpu_s"]), seen.header["summary"]["cpu_s"]
    return figure("cpu_total_kernel", lambda: abs(judge.error_pct(last_s, kernel_s)))


def totals(seen: Observed) -> list[Figure]:
    """`kernel_total`, and where the load is long enough its own account of its whole tree.

    A load cannot account its very end, one or two milliseconds.
    """
    last_s, own_s = float(seen.rows[-1]["cpu_s"]), seen.truth["own_cpu_ns"] / 1e9
    if own_s < ACCOUNT_AT_LEAST_S:
        return [kernel_total(seen)]
    own = figure("cpu_total_load", lambda: abs(judge.error_pct(last_s, own_s)))
    return [kernel_total(seen), own]


def share_error_pct(seen: Observed) -> float:
    """Signed error of the mean CPU share while the load worked."""
    return judge.growth_error_pct(seen.cpu_ns(), seen.truth["accounts"], *seen.span())


def half_core(lab: Laboratory, load_s: float) -> list[Figure]:
    """50 % of one core."""
    seen = lab.beside("half_core", seconds=load_s)
    return [figure("half_core", lambda: abs(share_error_pct(seen))), kernel_total(seen)]


def full_cores(lab: Laboratory, load_s: float) -> list[Figure]:
    """Two full cores."""
    seen = lab.beside("full_cores", processes=2, seconds=load_s)
    return [figure("full_cores", lambda: abs(share_error_pct(seen))), *totals(seen)]


def short_children(lab: Laboratory, load_s: float) -> list[Figure]:
    """200 waited children, one after the other; judged while their parent still lives."""
    seen = lab.beside("short_children", children=CHILDREN, cpu_s=CHILD_CPU_S)
    return [
        figure("short_children", lambda: abs(children_error_pct(seen.cpu_ns(), seen.truth))),
        *totals(seen),
    ]


def children_error_pct(cpu_ns: judge.Series, truth: dict[str, Any]) -> float:
    """Signed error of all CPU from before the first child to the rows after the last one."""
    return judge.since_error_pct(cpu_ns, truth["accounts"], truth["begin_ns"], truth["final_ns"])


def orphan(lab: Laboratory, load_s: float) -> list[Figure]:
    """A process that left its parents; the kernel's own account of a cgroup must be closer."""
    seen = lab.beside("orphan", seconds=max(ORPHAN_AT_LEAST_S, load_s / 2))
    limit = judge.ORPHAN_IN_CGROUP_PCT if seen.header.get("cpu_source") == "cgroup" else None
    return [
        figure("orphan", lambda: orphan_worst_pct(seen.cpu_ns(), seen.truth), limit),
        kernel_total(seen),
    ]


def orphan_worst_pct(cpu_ns: judge.Series, truth: dict[str, Any]) -> float:
    """The larger of both errors of `orphan_error_pct`, without its sign."""
    return max(abs(orphan_error_pct(cpu_ns, truth, after)) for after in (False, True))


def orphan_error_pct(cpu_ns: judge.Series, truth: dict[str, Any], after: bool) -> float:
    """Signed error of all CPU since before the orphan: while it still runs, or after its end."""
    last_ns = truth["final_ns"] if after else truth["accounts"][-1][-1][0]
    return judge.since_error_pct(cpu_ns, truth["accounts"], truth["begin_ns"], last_ns)


def memory(lab: Laboratory, load_s: float) -> list[Figure]:
    """Memory in steps."""
    seen = lab.beside("memory_steps", seconds=load_s)
    rss, peak = seen.series("rss_bytes"), seen.truth["peak_bytes"]
    return [
        figure("memory_plateau", lambda: abs(plateau_error_pct(rss, seen.truth))),
        figure("memory_peak", lambda: abs(judge.error_pct(max(value for _, value in rss), peak))),
    ]


def plateau_error_pct(rss: judge.Series, truth: dict[str, Any]) -> float:
    """Signed error of the worst row on any plateau."""
    errors = [
        judge.level_error_pct(rss, [marks], marks[0][0], marks[-1][0] - SETTLED_NS)
        for marks in truth["plateaus"]
    ]
    return max(errors, key=abs)


def shared(lab: Laboratory, load_s: float) -> list[Figure]:
    """Memory shared by five processes, against what they read of themselves."""
    try:
        seen = lab.beside("shared_memory", processes=SHARERS, seconds=max(load_s, PSS_AT_LEAST_S))
    except NotHere as error:
        return [left_out("shared_pss", str(error))]
    pss = seen.series("pss_bytes")
    if not pss:
        return [
            left_out("shared_pss", seen.header["missing"].get("pss_bytes", "no column pss_bytes"))
        ]
    return [figure("shared_pss", lambda: abs(pss_error_pct(pss, seen.truth)))]


def pss_error_pct(pss: judge.Series, truth: dict[str, Any]) -> float:
    """Signed error of the worst row while all processes hold the memory."""
    return judge.level_error_pct(pss, truth["pss"], *truth["shared_ns"])


def steps(lab: Laboratory, load_s: float) -> list[Figure]:
    """Jumps of memory and CPU at recorded moments."""
    seen = lab.beside("steps", count=max(1, round(2 * load_s)))
    return [
        figure("step_memory", lambda: memory_delay_ms(seen.series("rss_bytes"), seen.truth)),
        figure("step_cpu", lambda: cpu_delay_ms(seen.cpu_ns(), seen.truth)),
    ]


def memory_delay_ms(rss: judge.Series, truth: dict[str, Any]) -> float:
    """Longest time from a memory step being all there to the first row with nine tenths of it."""
    delays_ns = []
    for begin_ns, there_ns, gone_ns, size in truth["memory"]:
        level = judge.before(rss, begin_ns) + 0.9 * size
        delays_ns.append(judge.shown_after_ns(rss, begin_ns, gone_ns, level, there_ns))
    return max(delays_ns) / 1e6


def cpu_delay_ms(cpu_ns: judge.Series, truth: dict[str, Any]) -> float:
    """Longest time from the begin of a burst to the first row with a millisecond of it."""
    delays_ns = []
    for begin_ns, end_ns, _ in truth["cpu"]:
        level = judge.before(cpu_ns, begin_ns) + SEEN_CPU_NS
        delays_ns.append(judge.shown_after_ns(cpu_ns, begin_ns, end_ns, level, begin_ns))
    return max(delays_ns) / 1e6


def idle_lateness(lab: Laboratory, load_s: float) -> list[Figure]:
    """Rows at 100 Hz on an idle machine, an empty timed loop before and after."""
    loop_ns, seen = _between_loops(lab, load_s)
    p50_ms, p99_ms = (judge.percentile(loop_ns, share) / 1e6 for share in (0.5, 0.99))
    return [
        figure("late_idle_p50", lambda: seen.late_ms(0.5)),
        figure("late_idle_p99", lambda: seen.late_ms(0.99), p99_ms + judge.LATER_THAN_LOOP_MS),
        figure("loop_idle_p50", lambda: p50_ms),
        figure("loop_idle_p99", lambda: p99_ms),
        figure("own_cpu_100hz", lambda: judge.ms_per_s(seen.truth["parent"])),
    ]


def loaded_lateness(lab: Laboratory, load_s: float) -> list[Figure]:
    """The same with all cores loaded, and rows at 10 Hz."""
    with lab.all_cores_loaded():
        loop_ns, seen = _between_loops(lab, load_s)
        slow = lab.beside("idle", seconds=load_s)
    fifo = seen.header.get("scheduling") == "fifo"
    return [
        figure("late_loaded_p50", lambda: seen.late_ms(0.5)),
        figure(
            "late_loaded_p99",
            lambda: seen.late_ms(0.99),
            judge.LOADED_P99_FIFO_MS if fifo else None,
        ),
        figure("loop_loaded_p50", lambda: judge.percentile(loop_ns, 0.5) / 1e6),
        figure("loop_loaded_p99", lambda: judge.percentile(loop_ns, 0.99) / 1e6),
        figure("rows_100hz", lambda: judge.served_pct(seen.times_ns(), seen.due_ns())),
        figure("own_cpu_100hz_loaded", lambda: judge.ms_per_s(seen.truth["parent"])),
        figure("rows_10hz", lambda: judge.served_pct(slow.times_ns(), slow.due_ns())),
        figure("own_cpu_10hz_loaded", lambda: judge.ms_per_s(slow.truth["parent"])),
    ]


def _between_loops(lab: Laboratory, load_s: float) -> tuple[list[int], Observed]:
    """Lateness of an empty loop before and after a sidecar at 100 Hz, and what that one left."""
    late_ns = _loop_late_ns(lab.alone("timed_loop", rate_hz=100.0, seconds=load_s / 2))
    seen = lab.beside("idle", 100.0, seconds=load_s)
    return late_ns + _loop_late_ns(lab.alone("timed_loop", rate_hz=100.0, seconds=load_s / 2)), seen


def _loop_late_ns(truth: dict[str, Any]) -> list[int]:
    due_ns = judge.deadlines(truth["begin_ns"], 100.0, truth["begin_ns"] + 1, truth["end_ns"])
    return judge.lateness_ns(truth["times_ns"], due_ns)


def own_cpu(lab: Laboratory, load_s: float) -> list[Figure]:
    """The sidecar's own CPU beside an idle command, at the slowest and the fastest rate."""
    slow = lab.beside("idle", seconds=load_s)
    fast = lab.beside("idle", 1000.0, seconds=load_s / 2)
    return [
        figure("own_cpu_10hz", lambda: judge.ms_per_s(slow.truth["parent"])),
        figure("own_cpu_1000hz", lambda: judge.ms_per_s(fast.truth["parent"])),
    ]


def gpu(lab: Laboratory, phase_s: float = GPU_PHASE_S) -> list[Figure]:
    """Memory ballast and spinning on one card; whatever goes wrong is the reason of both figures."""
    try:
        if reason := gpu_load.no_cuda():
            raise NotHere(reason)
        return gpu_figures(lab.on_gpu(phase_s))
    except Exception as error:
        reason = str(error) or type(error).__name__
        return [left_out(name, reason) for name in GPU_FIGURES]


def gpu_figures(seen: Observed) -> list[Figure]:
    """Judge the GPU load; NotHere when the driver knows no card."""
    if not seen.header["gpus"]:
        raise NotHere(
            seen.header["missing"].get("gpu_util_pct", "the NVIDIA driver gives this user no card")
        )
    truth, vram, util = seen.truth, seen.series("vram_used_bytes"), seen.series("gpu_util_pct")
    half_ns = (truth["spin_ns"][0] + truth["spin_ns"][1]) // 2

    def rise_error_pct() -> float:
        levels = [_median(judge.between(vram, *truth[phase])) for phase in ("before_ns", "held_ns")]
        return abs(judge.error_pct(levels[1] - levels[0], truth["ballast_bytes"]))

    def use_pct() -> float:
        return _median(judge.between(util, half_ns, truth["spin_ns"][1]))

    return [
        _undisturbed(seen, _of_gpu(seen, "gpu_vram", "vram_used_bytes", rise_error_pct)),
        _of_gpu(seen, "gpu_util", "gpu_util_pct", use_pct),
    ]


def _of_gpu(seen: Observed, name: str, column: str, measure: Callable[[], float]) -> Figure:
    """The figure; what the driver does not tell of this card (a MIG instance's use) is left out."""
    missing = seen.header["missing"].get(column)
    return left_out(name, missing) if missing and not seen.series(column) else figure(name, measure)


def _undisturbed(seen: Observed, judged: Figure) -> Figure:
    """A missed goal is no fault of the sampler's where others hold memory on the card, too."""
    columns = {"gpu_foreign_processes": "compute", "gpu_desktop_processes": "draw"}
    others = {
        does: max((count for _, count in seen.series(name)), default=0)
        for name, does in columns.items()
    }
    told = [f"{count:.0f} {does}" for does, count in others.items() if count]
    if judged.passed is False and told:
        return left_out(judged.name, f"other processes use the card as well: {', '.join(told)}")
    return judged


def _median(series: judge.Series) -> float:
    return judge.percentile([value for _, value in series], 0.5)
