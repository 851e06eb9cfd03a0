"""What NVIDIA's driver reports of the machine's cards; a missing value is None, with a reason."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from evenground.records.gpus import HIGHEST_CLOCK, SET_CLOCK, USUAL_CLOCK, CardFacts
from evenground.sidecar.cpus import list_text
from evenground.sidecar.gpu import has_library, load_nvml
from evenground.sidecar.nvml import MAX_MHZ, MAX_W, Driver, Reason
from evenground.sidecar.nvml import OnCard as OnCard

KERNEL_DRIVER = Path("/proc/driver/nvidia/version")
# nvmlInit takes seconds with cold cards, and never returns from a driver that hangs.
LIMIT_S = 60.0
# By their numbers in nvml.h.
COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")
# Between a card's name and an instance's profile: NVIDIA H100 MIG 1g.10gb.
MIG_IN_NAME = " MIG "
MAX_CAPABILITY = 99
# A UUID goes into CUDA_VISIBLE_DEVICES, where a comma or a blank would split it.
UUID = re.compile(r"(GPU|MIG)-[\w/-]+", re.ASCII)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Instance:
    """One MIG instance of a card, which an engine sees as a card."""

    uuid: str | None
    profile: str | None
    """E.g. 1g.10gb."""
    memory_bytes: int | None
    free_bytes: int | None
    computing: tuple[OnCard, ...] | None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Card(CardFacts):
    """One card, as the driver describes it; `missing` has a reason for each value of None."""

    index: int
    """As in nvidia-smi; CUDA may count in another order."""
    free_bytes: int | None = None
    near_cpus: tuple[int, ...] | None = None
    computing: tuple[OnCard, ...] | None = None
    """Processes that compute on it."""
    drawing: tuple[OnCard, ...] | None = None
    """Processes that only draw on it, as those of a desktop."""
    instances: tuple[Instance, ...] = ()
    is_mig: bool = False
    """Whether it is in MIG mode, in which only its instances can be used, not the card."""


@dataclass(frozen=True)
class Look:
    """All that the driver reports of this machine at one moment."""

    cards: tuple[Card, ...] = ()
    driver: str | None = None
    """Its version."""
    fault: str | None = None
    """Why a driver that is installed reports nothing; None if it answered or there is none."""
    forbidden: tuple[int, ...] = ()
    """Cards that this user, or this job of a scheduler, may not use: nothing is known of them."""
    lost: Mapping[int, str] = field(default_factory=dict)
    """Cards that cannot be queried, and the driver's error."""


def look(limit_s: float = LIMIT_S) -> Look:
    """Query the driver about every card; its errors, and silence, end up in the result."""
    if not has_library():
        return Look()
    nvml = load_nvml()
    if isinstance(nvml, str):
        return Look(driver=kernel_version(), fault=nvml)
    driver = Driver(nvml)
    results: list[Look] = []
    # A call that hangs in the driver cannot be interrupted, but a thread can be left behind.
    thread = threading.Thread(
        target=lambda: results.append(_look(driver)), name="nvml", daemon=True
    )
    thread.start()
    thread.join(limit_s)
    if results:
        return results[0]
    silent = f"NVIDIA's driver did not answer {driver.calling} for {limit_s:g} s"
    return Look(driver=kernel_version(), fault=silent)


def kernel_version(file: Path = KERNEL_DRIVER) -> str | None:
    """The driver's version as its kernel module reports it; None if none is loaded."""
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
    known = kernel_version()
    if not isinstance(version, Reason):
        known = printable(version)
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
            # The driver gives a handle also for a card that has fallen off the bus.
            if card.uuid is None and card.name is None:
                lost[index] = card.missing["uuid"]
            else:
                cards.append(card)
    return Look(cards=tuple(cards), driver=known, forbidden=tuple(forbidden), lost=lost)


class _Queries:
    """Queries one card or instance, and keeps the reason of each value that it does not give."""

    def __init__(self, driver: Driver, handle: Any) -> None:
        """`handle` is the driver's, or the Reason why there is none."""
        self.driver, self.handle = driver, handle
        self.missing: dict[str, str] = {}

    def read(self, name: str, function: Callable[..., Value], *args: Any) -> Value | None:
        """Return what `function` gives for the handle, as the value `name`; None if it fails."""
        answer = self.driver.ask(function, self.handle, *args)
        if isinstance(answer, Reason):
            self.missing[name] = str(answer)
            return None
        return answer

    def call(self, name: str, function: str, *args: Any) -> Any:
        """As `read`, for a function of NVML by its name."""
        return self.read(name, lambda handle: self.driver.call(function, handle, *args))

    def number(self, name: str, maximum: int, function: str, *args: Any) -> int | None:
        """As `call`, for a whole number; one above `maximum` counts as not known."""
        answer = self.call(name, function, *args)
        if answer is None:
            return None
        if int(answer) > maximum:
            self.missing[name] = f"NVML: {function} answered {int(answer)}, which cannot be"
            return None
        return int(answer)

    def is_on(self, name: str, function: str) -> bool | None:
        """As `number`, for a setting that is on or off."""
        answer = self.number(name, 1, function)
        return None if answer is None else bool(answer)

    def watts(self, name: str, function: str) -> float | None:
        """As `number`, for a function that gives milliwatts."""
        answer = self.number(name, int(MAX_W * 1000), function)
        return None if answer is None else answer / 1000


