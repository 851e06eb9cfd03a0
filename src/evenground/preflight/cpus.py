"""Whether trainings get cores of their own here, at their full clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenground.cpus.choice import Threads, choose
from evenground.cpus.judge import (
    FREQUENCY,
    clock_limits,
    lacking_cores,
    shared_cores,
    unlike_cores,
)
from evenground.cpus.record import CpuRecord
from evenground.cpus.sysfs import SYSTEM
from evenground.cpus.watch import Watch
from evenground.judged import reasons
from evenground.preflight.finding import Finding
from evenground.runs.plan import Plan

CHOICE = ("places", "kinds", "quota")
COUNTED = ("core_events", "package_events", "waited")


def findings(plans: Sequence[Plan]) -> list[Finding]:
    """Whether there are cores for each number of threads, and what holds those of the largest one down."""
    records = [
        record_of(threads) for threads in dict.fromkeys(plan.experiment.threads for plan in plans)
    ]
    largest = max(records, key=lambda record: record.n_chosen or 0)
    return [*map(cores, records), clock(largest), throttling(largest)]


def record_of(threads: Threads, system: Path = SYSTEM) -> CpuRecord:
    """What a training that ends at once would record of its CPUs here."""
    return Watch(choose(threads, system), system).end()


def cores(record: CpuRecord) -> Finding:
    """Whether each thread has a core, of its own and as fast as the others'."""
    few, shared, unlike = lacking_cores(record), shared_cores(record), unlike_cores(record)
    if few.size:
        fix = "set threads to what there is, or let this process use more: runs will be flagged as invalid"
        return Finding("cores", "warning", few.text, fix)
    if shared.size:
        fix = f"set threads: {record.cores}, or allow more cores: hardware threads of one slow each other"
        return Finding("cores", "warning", shared.text, fix)
    if unlike.size:
        fix = "set fewer threads: the faster cores will wait for the slower ones"
        return Finding("cores", "warning", unlike.text, fix)
    seen = f"{record.n_chosen} threads on CPU {record.chosen}"
    unknown = few.size is None or shared.size is None or unlike.size is None
    return Finding(
        "cores", "ok", f"{seen}; not known: {reasons(record, CHOICE)}" if unknown else seen
    )


def clock(record: CpuRecord) -> Finding:
    """Whether settings hold the processor's clock down."""
    found = clock_limits(record)
    if found.size:
        fix = "as root: cpupower frequency-set --governor performance --max HIGHEST"
        return Finding("CPU clock", "warning", found.text, fix)
    seen = "not held down" if found.size == 0 else f"not known: {reasons(record, FREQUENCY)}"
    return Finding("CPU clock", "ok", seen)


def throttling(record: CpuRecord) -> Finding:
    """Whether it can be told afterwards that the processor was slowed down."""
    unknown = reasons(record, COUNTED)
    return Finding("CPU throttling", "ok", f"not known: {unknown}" if unknown else "counted")
