"""The circumstances under which each run was measured: what the quality gates judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenground.analysis.columns import (
    DEVICE,
    columns,
    number,
    text,
    whole,
)
from evenground.analysis.devices import processor_only
from evenground.analysis.readings import are_first
from evenground.analysis.runs import Floats, Run, Samples, largest, or_nan
from evenground.analysis.seen import Seen
from evenground.cpus import judge as cpus
from evenground.gpus import judge as gpus
from evenground.judged import NOT_RECORDED, Judged, reasons
from evenground.locks import Lock, normalised, parse_lock
from evenground.records.environment import Environment
from evenground.records.events import kind_of
from evenground.records.gpus import GpuRecord
from evenground.records.index import Condition
from evenground.records.times import Moments
from evenground.surroundings import judge as surroundings

# Bits of nvml.h (nvmlClocksEventReason*, older: nvmlClocksThrottleReason*) for a card that was
# slowed down against its will. Not among them: idle, clocks that were set, a power cap that was
# set, sync boost.
SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
# `python -m venv` puts these into an environment, whatever its lock has.
OF_VENV = {"pip", "setuptools"}
SHOWN = 3

FAULTS: dict[str, Callable[[Any], Judged]] = {
    **cpus.FAULTS,
    **surroundings.FAULTS,
    **gpus.FAULTS,
}
UNKNOWN = {"CPUs": "cpus_unknown", "surroundings": "surroundings_unknown", "GPU": "gpu_unknown"}
"""Part of a run's record -> column with the reasons why values of it are unknown."""
COMPARED = "compared_surroundings"
"""What runs of a group should have in common around the engine; empty if nothing was recorded."""
CARD_COMPARED = "compared_card"
"""The same for their card."""
# Columns of the samples that the gates need for a training on a card.
CARD_SAMPLES = (
    "gpu_throttle_reasons",
    "gpu_foreign_processes",
    "gpu_desktop_processes",
    "vram_tree_bytes",
)
NOT_SAID = "no value, and no reason given"
MIB = 2**20

OWN = (
    whole("steps", "Steps of training, over all epochs."),
    whole("rows", "Samples that the sampler took."),
    number("missed_share", "", "Share of the sampling deadlines that it missed (0 to 1)."),
    whole("n_not_seen", "Things that the sampler reported it could not see."),
    text("not_seen", "These things."),
    whole("swapped_pages", "Pages moved between memory and disk during the run."),
    number(
        "throttled_share",
        "",
        "Share of the samples during training in which the card was slowed down (0 to 1).",
    ),
    text("throttled_by", "By what it was slowed down."),
    whole("foreign_processes", "Processes of others that computed on the card, the most at once."),
    number("load_per_core", "", "Tasks per core, mean over the minute before the run."),
    whole("n_other_libraries", "Libraries unlike the lock's."),
    text("other_libraries", "These libraries."),
    whole("gpu_samples", "Samples of the card during training."),
    number("clock_set_s", "s", "By how much the machine's clock was set during the run."),
    whole("off_card", "1 if a training on a GPU held no memory of the card, otherwise 0."),
    whole("desktop_processes", "Processes of others that drew on the card, the most at once."),
    text("desktop_words", "How much of its memory they held."),
    whole("processor_only", "1 for an arm without a GPU by design, otherwise 0."),
    DEVICE,
    number("launched_s", "s", "When its process was launched, since 1970."),
    number("exited_s", "s", "When its process ended, since 1970."),
    number("up_s", "s", "How long the machine had been up at the launch."),
    number(
        "kernel_peak_rss_bytes",
        "bytes",
        "The most memory that one of its processes ever held, as the kernel recorded it.",
    ),
)
WORDS = tuple(text(f"{name}_words", f"`{name}` in words.") for name in FAULTS)
WHY_UNKNOWN = tuple(
    text(column, f"Why values are not known ({part}).") for part, column in UNKNOWN.items()
)
FRAME = columns(
    OWN,
    tuple(number(name, "", judge.__doc__ or "") for name, judge in FAULTS.items()),
    WORDS,
    WHY_UNKNOWN,
    text(COMPARED, "What runs of a group should have in common around the engine: JSON."),
    text(CARD_COMPARED, "The same for the card."),
)
Row = dict[str, object]


