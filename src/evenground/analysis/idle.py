"""When a run was idle during its training, its processes or its GPU, and in which phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from evenground.analysis.columns import (
    GROUP,
    REASON,
    REPETITION,
    columns,
    number,
    text,
    whole,
)
from evenground.analysis.groups import group, groups
from evenground.analysis.idle_gpu import (
    COLUMN,
    GpuWindow,
    gpu_windows,
    stretches,
    unseen,
)
from evenground.analysis.phases import Phase
from evenground.analysis.runs import COUNTER, Floats, Ints, Run, Samples, or_nan
from evenground.analysis.table import frame_of
from evenground.records.events import kind_of
from evenground.records.index import Condition
from evenground.records.times import Process

CPU, GPU = "cpu", "gpu"
# Nothing of a training needs less than a fifth of a core: that is timers and housekeeping of the
# runtimes.
QUIET_CORES = 0.2
MIN_S = 0.3
# A tenth of a second, and the delay that a row at 10 Hz may have.
MAX_BLIP_S = 0.125
# Shorter quiet next to a blip also occurs within work, if it shares its core with others.
MIN_BESIDE_BLIP_S = 0.05
# The kernel adds a running thread's time at its ticks, mostly 4 ms apart: of finer rows one reads
# nothing and the next one everything.
MIN_INTERVAL_NS = 8_000_000
# A counter is a sum of several; a fall below this is its rounding.
ROUNDING_S = 1e-6
# A phase with a smaller share of a window is touched by the uncertainty of its edges only.
MIN_OF_WINDOW = 0.01
NONE = "no idle window"
UNSEEN = "no value during training"
NOT_COVERED = "no CPU time recorded over the whole training"
GPU_UNSEEN = "no value of the GPU's use while the CPU was idle"


@dataclass(frozen=True)
class Window:
    """A time without work, in nanoseconds on the clock of the samples."""

    start_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, kw_only=True)
class IdleRow:
    """One window of a run in the frame `idle`."""

    resource: str
    phase: str
    phases: str
    start_s: float
    end_s: float
    length_s: float
    plus_minus_s: float
    in_training_s: float
    samples: int
    util_window_s: float = np.nan
    open: str = ""


RESOURCE = text(
    "resource",
    "`cpu`: at least 0.3 s in the training in which all processes of the run together used less "
    "than 20 % of one core, and its GPU, if it computed on one, nothing. `gpu`: at least two "
    "readings in a row of 0 % GPU use; it overlaps the training.",
)
WINDOW = (
    text("phase", "The phase with the largest part of the window."),
    text("phases", "All phases that the window touches."),
    number("start_s", "s", "Its start, after the start of training."),
    number("end_s", "s", "Its end, after the start of training."),
    number("length_s", "s", "Its length."),
    number(
        "plus_minus_s",
        "s",
        "How exact the length is: of `cpu` the time between two samples, of `gpu` that and the "
        "window over which the driver averages.",
    ),
    number("in_training_s", "s", "The part of it within the training."),
    whole("samples", "Samples in it."),
    number("util_window_s", "s", "Over what time the driver averages GPU use."),
    text("open", "The side on which the next sample is missing: it may be longer there."),
)
FRAME = columns(RESOURCE, WINDOW)
IDLE_S = number(
    "idle_s",
    "s",
    "The part of `training_s` in which the run computed nothing: its windows of `cpu` in "
    "`idle_windows`.",
)
IDLE_SHARE = number("idle_share", "", "`idle_s` as share of `training_s` (0 to 1).")
CIRCUMSTANCES = (
    IDLE_S,
    IDLE_SHARE,
    text("idle_phase", "The phase with most of the idle time."),
    text("idle_reason", "Why the idle time is not known."),
)
TABLE = columns(
    GROUP,
    RESOURCE,
    REPETITION,
    whole("window", "Number of the window in the run, from 1 on."),
    WINDOW,
    REASON,
)


@dataclass(frozen=True)
class Idle:
    """The idle windows of a run, of the CPU first, and its idle time, as CIRCUMSTANCES has it."""

    rows: list[IdleRow]
    time: dict[str, object]
    reason: str
    """Why the idle time is not known; empty if it is."""


@dataclass(frozen=True)
class _Use:
    """CPU use between the moments `t_ns` (N,); `spent_s` (N-1,) is infinite after a fall."""

    t_ns: Ints
    spent_s: Floats

    @cached_property
    def cores(self) -> Floats:
        """Busy cores in each interval (N-1,)."""
        return self.spent_s / (np.diff(self.t_ns) / 1e9)

    def length_s(self, first: int, end: int) -> float:
        """Length of the intervals from `first` until before `end`."""
        return float(self.t_ns[end] - self.t_ns[first]) / 1e9

    def is_quiet(self, first: int, end: int) -> bool:
        """Whether these intervals together are below the threshold."""
        return float(self.spent_s[first:end].sum()) < QUIET_CORES * self.length_s(first, end)


def cpu_windows(samples: Samples, start_ns: int, end_ns: int) -> list[Window]:
    """Windows of MIN_S or longer in which the process tree used less than QUIET_CORES.

    The counter's difference over neighbouring rows is the use between them, also across cells
    without a value. Quiet intervals in a row are a window. A blip no longer than MAX_BLIP_S, nor
    than the quiet on either side of it (MIN_BESIDE_BLIP_S or more), does not divide a window that
    is quiet as a whole. At the edges the training fell idle or woke up within an interval: with r
    cores busy there and R in the next one beyond, 1 - r / R of it is idle.
    """
    use = _use(samples)
    windows = []
    for first, end in _joined(use, stretches(use.cores < QUIET_CORES)):
        # The intervals next to the stretch are idle in part, going by the busy ones beyond them.
        idle_from_ns = int(use.t_ns[first]) - _idle_part_ns(use, first - 1, first - 2)
        idle_to_ns = int(use.t_ns[end]) + _idle_part_ns(use, end, end + 1)
        window = Window(start_ns=max(idle_from_ns, start_ns), end_ns=min(idle_to_ns, end_ns))
        if window.length_s >= MIN_S:
            windows.append(window)
    return windows


def _use(samples: Samples) -> _Use:
    """The counter's rise between rows."""
    known = ~np.isnan(samples.columns[COUNTER])
    t_ns, counter = samples.t_ns[known], samples.columns[COUNTER][known]
    _, kept = np.unique((t_ns - t_ns[:1]) // MIN_INTERVAL_NS, return_index=True)
    rise = np.diff(counter[kept])
    # If it falls, a process took its seconds along when it ended: the use is unknown.
    spent_s = np.where(rise < -ROUNDING_S, np.inf, np.maximum(rise, 0.0))
    return _Use(t_ns=t_ns[kept], spent_s=spent_s)


def _joined(use: _Use, quiet: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches of quiet intervals; two with a mere blip between them become one."""
    joined: list[tuple[int, int]] = []
    for first, end in quiet:
        if joined and _only_a_blip(use, joined[-1], (first, end)):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def _only_a_blip(use: _Use, before: tuple[int, int], after: tuple[int, int]) -> bool:
    blip_s = use.length_s(before[1], after[0])
    beside_s = min(use.length_s(before[0], before[1]), use.length_s(after[0], after[1]))
    if beside_s < MIN_BESIDE_BLIP_S or blip_s > min(MAX_BLIP_S, beside_s):
        return False
    return use.is_quiet(before[0], after[1])


def _idle_part_ns(use: _Use, edge: int, beyond: int) -> int:
    """How much of the interval `edge` was idle, by the busy interval `beyond`; 0 if unknown."""
    if min(edge, beyond) < 0 or max(edge, beyond) >= use.spent_s.size:
        return 0
    here, busy = float(use.cores[edge]), float(use.cores[beyond])
    # Infinite use is that of a counter that fell: unknown.
    if not here < busy < np.inf:
        return 0
    return round(use.length_s(edge, edge + 1) * (1 - here / busy) * 1e9)


def without_gpu(windows: Sequence[Window], gpu: Sequence[GpuWindow]) -> list[Window]:
    """The parts of MIN_S or longer of windows of the CPU in which the GPU was idle, too."""
    both = []
    for window in windows:
        for card in gpu:
            start_ns, end_ns = max(window.start_ns, card.start_ns), min(window.end_ns, card.end_ns)
            common = Window(start_ns=start_ns, end_ns=end_ns)
            if common.length_s >= MIN_S:
                both.append(common)
    return both


def idle_of(run: Run, samples: Samples, phases: Sequence[Phase]) -> Idle:
    """The idle windows and the idle time of a run."""
    start_ns, end_ns = run.events.train_start_ns, run.events.train_end_ns
    gpu = gpu_windows(run.process, samples)
    windows, reason = _cpu_idle(run, samples, gpu)
    rows = [_cpu_row(samples, window, gpu, start_ns, phases) for window in windows]
    rows += gpu_rows(run.process, gpu, start_ns, end_ns, phases)
    time: dict[str, object] = {"idle_reason": reason}
    if not reason:
        time |= _idle_time(windows, start_ns, end_ns, phases)
    return Idle(rows=rows, time=time, reason=reason)


def _cpu_idle(run: Run, samples: Samples, gpu: Sequence[GpuWindow]) -> tuple[list[Window], str]:
    """Windows in which the run used neither the CPU nor its GPU, or why they are unknown."""
    process, start_ns, end_ns = run.process, run.events.train_start_ns, run.events.train_end_ns
    known_ns = samples.t_ns[~np.isnan(samples.columns[COUNTER])]
    if not known_ns.size or known_ns[0] > start_ns or known_ns[-1] < end_ns:
        return [], process.missing.get(COUNTER, NOT_COVERED)
    windows = cpu_windows(samples, start_ns, end_ns)
    if kind_of(run.device) != "cuda":
        return windows, ""
    # A CPU that waits for the card is no idle time of the run.
    inside = (samples.t_ns >= start_ns) & (samples.t_ns <= end_ns)
    if np.isnan(samples.columns[COLUMN][inside]).all():
        return [], process.missing.get(COLUMN, UNSEEN)
    if any(unseen(process, samples, window.start_ns, window.end_ns) for window in windows):
        return [], GPU_UNSEEN
    return without_gpu(windows, gpu), ""


def _row(
    resource: str, start_s: float, end_s: float, phases: Sequence[Phase], **cells: Any
) -> IdleRow:
    """A window as a row, with the phases that it touches; `cells` are the other fields."""
    seconds = {phase.name: _seconds_in(phase, start_s, end_s) for phase in phases}
    min_s = MIN_OF_WINDOW * (end_s - start_s)
    touched = [name for name in seconds if seconds[name] > min_s]
    return IdleRow(
        resource=resource,
        phase=max(touched, default="", key=lambda name: seconds[name]),
        phases=", ".join(touched),
        start_s=start_s,
        end_s=end_s,
        **cells,
    )


def _cpu_row(
    samples: Samples,
    window: Window,
    gpu: Sequence[GpuWindow],
    zero_ns: int,
    phases: Sequence[Phase],
) -> IdleRow:
    """A window of the CPU as a row; `gpu` are all windows of the GPU in the same run."""
    inside = (samples.t_ns >= window.start_ns) & (samples.t_ns <= window.end_ns)
    return _row(
        CPU,
        start_s=(window.start_ns - zero_ns) / 1e9,
        end_s=(window.end_ns - zero_ns) / 1e9,
        phases=phases,
        length_s=window.length_s,
        plus_minus_s=_plus_minus_s(samples, window, gpu),
        in_training_s=window.length_s,
        samples=int(inside.sum()),
    )


def _plus_minus_s(samples: Samples, window: Window, gpu: Sequence[GpuWindow]) -> float:
    """How exact the edges of a window are, in seconds."""
    known_ns = _use(samples).t_ns
    # The intervals in which the edges lie; the first or last one for an edge outside of all.
    edges = np.searchsorted(known_ns, [window.start_ns, window.end_ns]).clip(1, known_ns.size - 1)
    plus_minus_s = float(np.max(known_ns[edges] - known_ns[edges - 1])) / 1e9
    for card in gpu:
        # A window of the GPU may cut that of the CPU, whose edge is then as exact as its own.
        if card.start_ns == window.start_ns or card.end_ns == window.end_ns:
            plus_minus_s = max(plus_minus_s, card.plus_minus_s)
    return plus_minus_s


def gpu_rows(
    process: Process,
    windows: Sequence[GpuWindow],
    start_ns: int,
    end_ns: int,
    phases: Sequence[Phase],
) -> list[IdleRow]:
    """One row per window of the GPU that surely overlaps the training."""
    driver_s = or_nan(process.util_window_s)
    training_s = (end_ns - start_ns) / 1e9
    rows = []
    for window in windows:
        start_s, end_s = (window.start_ns - start_ns) / 1e9, (window.end_ns - start_ns) / 1e9
        inside_s = min(end_s, training_s) - max(start_s, 0.0)
        # Each edge may lie that much further out: the window outside of the training.
        if inside_s <= window.plus_minus_s / 2:
            continue
        row = _row(
            GPU,
            start_s=start_s,
            end_s=end_s,
            phases=phases,
            length_s=end_s - start_s,
            plus_minus_s=window.plus_minus_s,
            in_training_s=inside_s,
            samples=window.samples,
            util_window_s=driver_s,
            open=window.open,
        )
        rows.append(row)
    return rows


def _seconds_in(phase: Phase, start_s: float, end_s: float) -> float:
    """Seconds of a phase between two moments."""
    return max(0.0, min(end_s, phase.end_s) - max(start_s, phase.start_s))


def _idle_time(
    windows: Sequence[Window], start_ns: int, end_ns: int, phases: Sequence[Phase]
) -> dict[str, object]:
    """The idle time of a run with these windows."""
    if not windows:
        return {"idle_s": 0.0, "idle_share": 0.0, "idle_phase": ""}
    seconds: dict[str, float] = defaultdict(float)
    idle_ns = 0
    for window in windows:
        idle_ns += window.end_ns - window.start_ns
        start_s, end_s = (window.start_ns - start_ns) / 1e9, (window.end_ns - start_ns) / 1e9
        for phase in phases:
            seconds[phase.name] += _seconds_in(phase, start_s, end_s)
    return {
        "idle_s": idle_ns / 1e9,
        "idle_share": idle_ns / (end_ns - start_ns),
        "idle_phase": max(seconds, key=lambda name: seconds[name]),
    }


def idle_table(
    condition: Condition,
    runs: pd.DataFrame,
    idle: pd.DataFrame,
    circumstances: pd.DataFrame,
    missing: pd.DataFrame,
) -> pd.DataFrame:
    """Every idle window of every run, those of the CPU first.

    A run without a window has a row with that remark, and a group has one for its runs whose
    windows are unknown.
    """
    rows: list[Mapping[Any, object]] = []
    for names, wanted in groups(condition, runs):
        windows = group(idle, **names)
        known = group(circumstances, **names)
        # Columns that some run never measured.
        reasons = group(missing, **names).set_index("column")["reason"]
        finished = int((wanted["status"] == "finished").sum())
        # Without a finished run there are no circumstances either.
        cpu_reasons = list(known["idle_reason"]) or [reasons.get("cpu_pct", "")]
        seen_by = {CPU: known["idle_s"].notna(), GPU: known["gpu_samples"] > 0}
        reasons_by = {CPU: cpu_reasons, GPU: [reasons.get(COLUMN, "")]}
        for resource, seen in seen_by.items():
            found = _table_rows(
                windows[windows["resource"] == resource],
                set(known[seen]["repetition"]),
                finished,
                reasons_by[resource],
            )
            rows += [{**row, **names, "resource": resource} for row in found]
    return frame_of(rows, TABLE)


def _table_rows(
    windows: pd.DataFrame, seen: Set[int], finished: int, reasons: Sequence[str]
) -> list[Mapping[Any, object]]:
    """The windows of one resource of a group, numbered by run, and a remark on its other runs.

    `seen`: repetitions whose windows are known; `finished`: number of finished runs.
    """
    numbered = windows.assign(window=windows.groupby("repetition").cumcount() + 1)
    rows: list[Mapping[Any, object]] = []
    rows += numbered.to_dict("records")
    for repetition in sorted(seen - set(windows["repetition"])):
        rows.append({"repetition": repetition, "reason": NONE})
    if len(seen) < finished or not finished:
        reason = "; ".join(filter(None, dict.fromkeys(reasons))) or UNSEEN
        if seen:
            reason += f" ({finished - len(seen)} of {finished} runs)"
        rows.append({"reason": reason})
    return rows
