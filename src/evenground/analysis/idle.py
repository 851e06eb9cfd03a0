"""When a run did nothing during its training, its processes or the GPU, and in which phase that was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from evenground.analysis.groups import Rows, group, groups
from evenground.analysis.idle_gpu import COLUMN, GpuWindow, gpu_windows, period_s, unseen
from evenground.analysis.index import Index
from evenground.analysis.runs import COUNTER, Floats, Ints, Run, Samples
from evenground.records.events import kind_of
from evenground.records.times import Process

CPU, GPU = "cpu", "gpu"
# Below a fifth of a core nothing of a training runs: what is left are timers and the runtimes' housekeeping.
QUIET_CORES = 0.2
MIN_S = 0.3
# A tenth of a second, and what a row at 10 Hz may be late.
MAX_BLIP_S = 0.125
# Quiet that a blip may part: less is found within work, too, where it shares its core with others.
MIN_BESIDE_BLIP_S = 0.05
# The kernel adds a running thread's time at its ticks, mostly 4 ms apart: finer rows read none, then it all.
MIN_INTERVAL_NS = 8_000_000
# A counter is a sum of several; below this a fall is its rounding.
ROUNDING_S = 1e-6
# A phase that holds less of a window than that is touched by the uncertainty of its edges only.
MIN_OF_WINDOW = 0.01
NONE = "no idle window"
UNSEEN = "no value during training"
NOT_COVERED = "no CPU time recorded over the whole training"
GPU_UNSEEN = "no value of the GPU's use while the CPU was idle"
COLUMNS = (
    *(
        "resource",
        "phase",
        "phases",
        "start_s",
        "end_s",
        "length_s",
        "plus_minus_s",
        "in_training_s",
    ),
    *("samples", "util_window_s", "open"),
)
CONDITIONS = ("idle_s", "idle_share", "idle_phase", "idle_reason")
Phases = Sequence[tuple[str, float, float]]


@dataclass(frozen=True)
class Window:
    """From when to when nothing was done, in nanoseconds on the clock of the samples."""

    start_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True)
class Idle:
    """The idle windows of one run as `rows` (COLUMNS) and what follows for the run (CONDITIONS)."""

    rows: Rows
    condition: dict[str, object]


@dataclass(frozen=True)
class _Use:
    """CPU use between the moments `t_ns` (N,) with a value; `spent_s` (N-1,), infinite where it fell."""

    t_ns: Ints
    spent_s: Floats

    @cached_property
    def cores(self) -> Floats:
        """Cores that were busy in each interval (N-1,)."""
        return self.spent_s / (np.diff(self.t_ns) / 1e9)

    def length_s(self, first: int, end: int) -> float:
        """Length of the intervals `first` to `end`, without the last."""
        return float(self.t_ns[end] - self.t_ns[first]) / 1e9

    def is_quiet(self, first: int, end: int) -> bool:
        """Whether these intervals together are below the threshold."""
        return float(self.spent_s[first:end].sum()) < QUIET_CORES * self.length_s(first, end)


def cpu_windows(samples: Samples, start_ns: int, end_ns: int) -> list[Window]:
    """Windows of MIN_S or longer between two moments in which the process tree used under QUIET_CORES.

    The counter's difference over neighbouring rows is the use between them, also across cells without a
    value. Quiet intervals in a row are a window; a blip no longer than MAX_BLIP_S, nor than the quiet on
    either side of it (MIN_BESIDE_BLIP_S or more), does not part one that is quiet as a whole.
    At the edges the training fell idle or woke up within an interval: with r cores there and R in the next
    one beyond, 1 - r / R of it is idle.
    """
    use = _use(samples)
    windows = [_with_edges(use, *stretch) for stretch in _joined(use, _quiet(use))]
    cut = [Window(max(w.start_ns, start_ns), min(w.end_ns, end_ns)) for w in windows]
    return [window for window in cut if window.length_s >= MIN_S]


def _use(samples: Samples) -> _Use:
    """The counter's rise between rows; where it falls, a process took its seconds along: not known."""
    known = ~np.isnan(samples.columns[COUNTER])
    t_ns, counter = samples.t_ns[known], samples.columns[COUNTER][known]
    _, kept = np.unique((t_ns - t_ns[:1]) // MIN_INTERVAL_NS, return_index=True)
    rise = np.diff(counter[kept])
    return _Use(t_ns[kept], np.where(rise < -ROUNDING_S, np.inf, np.maximum(rise, 0.0)))


def _quiet(use: _Use) -> list[tuple[int, int]]:
    """First interval and the one behind the last of each stretch of quiet ones."""
    quiet = (use.cores < QUIET_CORES).astype(np.int8)
    edges = np.diff(np.concatenate(([0], quiet, [0])))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(firsts.tolist(), ends.tolist(), strict=True))


