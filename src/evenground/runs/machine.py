"""The class of a machine: what of its hardware and driver makes timings comparable."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenground.gpus.choice import AUTO, VISIBLE, Choice, choose
from evenground.gpus.look import Look, look
from evenground.validation import NO_GPU

SWAPPED = {"pswpin", "pswpout"}


@dataclass(frozen=True)
class Machine:
    """The hardware that a training here would run on."""

    cpu_model: str
    cores: int
    memory_bytes: int
    gpu: str | None = None
    """Model of the one card that is chosen, of a MIG instance with its profile."""
    driver: str | None = None
    """NVIDIA's, where a card is chosen."""
    look: Look = field(default=Look(), compare=False)
    """All that the driver says; beside the two above nothing of it makes a class."""
    choice: Choice = field(default=Choice(), compare=False)

    @property
    def name(self) -> str:
        """The class as a folder name: `CPU-CORES-MEMORY-GPU-HASH`; the hash is over all of them."""
        memory_gib = round(self.memory_bytes / 2**30)
        models = [self.gpu] if self.gpu else []
        gpu = _slug(self.gpu) if self.gpu else NO_GPU
        exact = repr((self.cpu_model, self.cores, memory_gib, models, self.driver))
        digest = hashlib.sha256(exact.encode()).hexdigest()[:6]
        return f"{_slug(self.cpu_model)}-{self.cores}c-{memory_gib}g-{gpu}-{digest}"

    @property
    def description(self) -> str:
        """The class in words, for captions."""
        driver = f", driver {self.driver}" if self.driver else ""
        memory = f"{round(self.memory_bytes / 2**30)} GiB"
        return f"{self.cpu_model}, {self.cores} cores, {memory}, {self.gpu or 'no GPU'}{driver}"

    @property
    def facts(self) -> dict[str, Any]:
        """What makes the class, by name."""
        names = ("cpu_model", "cores", "memory_bytes", "gpu", "driver")
        return {name: getattr(self, name) for name in names}


def this_machine(gpu: str = AUTO, given: Mapping[str, str] = os.environ) -> Machine:
    """The machine this process runs on, with the card that `gpu` and the variables in `given` name."""
    found = look()
    choice = choose(found, gpu, given)
    chosen = choice.chosen
    return Machine(
        cpu_model=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(),
        gpu=chosen.model if chosen else None,
        driver=found.driver if chosen else None,
        look=found,
        choice=choice,
    )


def hold(machine: Machine, environ: MutableMapping[str, str] = os.environ) -> None:
    """Name the chosen card to all that this process starts: from now on it is chosen."""
    if machine.choice.chosen:
        environ[VISIBLE] = machine.choice.chosen.uuid


def kernel_counts(vmstat: Path = Path("/proc/vmstat")) -> dict[str, int]:
    """What this machine's kernel has counted since boot, by the kernel's own names."""
    lines = vmstat.read_text(encoding="ascii").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


def swapped_pages(before: dict[str, int], after: dict[str, int]) -> int | None:
    """Pages moved between memory and disk between two counts; None of a kernel that does not count them."""
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
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
