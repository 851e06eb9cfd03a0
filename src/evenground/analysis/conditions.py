"""Under which conditions each run was measured: what the quality gates judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from evenground.analysis.devices import processor_only
from evenground.analysis.environment import Environment
from evenground.analysis.index import Index
from evenground.analysis.readings import are_first
from evenground.analysis.runs import Floats, Run, Samples
from evenground.analysis.seen import Seen
from evenground.cpus import judge as cpus
from evenground.gpus import judge as gpus
from evenground.gpus.record import GpuRecord
from evenground.judged import NOT_RECORDED, Judged, Record, reasons
from evenground.locks import Lock, normalised, parse_lock
from evenground.records.events import kind_of
from evenground.records.times import Moments, Process
from evenground.surroundings import judge as surroundings

# Bits of nvml.h (nvmlClocksEventReason*, older: nvmlClocksThrottleReason*) that say a card was slowed down
# against its will. Not among them: idle, clocks that were set, a power cap that was set, sync boost.
SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
# What `python -m venv` itself puts into an environment, beside what the lock names.
OF_VENV = {"pip", "setuptools"}
SHOWN = 3

FAULTS = (*cpus.FAULTS, *surroundings.FAULTS, *gpus.FAULTS)
UNKNOWN = {"CPUs": "cpus_unknown", "surroundings": "surroundings_unknown", "GPU": "gpu_unknown"}
"""Part of a run's record -> column with the reasons why values of it are not known."""
COMPARED = {name: f"compared_{name}" for name in surroundings.COMPARED}
"""What runs of a group should have in common -> column: a list in JSON, empty where it is not known."""
CARD_COMPARED = "compared_card"
"""The same of their card, all in one object; empty where nothing was recorded."""
# What the gates ask the sampler of a card.
ASKED = (
    "gpu_throttle_reasons",
    "gpu_foreign_processes",
    "gpu_desktop_processes",
    "vram_tree_bytes",
)
NOT_SAID = "no value, and no reason given"
MIB = 2**20
Recorded = TypeVar("Recorded", bound=Record)

COLUMNS = (
    *(
        "steps",
        "rows",
        "missed_share",
        "n_not_seen",
        "not_seen",
        "swapped_pages",
        "throttled_share",
        "throttled_by",
    ),
    *("foreign_processes", "load_per_core", "n_other_libraries", "other_libraries", "gpu_samples"),
    *("clock_set_s", "off_card", "desktop_processes", "desktop_words", "processor_only"),
    *("device", "launched_s", "exited_s", "up_s", "kernel_peak_rss_bytes"),
    *FAULTS,
    *(f"{name}_words" for name in FAULTS),
    *UNKNOWN.values(),
    *COMPARED.values(),
    CARD_COMPARED,
)
Judges = Mapping[str, Callable[[Recorded], Judged]]


def condition_row(seen: Seen, index: Index, lock: Lock | None) -> dict[str, object]:
    """The conditions of one run, named as in COLUMNS; what is not known is NaN, and then no reason is given.

    missed_share, throttled_share: 0 to 1; of sampling deadlines, and of samples during training. n_not_seen:
    how many things the sampler says it could not see. foreign_processes, desktop_processes: at once.
    load_per_core: mean over the minute before the run. steps: of training, over all epochs. clock_set_s: by
    how much the machine's clock was set during the run. Each of FAULTS: its size, and in NAME_words what was
    seen. off_card: 1 where a training on a GPU held no memory of the card. processor_only: 1 for an arm
    without a GPU by design. device: what the engine says it computed on. launched_s, exited_s: of its
    process, in seconds since 1970. up_s: how long the machine had been up at the launch.
    kernel_peak_rss_bytes: the most memory that one of its processes ever held, as the kernel kept it.
    For the columns of UNKNOWN and COMPARED see there.
    """
    run, samples, environment = seen.run, seen.samples, seen.environment
    process, peak = run.process, run.process.peak_process_rss_bytes
    return {
        "steps": steps(run.events, index.parameters.get("batch_size")),
        **_sampling(samples),
        **_unseen(process.not_seen),
        **_card(run, samples, environment.gpu),
        "processor_only": float(processor_only(run, index)),
        **_machine(environment),
        **_libraries(environment, lock),
        **_judged(cpus.FAULTS, environment.cpus),
        **_judged(surroundings.FAULTS, environment.surroundings),
        UNKNOWN["CPUs"]: reasons(environment.cpus),
        UNKNOWN["surroundings"]: reasons(environment.surroundings),
        **_compared(environment),
        "clock_set_s": run.times.clock.set_by_s,
        "device": run.device,
        "launched_s": process.launched_ns / 1e9,
        "exited_s": process.exited_ns / 1e9,
        "up_s": (process.launched_ns - run.times.clock.anchor_ns) / 1e9,
        "kernel_peak_rss_bytes": np.nan if peak is None else float(peak),
    }


