"""The class of a machine: what of its hardware and driver makes timings comparable."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.gpus.choice import AUTO, VISIBLE, Choice, choose
from evenground.gpus.look import Look, look
from evenground.sidecar.linux import MEMORY_BYTES
from evenground.validation import NO_GPU

# The kernel's counters of pages read from swap and written to it.
SWAPPED = {"pswpin", "pswpout"}


@dataclass(frozen=True)
class Machine:
    """The hardware that a training here would run on."""

    cpu_model: str
    cores: int
    memory_bytes: int
    gpu: str | None = None
    """Model of the chosen card; of a MIG instance with its profile."""
    driver: str | None = None
    """Version of NVIDIA's driver, if a card is chosen."""
    look: Look = field(default=Look(), compare=False)
    """All that the driver reports; only the two fields above decide the class."""
    choice: Choice = field(default=Choice(), compare=False)

    @property
    def name(self) -> str:
        """The class as a folder name: `CPU-CORES-MEMORY-GPU-HASH`; the hash is over all of them."""
        gpu = NO_GPU
        models = []
        if self.gpu:
            gpu = _slug(self.gpu)
            models = [self.gpu]
        # In whole GiB: how much the kernel keeps for itself changes with its version.
        memory_gib = round(self.memory_bytes / 2**30)
        exact = repr((self.cpu_model, self.cores, memory_gib, models, self.driver))
        digest = hashlib.sha256(exact.encode()).hexdigest()[:6]
        return f"{_slug(self.cpu_model)}-{self.cores}c-{memory_gib}g-{gpu}-{digest}"

    @property
    def description(self) -> str:
        """The class in words, for captions."""
        memory = f"{round(self.memory_bytes / 2**30)} GiB"
        text = f"{self.cpu_model}, {self.cores} cores, {memory}, {self.gpu or 'no GPU'}"
        if self.driver:
            text += f", driver {self.driver}"
        return text


def this_machine(gpu: str = AUTO, environ: Mapping[str, str] = os.environ) -> Machine:
    """The machine this process runs on, with the card that `gpu` and `environ` choose."""
    seen = look()
    choice = choose(seen, gpu, environ)
    model = driver = None
    if choice.chosen:
        model = choice.chosen.model
        driver = seen.driver
    return Machine(
        cpu_model=_cpu_model(),
        # The cores that this process may use: a scheduler may give a job fewer than there are.
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=MEMORY_BYTES,
        gpu=model,
        driver=driver,
        look=seen,
        choice=choice,
    )


def hold(machine: Machine, environ: MutableMapping[str, str] = os.environ) -> None:
    """Name the chosen card to every process that this one starts: they all use it."""
    if machine.choice.chosen:
        environ[VISIBLE] = machine.choice.chosen.uuid


def kernel_counts() -> dict[str, int]:
    """What this machine's kernel has counted since boot, by the kernel's own names."""
    counts = {}
    for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
        name, count = line.split()
        counts[name] = int(count)
    return counts


def swapped_pages(before: dict[str, int], after: dict[str, int]) -> int | None:
    """Pages moved between memory and disk between two counts; None if they are not counted."""
    if not after.keys() >= SWAPPED:
        return None
    return sum(after[name] - before[name] for name in SWAPPED)


def _slug(text: str) -> str:
    """`AMD EPYC(tm) 7R13` -> `amd-epyc-7r13`; at most 32 characters."""
    text = re.sub(r"\((r|tm)\)|processor|\bcpu\b|@.*$", " ", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")[:32].strip("-") or "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    # The kernel gives no model on other architectures, such as ARM.
    return platform.machine()