def _card(driver: Driver, index: int, handle: Any) -> Card:
    queries = _Queries(driver, handle)
    total_bytes, free_bytes = _memory(queries)
    computing, drawing = _processes(queries)
    instances = queries.read("mig", driver.instances) or {}
    return Card(
        index=index,
        name=_name(queries),
        uuid=_uuid(queries),
        pci=_pci(queries),
        memory_bytes=total_bytes,
        free_bytes=free_bytes,
        capability=_capability(queries),
        ecc=queries.is_on("ecc", "nvmlDeviceGetCurrentEccMode"),
        power_limit_w=queries.watts("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit"),
        power_default_w=queries.watts(
            "power_default_w", "nvmlDeviceGetPowerManagementDefaultLimit"
        ),
        clocks=_clocks(queries),
        persistence=queries.is_on("persistence", "nvmlDeviceGetPersistenceMode"),
        compute_mode=_compute_mode(queries),
        display=queries.is_on("display", "nvmlDeviceGetDisplayActive"),
        near_cpus=_near_cpus(queries),
        computing=computing,
        drawing=drawing,
        instances=tuple(_instance(driver, instance) for instance in instances.values()),
        # Not by the instances: in MIG mode this user may see none of them.
        is_mig=driver.ask(driver.is_cut_up, handle) is True,
        missing=queries.missing,
    )


def _instance(driver: Driver, handle: Any) -> Instance:
    queries = _Queries(driver, handle)
    total_bytes, free_bytes = _memory(queries)
    name = _name(queries) or ""
    computing, _ = _processes(queries)
    return Instance(
        uuid=_uuid(queries),
        profile=name.partition(MIG_IN_NAME)[2] or None,
        memory_bytes=total_bytes,
        free_bytes=free_bytes,
        computing=computing,
        missing=queries.missing,
    )


def _name(queries: _Queries) -> str | None:
    name = queries.read("name", queries.driver.name)
    return printable(name) if name else None


def _uuid(queries: _Queries) -> str | None:
    uuid = queries.read("uuid", queries.driver.uuid)
    if uuid is None or UUID.fullmatch(uuid):
        return uuid
    queries.missing["uuid"] = f"NVML: nvmlDeviceGetUUID: it gives {uuid!r}, which is no UUID"
    return None


def _pci(queries: _Queries) -> str | None:
    info = queries.call("pci", "nvmlDeviceGetPciInfo")
    if info is None:
        return None
    # The module `pynvml` has given bytes or text, by its version.
    if isinstance(info.busId, bytes):
        return printable(info.busId.decode("utf-8", "backslashreplace"))
    return printable(str(info.busId))


def _memory(queries: _Queries) -> tuple[int | None, int | None]:
    """Total and free bytes; both None for a card that shares the machine's memory."""
    memory = queries.read("memory_bytes", queries.driver.memory)
    if memory is None:
        return None, None
    used_bytes = memory.used_bytes
    if isinstance(used_bytes, Reason):
        queries.missing["free_bytes"] = str(used_bytes)
        return memory.total_bytes, None
    return memory.total_bytes, memory.total_bytes - int(used_bytes)


def _processes(queries: _Queries) -> tuple[tuple[OnCard, ...] | None, tuple[OnCard, ...] | None]:
    """Processes that compute, and processes that only draw."""
    computing = queries.read("computing", queries.driver.processes, "Compute")
    if computing is None:
        return None, None
    drawing = queries.read("drawing", queries.driver.processes, "Graphics")
    if drawing is None:
        return tuple(computing), None
    pids = {entry.pid for entry in computing}
    return tuple(computing), tuple(entry for entry in drawing if entry.pid not in pids)


def _clocks(queries: _Queries) -> dict[str, str] | None:
    """The SM clocks in MHz: the one that was set, the one a card comes with, and the highest."""
    functions = {
        SET_CLOCK: "nvmlDeviceGetApplicationsClock",
        USUAL_CLOCK: "nvmlDeviceGetDefaultApplicationsClock",
        HIGHEST_CLOCK: "nvmlDeviceGetMaxClockInfo",
    }
    clocks: dict[str, str] = {}
    for name, function in functions.items():
        mhz = queries.number("clocks", MAX_MHZ, function, queries.driver.nvml.NVML_CLOCK_SM)
        if mhz is not None:
            clocks[name] = str(mhz)
    return clocks or None


def _compute_mode(queries: _Queries) -> str | None:
    mode = queries.number("compute_mode", len(COMPUTE_MODES) - 1, "nvmlDeviceGetComputeMode")
    return None if mode is None else COMPUTE_MODES[mode]


def _capability(queries: _Queries) -> str | None:
    answer = queries.call("capability", "nvmlDeviceGetCudaComputeCapability")
    if answer is None:
        return None
    major, minor = answer
    if max(major, minor) > MAX_CAPABILITY:
        queries.missing["capability"] = f"NVML: it says {major}.{minor}, which cannot be"
        return None
    return f"{major}.{minor}"


def _near_cpus(queries: _Queries) -> tuple[int, ...] | None:
    """CPUs of the socket, or the part of one, that the card is connected to."""
    # The driver writes bit masks of 64 CPUs each.
    n_masks = math.ceil((os.cpu_count() or 1) / 64)
    masks = queries.call("near_cpus", "nvmlDeviceGetCpuAffinity", n_masks)
    if masks is None:
        return None
    cpus = [cpu for cpu in range(64 * len(masks)) if int(masks[cpu // 64]) >> cpu % 64 & 1]
    if not cpus:
        queries.missing["near_cpus"] = "NVML: nvmlDeviceGetCpuAffinity: it names no CPU"
        return None
    return tuple(cpus)


def printable(text: str) -> str:
    """The text with control characters escaped, which could steer a terminal."""
    shown = ""
    for letter in text:
        if letter.isprintable():
            shown += letter
        else:
            shown += ascii(letter)[1:-1]
    return shown


def near_text(card: Card) -> str | None:
    """The CPUs near a card as the kernel lists CPUs; None if they are not known."""
    return None if card.near_cpus is None else list_text(card.near_cpus)
