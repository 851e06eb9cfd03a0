"""What NVIDIA's driver says of the machine's cards. What it does not tell is None, and has its reason."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from evenground.gpus.record import HIGHEST_CLOCK, SET_CLOCK, USUAL_CLOCK
from evenground.sidecar.cpus import list_text
from evenground.sidecar.gpu import has_library, load_nvml
from evenground.sidecar.nvml import MAX_MHZ, MAX_W, Driver, Reason
from evenground.sidecar.nvml import OnCard as OnCard

KERNEL_DRIVER = Path("/proc/driver/nvidia/version")
# Of a driver that hangs, nvmlInit never comes back; with cold cards it takes seconds.
LIMIT_S = 60.0
COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")
MIG_IN_NAME = " MIG "
MAX_CAPABILITY = 99
UUID = re.compile(r"(GPU|MIG)-[\w/-]+", re.ASCII)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Instance:
    """One MIG instance of a card, which an engine sees as a card of its own."""

    name: str | None
    uuid: str | None
    profile: str | None
    """As in 1g.10gb."""
    memory_bytes: int | None
    free_bytes: int | None
    computing: tuple[OnCard, ...] | None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """One card, as the driver describes it."""

    index: int
    """The driver's, which nvidia-smi shows; CUDA may count otherwise."""
    name: str | None = None
    uuid: str | None = None
    pci: str | None = None
    memory_bytes: int | None = None
    free_bytes: int | None = None
    capability: str | None = None
    """Compute capability, as in 9.0."""
    ecc: bool | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    clocks: Mapping[str, str] | None = None
    persistence: bool | None = None
    compute_mode: str | None = None
    display: bool | None = None
    near_cpus: tuple[int, ...] | None = None
    computing: tuple[OnCard, ...] | None = None
    """Processes that compute on it."""
    drawing: tuple[OnCard, ...] | None = None
    """Processes that only draw on it, as a desktop's do."""
    instances: tuple[Instance, ...] = ()
    is_mig: bool = False
    """Whether it is cut into instances: then nobody can use it as a whole."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Name of a value -> why it is not known."""


@dataclass(frozen=True)
class Look:
    """All that the driver tells of this machine at one moment."""

    cards: tuple[Card, ...] = ()
    driver: str | None = None
    """Its version."""
    fault: str | None = None
    """Why the driver, which is there, tells nothing; None where it answered, or there is none."""
    forbidden: tuple[int, ...] = ()
    """Cards that this user, or this job of a scheduler, may not use: nothing is known of them."""
    lost: Mapping[int, str] = field(default_factory=dict)
    """Cards that cannot be asked, and the driver's words for it."""


def look(limit_s: float = LIMIT_S) -> Look:
    """Ask the driver about every card; nothing that it answers, and no silence, is an exception here."""
    if not has_library():
        return Look()
    nvml = load_nvml()
    if isinstance(nvml, str):
        return Look(driver=kernel_version(), fault=nvml)
    driver = Driver(nvml)
    found: list[Look] = []
    asking = threading.Thread(target=lambda: found.append(_look(driver)), name="nvml", daemon=True)
    asking.start()
    asking.join(limit_s)
    if found:
        return found[0]
    silent = f"NVIDIA's driver did not answer {driver.calling} for {limit_s:g} s"
    return Look(driver=kernel_version(), fault=silent)


def kernel_version(file: Path = KERNEL_DRIVER) -> str | None:
    """The driver's version as its kernel module tells it; None where none is loaded."""
    try:
        words = file.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return None
    numbers = (word for word in words if word[:1].isdigit() and "." in word)
    return next(numbers, None)


def _look(driver: Driver) -> Look:
    began = driver.ask(driver.call, "nvmlInit")
    if isinstance(began, Reason):
        return Look(driver=kernel_version(), fault=str(began))
    try:
        return _cards(driver)
    finally:
        driver.ask(driver.call, "nvmlShutdown")


