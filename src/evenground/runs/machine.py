"""The class of a machine: what of its hardware and driver makes timings comparable."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

NO_GPU = "nogpu"
SWAPPED = {"pswpin", "pswpout"}


@dataclass(frozen=True)
class Gpu:
    """One graphics card as its driver describes it."""

    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Machine:
    """The hardware that a training here would run on."""

    cpu_model: str
    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None

    @property
    def name(self) -> str:
        """The class as a folder name: `CPU-CORES-MEMORY-GPU-HASH`; the hash is over all fields."""
        memory_gib = round(self.memory_bytes / 2**30)
        gpu = "-".join(sorted({_slug(gpu.name) for gpu in self.gpus})) or NO_GPU
        exact = repr((self.cpu_model, self.cores, memory_gib, [g.name for g in self.gpus], self.driver))
        digest = hashlib.sha256(exact.encode()).hexdigest()[:6]
        return f"{_slug(self.cpu_model)}-{self.cores}c-{memory_gib}g-{gpu}-{digest}"

    @property
    def description(self) -> str:
        """The class in words, for captions."""
        cards = ", ".join(gpu.name for gpu in self.gpus) or "no GPU"
        driver = f", driver {self.driver}" if self.driver else ""
        return (
            f"{self.cpu_model}, {self.cores} cores, {round(self.memory_bytes / 2**30)} GiB, {cards}{driver}"
        )


def has_gpu(machine_class: str) -> bool:
    """Whether machines of this class have a GPU, read from the class's name."""
    return f"-{NO_GPU}-" not in machine_class


def this_machine() -> Machine:
    """The machine this process runs on."""
    gpus, driver = _gpus()
    return Machine(_cpu_model(), len(os.sched_getaffinity(0)), _memory_bytes(), gpus, driver)


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


def _gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """Graphics cards and driver version through NVML; none where there is no driver."""
    try:
        import pynvml
    except ImportError:
        return (), None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), None
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        cards = tuple(
            Gpu(_text(pynvml.nvmlDeviceGetName(h)), int(pynvml.nvmlDeviceGetMemoryInfo(h).total))
            for h in handles
        )
        return cards, _text(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