def circumstances_row(seen: Seen, condition: Condition, lock: Lock | None) -> Row:
    """The circumstances of one run, as in FRAME; an unknown number is NaN, its text empty."""
    run, environment = seen.run, seen.environment
    process, clock = run.process, run.times.clock
    row: Row = {
        "steps": steps(run.events, condition.parameters.batch_size),
        "n_not_seen": np.nan,
        "not_seen": "",
        "processor_only": float(processor_only(condition, run.wanted.engine, environment.gpu)),
        "clock_set_s": clock.set_by_s,
        "device": run.device,
        "launched_s": process.launched_ns / 1e9,
        "exited_s": process.exited_ns / 1e9,
        "up_s": (process.launched_ns - clock.anchor_ns) / 1e9,
        "kernel_peak_rss_bytes": or_nan(process.peak_process_rss_bytes),
        COMPARED: "",
        UNKNOWN["CPUs"]: reasons(environment.cpus),
        UNKNOWN["surroundings"]: reasons(environment.surroundings),
    }
    if process.not_seen is not None:
        row |= {"n_not_seen": len(process.not_seen), "not_seen": "; ".join(process.not_seen)}
    record = environment.surroundings
    if record is not None:
        known = surroundings.compared(record, in_image=environment.image is not None)
        # JSON distinguishes an empty list from an unknown one, and has no control characters.
        row[COMPARED] = json.dumps(known)
    row |= _sampling(seen.samples)
    row |= _machine(environment)
    row |= _libraries(environment, lock)
    row |= _judged(cpus.FAULTS, environment.cpus)
    row |= _judged(surroundings.FAULTS, record)
    row |= _card(run, seen.samples, environment.gpu)
    return row


