"""A made record of every file of a run, and of what is read beside runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evenground.records.base import Record
from evenground.records.calibration import Calibration, Figure
from evenground.records.cpus import CpuRecord, Heat, Settings
from evenground.records.environment import Environment, Git, Image, MachineClass, WarmUp
from evenground.records.gpus import GpuRecord
from evenground.records.image import ImageRecord
from evenground.records.manifest import Manifest
from evenground.records.node import Node
from evenground.records.outcome import AttemptOutcome, Mark, Reason, RunName
from evenground.records.samples import (
    Baseline,
    Card,
    Column,
    Header,
    Instance,
    SampledMachine,
    Summary,
)
from evenground.records.surroundings import SurroundingsRecord

SHA256 = "a" * 64
RUN_PATH = Path("cray-1/mnist/keras/k1/r2")
RUN = RunName.of(RUN_PATH, "native")
MACHINE = MachineClass(class_name="cray-1", description="Cray-1, 1 core")


def made_outcome(reason: Reason | None = None, detail: str = "", **other: Any) -> AttemptOutcome:
    """The outcome of a finished attempt, or of one that failed for a reason."""
    fields: dict[str, Any] = {
        "reason": reason,
        "detail": detail,
        "attempt": 1,
        "run": RUN,
        "started_unix_ns": 10**9,
        "ended_unix_ns": 3 * 10**9,
    }
    return AttemptOutcome(**(fields | other))


def made_node(class_name: str, description: str = "") -> Node:
    """What a probe found on a node of a class."""
    return Node(
        class_name=class_name,
        description=description,
        host="node7",
    )


ENVIRONMENT = Environment(
    machine=MACHINE,
    cpu_model="Cray-1",
    cores=1,
    memory_bytes=2**23,
    driver="575.51.03",
    kernel="6.1.0",
    os="COS",
    python="3.12.3",
    libraries={"keras": "3.14.1"},
    load_average_before=[0.5, 0.25, 0.0],
    warm_up=WarmUp(examples=32, wall_s=1.5),
    swapped_pages=0,
    cpus=CpuRecord(
        chosen="0", heat=Heat(core_events=1), settings_before=[Settings("0", {"a": "b"})]
    ),
    surroundings=SurroundingsRecord(variables={"PATH": "/bin"}, missing={"image": "unknown"}),
    gpu=GpuRecord(accelerator="cuda", name="Made Card", power_limit_w=250.5, clocks={"a": "1"}),
    deployment="apptainer",
    image=Image(name="keras-1", sha256=SHA256, labels={"evenground.lock": "keras"}),
    scheduled=True,
    git=Git(commit="c" * 40, dirty=True),
)
HEADER = Header(
    columns={"cpu_s": Column(unit="s", source="made", period_s=0.0)},
    missing={"gpu_util_pct": "no card"},
    rate_hz=10.0,
    gpus=[Card(index=0, mig=[Instance(card="0/mig1")], util_window_s=0.25)],
    gpu_baseline=Baseline(power_w=30.5, power_from="counter"),
    machine=SampledMachine(cores=1, memory_bytes=2**23),
    summary=Summary(
        launched_unix_ns=1,
        launched_mono_ns=1,
        exited_unix_ns=2,
        exited_mono_ns=2,
        exit_code=0,
        not_seen=("rows",),
        sidecar_cpu_s=0.5,
        sidecar_sampling_cpu_s=0.25,
    ),
)
CALIBRATION = Calibration(
    machine={"cpus": 1, "kernel_release": "6.1.0", "clock": "tsc"},
    sidecar={"scheduling": "fifo", "cpu_source": "cgroup"},
    took_s=31.5,
    passed=False,
    figures={
        "orphan": Figure(
            what="CPU of an orphan", unit="%", goal=5.0, at_least=False, measured=6.0, passed=False
        )
    },
)
RECORDS: dict[str, Record] = {
    "started.json": Mark(deployment="native", job="7", host="node7", started_unix_ns=5),
    "outcome.json": made_outcome("crashed", "exit code 3"),
    "manifest.json": Manifest(run=RUN, files={"outcome.json": SHA256}),
    "environment.json": ENVIRONMENT,
    "samples.json": HEADER,
    "calibration.json": CALIBRATION,
    "node.json": made_node("cray-1", "Cray-1, 1 core"),
    "image.json": ImageRecord(name="jax-1", sha256=SHA256, bytes=4, mtime_ns=1, labels={}),
}
"""Name of a file -> its record, whose parts are all there."""