def _cards(driver: Driver) -> Look:
    version = driver.ask(driver.text, "nvmlSystemGetDriverVersion")
    known = kernel_version() if isinstance(version, Reason) else printable(version)
    count = driver.ask(driver.card_count)
    if isinstance(count, Reason):
        return Look(driver=known, fault=str(count))
    cards: list[Card] = []
    forbidden: list[int] = []
    lost: dict[int, str] = {}
    for index in range(count):
        try:
            card = _card(driver, index, driver.call("nvmlDeviceGetHandleByIndex", index))
        except driver.nvml.NVMLError_NoPermission:
            forbidden.append(index)
        except Exception as error:
            lost[index] = f"NVML: {driver.calling}: {error}"
        else:
            if card.uuid is None and card.name is None:
                # A handle is given for a card that has fallen off the bus, too.
                lost[index] = card.missing["uuid"]
            else:
                cards.append(card)
    return Look(tuple(cards), known, None, tuple(forbidden), lost)


class _Questions:
    """Asks one card, or one instance, and keeps the reason of what it does not tell."""

    def __init__(self, driver: Driver, handle: Any) -> None:
        self.driver, self.handle = driver, handle
        self.missing: dict[str, str] = {}

    def ask(self, name: str, question: Callable[..., Value], *more: Any) -> Value | None:
        """The answer of the driver for the value `name`."""
        answer = self.driver.ask(question, self.handle, *more)
        if isinstance(answer, Reason):
            self.missing[name] = str(answer)
            return None
        return answer

    def number(self, name: str, top: int, function: str, *more: Any) -> int | None:
        """The same of a function of NVML that gives a whole number; one above `top` cannot be."""
        answer = self.ask(name, lambda handle: self.driver.call(function, handle, *more))
        if answer is None:
            return None
        number = int(answer)
        if number > top:
            self.missing[name] = f"NVML: {function} answered {number}, which cannot be"
            return None
        return number

    def yes(self, name: str, function: str) -> bool | None:
        """The same of one that is on or off."""
        answer = self.number(name, 1, function)
        return None if answer is None else bool(answer)

    def watts(self, name: str, function: str) -> float | None:
        """The same of one that gives milliwatts."""
        answer = self.number(name, int(MAX_W * 1000), function)
        return None if answer is None else answer / 1000


def _card(driver: Driver, index: int, handle: Any) -> Card:
    it = _Questions(driver, handle)
    total_bytes, free_bytes = _memory(it)
    computing, drawing = _processes(it)
    ecc = it.ask("ecc", lambda h: driver.call("nvmlDeviceGetEccMode", h))
    instances = it.ask("mig", driver.instances) or {}
    return Card(
        index=index,
        name=_name(it),
        uuid=_uuid(it),
        pci=it.ask("pci", lambda h: _text(driver.call("nvmlDeviceGetPciInfo", h).busId)),
        memory_bytes=total_bytes,
        free_bytes=free_bytes,
        capability=_capability(it),
        ecc=ecc[0] == driver.nvml.NVML_FEATURE_ENABLED if ecc else None,
        power_limit_w=it.watts("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit"),
        power_default_w=it.watts("power_default_w", "nvmlDeviceGetPowerManagementDefaultLimit"),
        clocks=_clocks(it),
        persistence=it.yes("persistence", "nvmlDeviceGetPersistenceMode"),
        compute_mode=_compute_mode(it),
        display=it.yes("display", "nvmlDeviceGetDisplayActive"),
        near_cpus=_near_cpus(it),
        computing=computing,
        drawing=drawing,
        instances=tuple(_instance(driver, instance) for instance in instances.values()),
        # A card may be cut up into no instance that this user may see.
        is_mig=bool(instances) or driver.ask(driver.is_cut_up, handle) is True,
        missing=it.missing,
    )


def _instance(driver: Driver, handle: Any) -> Instance:
    """`handle` is the driver's, or the reason why it gives none."""
    it = _Questions(driver, handle)
    total_bytes, free_bytes = _memory(it)
    name = _name(it)
    computing, _ = _processes(it)
    return Instance(
        name=name,
        uuid=_uuid(it),
        profile=name.partition(MIG_IN_NAME)[2] or None if name else None,
        memory_bytes=total_bytes,
        free_bytes=free_bytes,
        computing=computing,
        missing=it.missing,
    )


