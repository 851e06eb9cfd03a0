"""The machine and its card, as the driver, CUDA and the core describe them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Candidate:
    """A card, or a MIG instance of one, that engines could compute on."""

    label: str
    """Index of the card, with that of the instance: `0`, `0/mig1`."""
    uuid: str
    handle: Any
    card: Any
    """Handle of the whole card."""


def facts(bench: Bench) -> None:
    """The driver, the chosen card, and its settings."""
    nvml = open_driver()
    cuda = nvml.nvmlSystemGetCudaDriverVersion()
    version = nvml.nvmlSystemGetDriverVersion()
    bench.report.row("NVIDIA driver", f"{version}, CUDA {cuda // 1000}.{cuda % 1000 // 10}")
    chosen = _chosen(nvml, _handles(bench, nvml), bench.gpu)
    card = _identity(nvml, chosen)
    (bench.folder / "card.json").write_text(json.dumps(card))
    figure = f"{chosen.label}: {card['name']}, {card['uuid']}, {mib(card['total_bytes'])}"
    bench.report.row("the chosen card", figure)
    bench.report.row("its compute capability", card["capability"])
    for asked, value in _settings(nvml, chosen.card).items():
        bench.report.row(asked, value)


def _handles(bench: Bench, nvml: Any) -> dict[int, Any]:
    """Index -> handle of the cards that the driver gives to this user."""
    handles: dict[int, Any] = {}
    names, refused = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handles[index] = nvml.nvmlDeviceGetHandleByIndex(index)
            names.append(str(nvml.nvmlDeviceGetName(handles[index])))
        except nvml.NVMLError as error:
            refused.append(f"{index}: {error}")
    bench.report.row("cards", "; ".join(names + refused) or "none")
    if not handles:
        raise Skip("the driver gives no card")
    return handles


def _chosen(nvml: Any, handles: dict[int, Any], wanted: str) -> Candidate:
    """The first card, or the one with this label or this beginning of its UUID."""
    candidates: list[Candidate] = []
    for index, card in handles.items():
        candidates += _candidates(nvml, str(index), card)
    for candidate in candidates:
        by_uuid = len(wanted) > MIN_UUID and candidate.uuid.startswith(wanted)
        if by_uuid or wanted in ("", candidate.label):
            return candidate
    known = ", ".join(candidate.label for candidate in candidates)
    raise Failed(
        f"no card '{wanted}' (--gpu): give one of {known}, or a UUID as nvidia-smi -L lists them"
    )


def _candidates(nvml: Any, index: str, card: Any) -> list[Candidate]:
    """The card itself, or its MIG instances if it has any."""
    handles = dict(_instances(nvml, index, card)) or {index: card}
    candidates = []
    for label, handle in handles.items():
        uuid = str(nvml.nvmlDeviceGetUUID(handle))
        candidates.append(Candidate(label=label, uuid=uuid, handle=handle, card=card))
    return candidates


def _instances(nvml: Any, index: str, card: Any) -> Iterator[tuple[str, Any]]:
    """Label and handle of each MIG instance."""
    try:
        mode, _ = nvml.nvmlDeviceGetMigMode(card)
        if not mode:
            return
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(card)
    except nvml.NVMLError:
        # Most cards have no MIG.
        return
    for number in range(count):
        with suppress(nvml.NVMLError_NotFound):
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
            yield f"{index}/mig{number}", handle


def _identity(nvml: Any, chosen: Candidate) -> dict[str, Any]:
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(chosen.card)
    return {
        "label": chosen.label,
        "uuid": chosen.uuid,
        "name": str(nvml.nvmlDeviceGetName(chosen.handle)),
        "total_bytes": int(nvml.nvmlDeviceGetMemoryInfo(chosen.handle).total),
        "capability": f"{major}.{minor}",
    }


def _settings(nvml: Any, handle: Any) -> dict[str, str]:
    """The card's settings, each as a text; the driver's reason if it does not tell one."""
    queries: dict[str, Callable[[], str]] = {
        "memory used and reserved": lambda: _memory(nvml, handle),
        "power limit, default": lambda: _power(nvml, handle),
        "persistence mode": lambda: _on(nvml.nvmlDeviceGetPersistenceMode(handle)),
        "compute mode (0: default)": lambda: str(nvml.nvmlDeviceGetComputeMode(handle)),
        "ECC": lambda: _on(nvml.nvmlDeviceGetEccMode(handle)[0]),
        "MIG": lambda: _on(nvml.nvmlDeviceGetMigMode(handle)[0]),
        "a screen is lit by it": lambda: _on(nvml.nvmlDeviceGetDisplayActive(handle)),
        "SM clock now, at most": lambda: _clocks(nvml, handle),
        "processes that compute, that draw": lambda: _processes(nvml, handle),
    }
    settings = {}
    for name, query in queries.items():
        try:
            settings[name] = query()
        # AttributeError: a function that this version of nvidia-ml-py does not have.
        except (nvml.NVMLError, AttributeError) as error:
            settings[name] = f"not told: {error}"
    return settings


def _on(mode: int) -> str:
    return "on" if mode else "off"


def _memory(nvml: Any, handle: Any) -> str:
    info = nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2)
    return f"{mib(info.used)}, {mib(info.reserved)}"


def _power(nvml: Any, handle: Any) -> str:
    limit_mw = nvml.nvmlDeviceGetPowerManagementLimit(handle)
    default_mw = nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
    return f"{limit_mw / 1000:.0f} W, {default_mw / 1000:.0f} W"


def _clocks(nvml: Any, handle: Any) -> str:
    now_mhz = nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
    max_mhz = nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)
    return f"{now_mhz} MHz, {max_mhz} MHz"


def _processes(nvml: Any, handle: Any) -> str:
    computing = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    drawing = nvml.nvmlDeviceGetGraphicsRunningProcesses(handle)
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
    nvml = open_driver()
    handle = nvml.nvmlDeviceGetHandleByUUID(bench.uuid)
    return int(nvml.nvmlDeviceGetMemoryInfo(handle).used)
