"""Checks that trainings get cores of their own at their full clock."""

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
from evenground.cpus.sysfs import SYSTEM
from evenground.cpus.watch import Watch
from evenground.judged import reasons
from evenground.preflight.finding import Finding, ok, warning
from evenground.records.cpus import CpuRecord
from evenground.runs.plan import Plan

CHOICE = ("places", "kinds", "quota")
COUNTED = ("core_events", "package_events", "waited")


def findings(plans: Sequence[Plan]) -> list[Finding]:
    """Check the cores for each number of threads, and the clock of the largest set of CPUs."""
    numbers_of_threads = dict.fromkeys(plan.experiment.threads for plan in plans)
    records = [record_of(threads) for threads in numbers_of_threads]
    # The clock is looked at once, for most CPUs.
    largest = max(records, key=lambda record: record.n_chosen or 0)
    found = [cores(record) for record in records]
    return found + [clock(largest), throttling(largest)]


def record_of(threads: Threads, system: Path = SYSTEM) -> CpuRecord:
    """Return what a training that ends at once would record of its CPUs here."""
    # No training takes place: the record holds the choice and the settings.
    return Watch(choose(threads, system), system).end()


def cores(record: CpuRecord) -> Finding:
    """Check that each thread has a core of its own, and that all of these are equally fast."""
    few = lacking_cores(record)
    if few.size:
        fix = (
            "set threads to what there is, or let this process use more: "
            "runs will be flagged as invalid"
        )
        return warning("cores", few.text, fix)
    shared = shared_cores(record)
    if shared.size:
        fix = (
            f"set threads: {record.cores}, or allow more cores: "
            "the hardware threads of one core slow each other down"
        )
        return warning("cores", shared.text, fix)
    unlike = unlike_cores(record)
    if unlike.size:
        fix = "set fewer threads: the faster cores will wait for the slower ones"
        return warning("cores", unlike.text, fix)
    seen = f"{record.n_chosen} threads on CPU {record.chosen}"
    # A size that is not known is None.
    if None in (few.size, shared.size, unlike.size):
        seen += f"; not known: {reasons(record, CHOICE)}"
    return ok("cores", seen)


def clock(record: CpuRecord) -> Finding:
    """Check that no setting holds the processor's clock down."""
    limits = clock_limits(record)
    if limits.size:
        fix = "as root: cpupower frequency-set --governor performance --max HIGHEST"
        return warning("CPU clock", limits.text, fix)
    if limits.size is None:
        return ok("CPU clock", f"not known: {reasons(record, FREQUENCY)}")
    return ok("CPU clock", "not held down")


def throttling(record: CpuRecord) -> Finding:
    """Report whether the kernel counts how often the processor is slowed down."""
    unknown = reasons(record, COUNTED)
    if unknown:
        return ok("CPU throttling", f"not known: {unknown}")
    return ok("CPU throttling", "counted")