def _name(it: _Questions) -> str | None:
    name = it.ask("name", it.driver.name)
    return printable(name) if name else None


def _uuid(it: _Questions) -> str | None:
    """It goes into CUDA_VISIBLE_DEVICES, where a comma or a blank would part it."""
    uuid = it.ask("uuid", it.driver.uuid)
    if uuid is None or UUID.fullmatch(uuid):
        return uuid
    it.missing["uuid"] = f"NVML: nvmlDeviceGetUUID: it gives {uuid!r}, which is no UUID"
    return None


def _memory(it: _Questions) -> tuple[int | None, int | None]:
    """Bytes in all and free. Of a card that shares the machine's memory the driver tells neither."""
    memory = it.ask("memory_bytes", it.driver.memory)
    if memory is None:
        return None, None
    used_bytes = memory.used_bytes
    if isinstance(used_bytes, Reason):
        it.missing["free_bytes"] = str(used_bytes)
        return memory.total_bytes, None
    return memory.total_bytes, memory.total_bytes - int(used_bytes)


def _processes(it: _Questions) -> tuple[tuple[OnCard, ...] | None, tuple[OnCard, ...] | None]:
    """Those that compute, and those that only draw."""
    computing = it.ask("computing", it.driver.processes, "Compute")
    if computing is None:
        return None, None
    drawing = it.ask("drawing", it.driver.processes, "Graphics")
    if drawing is None:
        return tuple(computing), None
    pids = {entry.pid for entry in computing}
    return tuple(computing), tuple(entry for entry in drawing if entry.pid not in pids)


def _clocks(it: _Questions) -> Mapping[str, str] | None:
    """Clocks that somebody set, that the card comes with, and the highest there are, in MHz."""
    functions = {
        SET_CLOCK: "nvmlDeviceGetApplicationsClock",
        USUAL_CLOCK: "nvmlDeviceGetDefaultApplicationsClock",
        HIGHEST_CLOCK: "nvmlDeviceGetMaxClockInfo",
    }
    kind = it.driver.nvml.NVML_CLOCK_SM
    found = {
        name: it.number("clocks", MAX_MHZ, function, kind) for name, function in functions.items()
    }
    known = {name: str(mhz) for name, mhz in found.items() if mhz is not None}
    return known or None


def _compute_mode(it: _Questions) -> str | None:
    mode = it.number("compute_mode", len(COMPUTE_MODES) - 1, "nvmlDeviceGetComputeMode")
    return None if mode is None else COMPUTE_MODES[mode]


def _capability(it: _Questions) -> str | None:
    answer = it.ask("capability", lambda h: it.driver.call("nvmlDeviceGetCudaComputeCapability", h))
    if answer is None:
        return None
    major, minor = answer
    if max(major, minor) > MAX_CAPABILITY:
        it.missing["capability"] = f"NVML: it says {major}.{minor}, which cannot be"
        return None
    return f"{major}.{minor}"


def _near_cpus(it: _Questions) -> tuple[int, ...] | None:
    """CPUs of the socket, or part of one, that the card hangs on."""
    words = -(-(os.cpu_count() or 1) // 64)
    masks = it.ask("near_cpus", lambda h: it.driver.call("nvmlDeviceGetCpuAffinity", h, words))
    if masks is None:
        return None
    numbers = [
        64 * word + bit
        for word, mask in enumerate(masks)
        for bit in range(64)
        if int(mask) >> bit & 1
    ]
    if not numbers:
        it.missing["near_cpus"] = "NVML: nvmlDeviceGetCpuAffinity: it names no CPU"
        return None
    return tuple(numbers)


def _text(value: str | bytes) -> str:
    return printable(
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    )


def printable(text: str) -> str:
    """The text with what would steer a terminal shown as such."""
    letters = (letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return "".join(letters)


def near_text(card: Card) -> str | None:
    """The CPUs near a card as the kernel lists CPUs; None where they are not known."""
    return None if card.near_cpus is None else list_text(card.near_cpus)