def steps(events: Moments, batch_size: int) -> float:
    """Steps of training over all epochs."""
    # Engines leave out the rest of an epoch that is no full batch.
    return float(sum(epoch.examples // batch_size for epoch in events.epochs))


def _sampling(samples: Samples) -> Row:
    rows = samples.t_ns.size
    if not rows:
        return {"rows": 0, "missed_share": np.nan}
    missed = samples.columns["missed_slots"].sum()
    return {"rows": rows, "missed_share": missed / (rows + missed)}


@dataclass(frozen=True)
class _UnknownOfCard:
    """Values of the card that the gates need and that are unknown, with their reasons."""

    missing: Mapping[str, str]


def _card(run: Run, samples: Samples, record: GpuRecord | None) -> Row:
    """What the sampler recorded of the card, and how it was set."""
    t_ns, columns = samples.t_ns, samples.columns
    inside = (t_ns >= run.events.train_start_ns) & (t_ns <= run.events.train_end_ns)
    # Rows may repeat a reading of the driver, which counts once.
    read = inside & are_first(samples)
    gpu_samples = np.count_nonzero(~np.isnan(columns["gpu_util_pct"][read]))
    if kind_of(run.device) == "cpu":
        return ON_PROCESSOR | {"gpu_samples": gpu_samples}
    held_bytes = largest(columns["vram_tree_bytes"][inside])
    row: Row = {
        "gpu_samples": gpu_samples,
        "foreign_processes": largest(columns["gpu_foreign_processes"]),
        "off_card": np.nan,
        CARD_COMPARED: "",
        UNKNOWN["GPU"]: reasons(_unknown_of_card(run, samples, record)),
    }
    if not np.isnan(held_bytes):
        row["off_card"] = float(held_bytes == 0)
    if record is not None:
        row[CARD_COMPARED] = json.dumps(gpus.compared(record))
    row |= _throttled(columns["gpu_throttle_reasons"][read])
    row |= _desktop(samples)
    return row | _judged(gpus.FAULTS, record)


def _desktop(samples: Samples) -> Row:
    """Processes that only drew on the card: the most at once, and the memory they held."""
    n = largest(samples.columns["gpu_desktop_processes"])
    held_bytes = largest(samples.columns["gpu_desktop_bytes"])
    description = ""
    if n > 0:
        description = f"they held up to {held_bytes / MIB:.0f} MiB"
        if np.isnan(held_bytes):
            description = "their memory is not known"
    return {"desktop_processes": n, "desktop_words": description}


def _unknown_of_card(run: Run, samples: Samples, record: GpuRecord | None) -> _UnknownOfCard:
    missing = {}
    for name in CARD_SAMPLES:
        if np.isnan(samples.columns[name]).all():
            missing[name] = run.process.missing.get(name, NOT_SAID)
    if record is None:
        missing["how it was set"] = NOT_RECORDED
    else:
        missing |= {name: why for name, why in record.missing.items() if name in gpus.NEEDED}
    return _UnknownOfCard(missing)


def _throttled(bits: Floats) -> Row:
    """Share of readings (N,) in which the card was slowed down against its will, and by what."""
    known = bits[~np.isnan(bits)]
    if not known.size:
        return {"throttled_share": np.nan, "throttled_by": ""}
    # The bits are distinct, so that their sum is a mask of them all.
    slowed = known.astype(np.int64) & sum(SLOWDOWNS)
    seen = int(np.bitwise_or.reduce(slowed))
    return {
        "throttled_share": float(np.mean(slowed != 0)),
        "throttled_by": ", ".join(name for bit, name in SLOWDOWNS.items() if seen & bit),
    }


def _machine(environment: Environment) -> Row:
    load_per_core = np.nan
    if environment.load_average_before and environment.cores:
        load_per_core = environment.load_average_before[0] / environment.cores
    return {"swapped_pages": or_nan(environment.swapped_pages), "load_per_core": load_per_core}


def _judged(judges: Mapping[str, Callable[[Any], Judged]], record: object | None) -> Row:
    """Size and description of each fault of a part of the record."""
    row: Row = {}
    for name, judge in judges.items():
        judged = Judged(None)
        if record is not None:
            judged = judge(record)
        row[name] = or_nan(judged.size)
        row[f"{name}_words"] = judged.text if judged.size else ""
    return row


# Nothing about the card counts against a training on the processor.
ON_PROCESSOR: Row = {
    "throttled_share": 0.0,
    "throttled_by": "",
    "foreign_processes": 0.0,
    "off_card": 0.0,
    "desktop_processes": 0.0,
    "desktop_words": "",
    UNKNOWN["GPU"]: "",
    CARD_COMPARED: "{}",
}
ON_PROCESSOR |= dict.fromkeys(gpus.FAULTS, 0.0)
ON_PROCESSOR |= {f"{name}_words": "" for name in gpus.FAULTS}


def _libraries(environment: Environment, lock: Lock | None) -> Row:
    if lock is None or not environment.libraries:
        return {"n_other_libraries": np.nan, "other_libraries": ""}
    others = other_libraries(environment.libraries, lock)
    shown = others[:SHOWN]
    if len(others) > SHOWN:
        shown.append(f"and {len(others) - SHOWN} more")
    return {"n_other_libraries": len(others), "other_libraries": ", ".join(shown)}


def read_locks(condition: Condition) -> dict[str, Lock]:
    """Engine -> the versions that its lock allows; engines without `envs/NAME.txt` left out."""
    locks = {}
    for engine in condition.engines:
        file = condition.root / "envs" / f"{engine.environment}.txt"
        if engine.environment is not None and file.is_file():
            locks[engine.name] = parse_lock(file.read_text(encoding="utf-8"))
    return locks


def other_libraries(libraries: dict[str, str], lock: Lock) -> list[str]:
    """How an environment differs from its lock, a text for each package."""
    installed = {normalised(name): version for name, version in libraries.items()}
    found = []
    for name in sorted(installed.keys() | lock.keys()):
        version = installed.get(name, "")
        if name not in lock:
            if name not in OF_VENV:
                found.append(f"{name} {version} is not in it")
        elif version not in lock[name]:
            wanted = " or ".join(sorted(lock[name] - {""}))
            if version:
                found.append(f"{name} is {version}, not {wanted}")
            else:
                found.append(f"{name} {wanted} is missing")
    return found