def steps(events: Moments, batch_size: Any) -> float:
    """Steps of training over all epochs; NaN where the index names no batch size."""
    if not isinstance(batch_size, int) or batch_size < 1:
        return np.nan
    return float(sum(epoch.examples // batch_size for epoch in events.epochs))


def _sampling(samples: Samples) -> dict[str, object]:
    rows, missed = samples.t_ns.size, samples.columns["missed_slots"].sum()
    return {"rows": rows, "missed_share": missed / (rows + missed) if rows else np.nan}


def _unseen(not_seen: tuple[str, ...] | None) -> dict[str, object]:
    return {
        "n_not_seen": np.nan if not_seen is None else len(not_seen),
        "not_seen": "; ".join(not_seen or ()),
    }


class _Lacking(NamedTuple):
    """Values of the card that are not known."""

    missing: Mapping[str, str]


# Nothing of the card speaks against a training on the processor.
ON_PROCESSOR: Mapping[str, object] = {
    **dict.fromkeys(("throttled_share", "foreign_processes", "desktop_processes", "off_card"), 0.0),
    **dict.fromkeys(("throttled_by", "desktop_words", UNKNOWN["GPU"]), ""),
    **dict.fromkeys(gpus.FAULTS, 0.0),
    **{f"{name}_words": "" for name in gpus.FAULTS},
    CARD_COMPARED: "{}",
}


def _card(run: Run, samples: Samples, record: GpuRecord | None) -> dict[str, object]:
    """What the sampler saw of the card, and how it was set."""
    events = run.events
    inside = (samples.t_ns >= events.train_start_ns) & (samples.t_ns <= events.train_end_ns)
    read = inside & are_first(samples)
    seen = {"gpu_samples": _known(samples.columns["gpu_util_pct"][read]).size}
    if kind_of(run.device) == "cpu":
        return {**seen, **ON_PROCESSOR}
    held = _largest(samples.columns["vram_tree_bytes"][inside])
    return {
        **seen,
        **_throttled(_known(samples.columns["gpu_throttle_reasons"][read])),
        "foreign_processes": _largest(samples.columns["gpu_foreign_processes"]),
        **_desktop(samples),
        "off_card": np.nan if np.isnan(held) else float(held == 0),
        **_judged(gpus.FAULTS, record),
        UNKNOWN["GPU"]: reasons(_lacking(run.process, samples, record)),
        CARD_COMPARED: json.dumps(gpus.compared(record)) if record else "",
    }


def _desktop(samples: Samples) -> dict[str, object]:
    """How many processes at once only drew on the card, and how much of its memory they held."""
    n = _largest(samples.columns["gpu_desktop_processes"])
    held = _largest(samples.columns["gpu_desktop_bytes"])
    words = (
        "their memory is not known" if np.isnan(held) else f"they held up to {held / MIB:.0f} MiB"
    )
    return {"desktop_processes": n, "desktop_words": words if n > 0 else ""}


def _lacking(process: Process, samples: Samples, record: GpuRecord | None) -> _Lacking:
    """What the gates need to know of the card and do not, with the reasons."""
    unseen = [name for name in ASKED if np.isnan(samples.columns[name]).all()]
    missing = {name: process.missing.get(name, NOT_SAID) for name in unseen}
    if record is None:
        return _Lacking({**missing, "how it was set": NOT_RECORDED})
    return _Lacking(
        {**missing, **{n: why for n, why in record.missing.items() if n in gpus.NEEDED}}
    )


def _throttled(reasons: Floats) -> dict[str, object]:
    """Share of samples in which the card was slowed down against its will, and by what."""
    slowed = reasons.astype(np.int64) & sum(SLOWDOWNS)
    bits = int(np.bitwise_or.reduce(slowed)) if slowed.size else 0
    return {
        "throttled_share": float(np.mean(slowed != 0)) if slowed.size else np.nan,
        "throttled_by": ", ".join(name for bit, name in SLOWDOWNS.items() if bits & bit),
    }


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _largest(values: Floats) -> float:
    known = _known(values)
    return float(known.max()) if known.size else np.nan


def _machine(environment: Environment) -> dict[str, object]:
    load, cores, swapped = (
        environment.load_average_before,
        environment.cores,
        environment.swapped_pages,
    )
    return {
        "swapped_pages": np.nan if swapped is None else swapped,
        "load_per_core": load[0] / cores if load and cores else np.nan,
    }


def _judged(judges: Judges[Recorded], record: Recorded | None) -> dict[str, object]:
    """Size and words of each fault of a part of the record."""
    found: dict[str, object] = {}
    for name, judge in judges.items():
        judged = judge(record) if record else Judged(None)
        found[name] = np.nan if judged.size is None else judged.size
        found[f"{name}_words"] = judged.text if judged.size else ""
    return found


def _compared(environment: Environment) -> dict[str, object]:
    record = environment.surroundings
    known = surroundings.compared(record, environment.image is not None) if record else {}
    # JSON tells an empty list from none, and has no control characters.
    return {
        column: json.dumps(known[name]) if name in known else ""
        for name, column in COMPARED.items()
    }


def _libraries(environment: Environment, lock: Lock | None) -> dict[str, object]:
    if lock is None or not environment.libraries:
        return {"n_other_libraries": np.nan, "other_libraries": ""}
    others = other_libraries(environment.libraries, lock)
    more = [f"and {len(others) - SHOWN} more"] if len(others) > SHOWN else []
    return {
        "n_other_libraries": len(others),
        "other_libraries": ", ".join([*others[:SHOWN], *more]),
    }


def read_locks(index: Index) -> dict[str, Lock]:
    """Engine to the versions its lock allows, of the engines whose `envs/NAME.txt` is at hand."""
    files = {
        e.name: index.root / "envs" / f"{e.environment}.txt" for e in index.engines if e.environment
    }
    texts = {
        name: file.read_text(encoding="utf-8") for name, file in files.items() if file.is_file()
    }
    return {name: parse_lock(text) for name, text in texts.items()}


def other_libraries(libraries: dict[str, str], lock: Lock) -> list[str]:
    """Where an environment is not what its lock says, in words."""
    installed = {normalised(name): version for name, version in libraries.items()}
    found: list[str] = []
    for name in sorted(installed.keys() | lock.keys()):
        version, allowed = installed.get(name, ""), lock.get(name)
        if allowed is None and name not in OF_VENV:
            found.append(f"{name} {version} is not in it")
        elif allowed is not None and version not in allowed:
            wanted = " or ".join(sorted(allowed - {""}))
            found.append(
                f"{name} is {version}, not {wanted}" if version else f"{name} {wanted} is missing"
            )
    return found
