"""The machine and its card, as the driver, CUDA and the core describe them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evenground.sidecar.gpu_card import Card, Counted
from evenground.sidecar.gpu_reader import find_cards
from evenground.sidecar.nvml import Driver
from gpu_steps.bench import MIB, ROOT, Bench, last_line, mib, open_driver
from gpu_steps.report import Failed, Skip

# The user without rights on all systems.
NOBODY = 65534
MIN_UUID = 4
CLASS = """
import json
from evenground.runs.machine import this_machine
machine = this_machine()
print(json.dumps([machine.name, machine.description]))
"""
# The number of cards that CUDA sees, and the UUID of the first.
SEEN_BY_CUDA = """
import ctypes
from evenground.sidecar.calibration import gpu_load
cuda, count = ctypes.CDLL(gpu_load.LIBRARY), ctypes.c_int()
uuid = gpu_load.Card(cuda).uuid()
assert cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
print(count.value, uuid)
"""


def facts(bench: Bench) -> None:
    """The driver, its cards, the chosen one and its settings.

    Raises as `open_driver`; Skip if there is no card, Failed if none can be chosen.
    """
    driver = open_driver()
    cuda = driver.call("nvmlSystemGetCudaDriverVersion")
    version = driver.text("nvmlSystemGetDriverVersion")
    bench.report.row("NVIDIA driver", f"{version}, CUDA {cuda // 1000}.{cuda % 1000 // 10}")
    cards = find_cards(driver)
    bench.report.row("cards, those given to this user", f"{driver.card_count()}, {len(cards)}")
    for card in cards:
        about = card.about()
        figure = f"{about['name']}; not told: {about['missing'] or 'nothing'}"
        bench.report.row(f"card {card.text}", figure)
    if not cards:
        raise Skip("the driver gives no card")
    chosen = _chosen(cards, bench.gpu)
    known = chosen.facts
    (bench.folder / "card.json").write_text(json.dumps(known))
    figure = f"{chosen.text}: {known['name']}, {known['uuid']}, {known['memory_total_bytes']} B"
    bench.report.row("the chosen card", figure)
    handle = driver.call("nvmlDeviceGetHandleByIndex", int(chosen.card.text))
    for asked, query in _settings(driver, handle).items():
        bench.report.row(asked, driver.ask(query))


def _chosen(cards: Sequence[Card], wanted: str) -> Counted:
    """The first card or MIG instance, or the one with this label or this beginning of its UUID.

    A card that has MIG instances, or no UUID, is not taken.
    """
    devices: list[Counted] = []
    for card in cards:
        devices += card.instances or [card]
    devices = [device for device in devices if device.facts["uuid"]]
    if not devices:
        raise Failed("no card tells its UUID: the rows above say why")
    for device in devices:
        by_uuid = len(wanted) > MIN_UUID and device.facts["uuid"].startswith(wanted)
        if by_uuid or wanted in ("", device.text):
            return device
    known = ", ".join(device.text for device in devices)
    raise Failed(
        f"no card '{wanted}' (--gpu): give one of {known}, or a UUID as nvidia-smi -L lists them"
    )


def _settings(driver: Driver, handle: Any) -> dict[str, Callable[[], str]]:
    """Name of each setting -> the call that returns it as a text."""
    call = driver.call
    return {
        "its compute capability": lambda: _capability(driver, handle),
        "memory used and reserved": lambda: _memory(driver, handle),
        "power limit, default": lambda: _power(driver, handle),
        "persistence mode": lambda: _on(call("nvmlDeviceGetPersistenceMode", handle)),
        "compute mode (0: default)": lambda: str(call("nvmlDeviceGetComputeMode", handle)),
        "ECC": lambda: _on(call("nvmlDeviceGetEccMode", handle)[0]),
        "MIG": lambda: _on(driver.is_cut_up(handle)),
        "a screen is lit by it": lambda: _on(call("nvmlDeviceGetDisplayActive", handle)),
        "SM clock now, at most": lambda: _clocks(driver, handle),
        "processes that compute, that draw": lambda: _processes(driver, handle),
    }


def _on(mode: int) -> str:
    return "on" if mode else "off"


def _capability(driver: Driver, handle: Any) -> str:
    major, minor = driver.call("nvmlDeviceGetCudaComputeCapability", handle)
    return f"{major}.{minor}"


def _memory(driver: Driver, handle: Any) -> str:
    info = driver.call("nvmlDeviceGetMemoryInfo", handle, driver.nvml.nvmlMemory_v2)
    return f"{mib(info.used)}, {mib(info.reserved)}"


def _power(driver: Driver, handle: Any) -> str:
    limit_mw = driver.call("nvmlDeviceGetPowerManagementLimit", handle)
    default_mw = driver.call("nvmlDeviceGetPowerManagementDefaultLimit", handle)
    return f"{limit_mw / 1000:.0f} W, {default_mw / 1000:.0f} W"


def _clocks(driver: Driver, handle: Any) -> str:
    max_mhz = driver.call("nvmlDeviceGetMaxClockInfo", handle, driver.nvml.NVML_CLOCK_SM)
    return f"{driver.clock_mhz(handle, 'SM')} MHz, {max_mhz} MHz"


def _processes(driver: Driver, handle: Any) -> str:
    computing = driver.processes(handle, "Compute")
    drawing = driver.processes(handle, "Graphics")
    return f"{len(computing)}, {len(drawing)}"


def core(bench: Bench) -> None:
    """The machine class as the core names it, for this user and for one without rights (B2, S8)."""
    bench.report.attempt("the core's machine class", _class, bench)
    bench.report.attempt("the same as nobody", _class_as_nobody, bench)


def _class(bench: Bench) -> None:
    printed = bench.run([bench.pythons["core"], "-c", CLASS], PYTHONPATH=str(ROOT / "src"))
    name, description = json.loads(last_line(printed))
    good = bool(bench.card) == ("-nogpu-" not in name)
    figure = f"{name}: {description}"
    bench.report.row("the core's machine class", figure, "the card, if there is one", good)


def _class_as_nobody(bench: Bench) -> None:
    if os.getuid() != 0:
        raise Skip("becoming nobody needs root")
    # The working copy may be in a folder that others cannot enter. No folder's rights are changed:
    # a copy of the core is put where every user may read it.
    with tempfile.TemporaryDirectory(prefix="gpu-check-nobody-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT / "src", Path(folder, "src"))
        try:
            done = subprocess.run(
                [bench.pythons["core"], "-c", CLASS],
                env=bench.env(PYTHONPATH=f"{folder}/src", HOME="/", TMPDIR="/tmp"),
                cwd="/",
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                capture_output=True,
                text=True,
                timeout=30,
            )
        except PermissionError:
            raise Skip("nobody may not execute the interpreter") from None
    if done.returncode:
        raise Failed(last_line(done.stderr))
    name, _ = json.loads(last_line(done.stdout))
    bench.report.row("the same as nobody", name, "no traceback")


def uuid(bench: Bench) -> None:
    """Whether CUDA sees only the card that CUDA_VISIBLE_DEVICES names by NVML's UUID (S2)."""
    code = [sys.executable, "-c", SEEN_BY_CUDA]
    count, seen = last_line(bench.run(code, 30.0, PYTHONPATH=str(ROOT / "src"))).split()
    good = count == "1" and seen == bench.uuid
    asked = "cards that CUDA sees, UUID of the first"
    bench.report.row(asked, f"{count}, {seen}", "1, NVML's", good)
    with bench.load("context", 20.0):
        with_context = _used_bytes(bench)
    context_mib = (with_context - _used_bytes(bench)) / MIB
    bench.report.row("memory of a context that does nothing", f"{context_mib:,.0f} MiB")


def _used_bytes(bench: Bench) -> int:
    driver = open_driver()
    handle = driver.call("nvmlDeviceGetHandleByUUID", bench.uuid)
    return int(driver.call("nvmlDeviceGetMemoryInfo", handle).used)