def _joined(use: _Use, stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches, those with a mere blip between them as one."""
    joined: list[tuple[int, int]] = []
    for first, end in stretches:
        if joined and _only_a_blip(use, joined[-1], (first, end)):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return joined


def _only_a_blip(use: _Use, before: tuple[int, int], after: tuple[int, int]) -> bool:
    blip_s = use.length_s(before[1], after[0])
    beside_s = min(use.length_s(*before), use.length_s(*after))
    if beside_s < MIN_BESIDE_BLIP_S or blip_s > min(MAX_BLIP_S, beside_s):
        return False
    return use.is_quiet(before[0], after[1])


def _with_edges(use: _Use, first: int, end: int) -> Window:
    """The stretch, longer by the idle part of the interval on either side."""
    start_ns = int(use.t_ns[first]) - _idle_part_ns(use, first - 1, first - 2)
    return Window(start_ns, int(use.t_ns[end]) + _idle_part_ns(use, end, end + 1))


def _idle_part_ns(use: _Use, edge: int, beyond: int) -> int:
    """How much of the interval `edge` was idle, going by the busy interval `beyond`; 0 where not known."""
    if min(edge, beyond) < 0 or max(edge, beyond) >= use.spent_s.size:
        return 0
    here, busy = float(use.cores[edge]), float(use.cores[beyond])
    if not here < busy < np.inf:
        return 0
    return round(use.length_s(edge, edge + 1) * (1 - here / busy) * 1e9)


def covers(samples: Samples, start_ns: int, end_ns: int) -> bool:
    """Whether the counter is known from before one moment until after the other."""
    known_ns = samples.t_ns[~np.isnan(samples.columns[COUNTER])]
    return known_ns.size > 1 and bool(known_ns[0] <= start_ns and known_ns[-1] >= end_ns)


def without_gpu(windows: Sequence[Window], gpu: Sequence[GpuWindow]) -> list[Window]:
    """The parts of MIN_S or longer of windows of the CPU in which the GPU was idle, too."""
    both = [
        Window(max(window.start_ns, card.start_ns), min(window.end_ns, card.end_ns))
        for window in windows
        for card in gpu
    ]
    return [window for window in both if window.length_s >= MIN_S]


def idle_of(run: Run, samples: Samples, phases: Rows) -> Idle:
    """What one run idled; `phases` as by `phases.phase_rows`."""
    spans = [(str(p["phase"]), float(str(p["start_s"])), float(str(p["end_s"]))) for p in phases]
    span_ns = (run.events.train_start_ns, run.events.train_end_ns)
    gpu = gpu_windows(run.process, samples)
    waits_for = gpu if kind_of(run.device) == "cuda" else None
    windows, reason = _cpu_idle(run.process, samples, *span_ns, waits_for)
    rows = [_cpu_row(samples, window, gpu, span_ns[0], spans) for window in windows]
    rows += gpu_rows(run.process, gpu, period_s(run.process, samples), *span_ns, spans)
    return Idle(rows, _condition(windows, reason, *span_ns, spans))


def _cpu_idle(
    process: Process, samples: Samples, start_ns: int, end_ns: int, gpu: Sequence[GpuWindow] | None
) -> tuple[list[Window], str]:
    """Windows with neither CPU nor GPU (None: it used none) in use, or none and why they are not known."""
    if not covers(samples, start_ns, end_ns):
        return [], process.missing.get(COUNTER, NOT_COVERED)
    windows = cpu_windows(samples, start_ns, end_ns)
    if gpu is None:
        return windows, ""
    inside = (samples.t_ns >= start_ns) & (samples.t_ns <= end_ns)
    if np.isnan(samples.columns[COLUMN][inside]).all():
        return [], process.missing.get(COLUMN, UNSEEN)
    if any(unseen(process, samples, window.start_ns, window.end_ns) for window in windows):
        return [], GPU_UNSEEN
    return without_gpu(windows, gpu), ""


def _plus_minus_s(samples: Samples, window: Window, gpu: Sequence[GpuWindow]) -> float:
    """How right the edges of a window are: to the time between rows, or as the GPU window that cuts it."""
    known_ns = _use(samples).t_ns
    edges = np.searchsorted(known_ns, [window.start_ns, window.end_ns]).clip(1, known_ns.size - 1)
    cuts = [c for c in gpu if c.start_ns == window.start_ns or c.end_ns == window.end_ns]
    return max(
        [
            float(np.max(known_ns[edges] - known_ns[edges - 1])) / 1e9,
            *(c.plus_minus_s for c in cuts),
        ]
    )


def _cpu_row(
    samples: Samples, window: Window, gpu: Sequence[GpuWindow], zero_ns: int, phases: Phases
) -> dict[str, object]:
    """A window of the CPU as a row; `gpu` are all windows of the GPU of the same run."""
    rows = (samples.t_ns >= window.start_ns) & (samples.t_ns <= window.end_ns)
    start_s, end_s = (window.start_ns - zero_ns) / 1e9, (window.end_ns - zero_ns) / 1e9
    return {
        "resource": CPU,
        **_named(phases, start_s, end_s),
        "start_s": start_s,
        "end_s": end_s,
        "length_s": window.length_s,
        "plus_minus_s": _plus_minus_s(samples, window, gpu),
        "in_training_s": window.length_s,
        "samples": int(rows.sum()),
        "util_window_s": np.nan,
        "open": "",
    }


def gpu_rows(
    process: Process,
    windows: Sequence[GpuWindow],
    period: float,
    start_ns: int,
    end_ns: int,
    phases: Phases,
) -> Rows:
    """One row per window of the GPU that surely overlaps the training; seconds after its start.

    `period`: time between two values in seconds, as by `idle_gpu.period_s`.
    """
    driver_s = process.util_window_s
    # Nearer to its edges than that, a window may as well lie outside of the training.
    least_s = (period + (driver_s or 0.0)) / 2
    training_s = (end_ns - start_ns) / 1e9
    rows: Rows = []
    for window in windows:
        start_s, end_s = (window.start_ns - start_ns) / 1e9, (window.end_ns - start_ns) / 1e9
        inside_s = min(end_s, training_s) - max(start_s, 0.0)
        if inside_s <= least_s:
            continue
        row = {
            "resource": GPU,
            **_named(phases, start_s, end_s),
            "start_s": start_s,
            "end_s": end_s,
            "length_s": end_s - start_s,
            "plus_minus_s": window.plus_minus_s,
            "in_training_s": inside_s,
            "samples": window.samples,
            "util_window_s": np.nan if driver_s is None else driver_s,
            "open": window.open,
        }
        rows.append(row)
    return rows


def _shares(phases: Phases, start_s: float, end_s: float) -> dict[str, float]:
    """Phase -> seconds of it between two moments, in order."""
    return {name: max(0.0, min(end_s, end) - max(start_s, start)) for name, start, end in phases}


def _named(phases: Phases, start_s: float, end_s: float) -> dict[str, object]:
    """The phase that holds most of a window, and all that hold MIN_OF_WINDOW of it, in order."""
    shares = _shares(phases, start_s, end_s)
    touched = [name for name, share in shares.items() if share > MIN_OF_WINDOW * (end_s - start_s)]
    most = max(touched, default="", key=lambda name: shares[name])
    return {"phase": most, "phases": ", ".join(touched)}


def _condition(
    windows: Sequence[Window], reason: str, start_ns: int, end_ns: int, phases: Phases
) -> dict[str, object]:
    """Idle time of a run in seconds, its share of the training and the phase that holds most of it."""
    if reason:
        unknown = {"idle_s": np.nan, "idle_share": np.nan, "idle_phase": ""}
        return {**unknown, "idle_reason": reason}
    total: dict[str, float] = {}
    for window in windows:
        shares = _shares(
            phases, (window.start_ns - start_ns) / 1e9, (window.end_ns - start_ns) / 1e9
        )
        total = {name: total.get(name, 0.0) + share for name, share in shares.items()}
    idle_ns = sum(window.end_ns - window.start_ns for window in windows)
    return {
        "idle_s": idle_ns / 1e9,
        "idle_share": idle_ns / (end_ns - start_ns) if end_ns > start_ns else np.nan,
        "idle_phase": max(total, key=lambda name: total[name]) if total else "",
        "idle_reason": "",
    }


def idle_table(
    index: Index,
    runs: pd.DataFrame,
    idle: pd.DataFrame,
    conditions: pd.DataFrame,
    missing: pd.DataFrame,
) -> pd.DataFrame:
    """Every idle window of every run; a row that says so for a run without one and a group without values.

    Of each dataset and engine those of the CPU first, then those of the GPU.
    """
    rows: list[Mapping[Any, object]] = []
    for named, wanted in groups(index, runs):
        mine, known, lacking = (group(frame, **named) for frame in (idle, conditions, missing))
        done = int((wanted["status"] == "finished").sum())
        sources = {
            CPU: (known["idle_s"].notna(), [*known["idle_reason"]] or _reasons(lacking, "cpu_pct")),
            GPU: (known["gpu_samples"] > 0, _reasons(lacking, COLUMN)),
        }
        for resource, (seen, reasons) in sources.items():
            windows = mine[mine["resource"] == resource]
            found = _with_reasons(windows, known[seen]["repetition"].tolist(), done, reasons)
            rows += [{**row, **named, "resource": resource} for row in found]
    names = ["dataset", "engine", "resource", "repetition", "window", *COLUMNS[1:], "reason"]
    table = pd.DataFrame(rows, columns=names)
    return table.astype(dict.fromkeys(("repetition", "window", "samples"), "Int64"))


def _reasons(lacking: pd.DataFrame, column: str) -> list[str]:
    return [str(reason) for reason in lacking[lacking["column"] == column]["reason"]]


def _with_reasons(
    windows: pd.DataFrame, seen: Sequence[int], done: int, reasons: Sequence[str]
) -> list[Mapping[Any, object]]:
    """The windows of one resource of a group, numbered by run, then what is to be said of the other runs."""
    numbered = windows.assign(window=windows.groupby("repetition").cumcount() + 1)
    rows: list[Mapping[Any, object]] = [*numbered.to_dict("records")]
    none = sorted(set(seen) - set(windows["repetition"]))
    rows += [{"repetition": repetition, "reason": NONE} for repetition in none]
    if len(seen) < done or not done:
        said = [reason for reason in dict.fromkeys(reasons) if reason] or [UNSEEN]
        few = f" ({done - len(seen)} of {done} runs)" if seen else ""
        rows.append({"reason": f"{'; '.join(said)}{few}"})
    return rows
