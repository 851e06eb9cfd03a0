"""What machine and card this is, as the driver, CUDA and the core say it."""

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

from gpu_steps.bench import MIB, ROOT, Bench, last_line, mib
from gpu_steps.report import Failed, Skip

NOBODY = 65534
MIN_UUID = 4
CLASS = """
import json
from evenground.runs.machine import this_machine
found = this_machine()
print(json.dumps([found.name, found.description]))
"""
# What CUDA calls the first card that it sees, and how many it sees.
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
    """A card, or a MIG instance of one, that engines could be given."""

    label: str
    """Index of the card, with that of the instance: `0`, `0/mig1`."""
    uuid: str
    handle: Any
    card: Any
    """Handle of the whole card."""


def facts(bench: Bench) -> None:
    """The driver, the card that was asked for by UUID, its beginning, or index, and its settings."""
    nvml = _driver(bench)
    chosen = _chosen(nvml, _handles(bench, nvml), bench.gpu)
    card = _identity(nvml, chosen)
    (bench.folder / "card.json").write_text(json.dumps(card))
    figure = f"{chosen.label}: {card['name']}, {card['uuid']}, {mib(card['total_bytes'])}"
    bench.report.row("the chosen card", figure)
    bench.report.row("its compute capability", card["capability"])
    for asked, value in _settings(nvml, chosen.card).items():
        bench.report.row(asked, value)


def _driver(bench: Bench) -> Any:
    try:
        import pynvml
    except ImportError:
        raise Skip("the Python package nvidia-ml-py is not installed for this Python") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise Failed(f"nvmlInit: {error}") from None
    cuda = pynvml.nvmlSystemGetCudaDriverVersion()
    version = pynvml.nvmlSystemGetDriverVersion()
    bench.report.row("NVIDIA driver", f"{version}, CUDA {cuda // 1000}.{cuda % 1000 // 10}")
    return pynvml


def _handles(bench: Bench, nvml: Any) -> dict[int, Any]:
    """The handles of the cards that this user may ask, by their index."""
    found, refused = {}, []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            found[index] = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError as error:
            refused.append(f"{index}: {error}")
    names = [str(nvml.nvmlDeviceGetName(handle)) for handle in found.values()]
    bench.report.row("cards", "; ".join([*names, *refused]) or "none")
    if not found:
        raise Skip("the driver gives no card")
    return found


def _chosen(nvml: Any, handles: dict[int, Any], wanted: str) -> Candidate:
    found = [one for index, card in handles.items() for one in _candidates(nvml, str(index), card)]
    for one in found:
        if wanted in ("", one.label) or (len(wanted) > MIN_UUID and one.uuid.startswith(wanted)):
            return one
    known = ", ".join(one.label for one in found)
    raise Failed(
        f"no card '{wanted}' (--gpu): give one of {known}, or a UUID as nvidia-smi -L lists them"
    )


def _candidates(nvml: Any, index: str, card: Any) -> Iterator[Candidate]:
    """The card itself; its instances where it is cut up."""
    instances = list(_instances(nvml, index, card))
    yield from instances or [Candidate(index, str(nvml.nvmlDeviceGetUUID(card)), card, card)]


def _instances(nvml: Any, index: str, card: Any) -> Iterator[Candidate]:
    try:
        mode, _ = nvml.nvmlDeviceGetMigMode(card)
        places = nvml.nvmlDeviceGetMaxMigDeviceCount(card) if mode else 0
    except nvml.NVMLError:
        return
    for place in range(places):
        with suppress(nvml.NVMLError_NotFound):
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, place)
            yield Candidate(
                f"{index}/mig{place}", str(nvml.nvmlDeviceGetUUID(handle)), handle, card
            )


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
    """How the card is set, each with the driver's reason where it does not say."""
    asks: dict[str, Callable[[], str]] = {
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
    found = {}
    for asked, ask in asks.items():
        try:
            found[asked] = ask()
        except (nvml.NVMLError, AttributeError) as error:
            found[asked] = f"not told: {error}"
    return found


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
    return f"{now_mhz} MHz, {nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM)} MHz"


def _processes(nvml: Any, handle: Any) -> str:
    computing = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return f"{len(computing)}, {len(nvml.nvmlDeviceGetGraphicsRunningProcesses(handle))}"


def core(bench: Bench) -> None:
    """The machine's class as the core names it, as this user and as one without rights (B2, S8)."""
    bench.report.attempt("the core's machine class", _class, bench)
    bench.report.attempt("the same as nobody", _class_as_nobody, bench)


def _class(bench: Bench) -> None:
    said = bench.run([bench.pythons["core"], "-c", CLASS], PYTHONPATH=str(ROOT / "src"))
    name, description = json.loads(last_line(said))
    whole = bool(bench.card) == ("-nogpu-" not in name)
    bench.report.row(
        "the core's machine class", f"{name}: {description}", "the card, if there is one", whole
    )


def _class_as_nobody(bench: Bench) -> None:
    if os.getuid() != 0:
        raise Skip("becoming nobody needs root")
    # A folder that everybody may read, in the one that everybody may enter: no other is changed.
    with tempfile.TemporaryDirectory(prefix="gpu-check-nobody-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT / "src", Path(folder, "src"))
        done = _said_to_nobody(bench, folder)
    if done.returncode:
        raise Failed(last_line(done.stderr))
    bench.report.row("the same as nobody", json.loads(last_line(done.stdout))[0], "no traceback")


def _said_to_nobody(bench: Bench, folder: str) -> subprocess.CompletedProcess[str]:
    """The machine's class in the words of a user without rights, by the core's copy in `folder`."""
    try:
        return subprocess.run(
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


def uuid(bench: Bench) -> None:
    """CUDA sees the one card that CUDA_VISIBLE_DEVICES names by its UUID, as NVML calls it (S2)."""
    said = bench.run([sys.executable, "-c", SEEN_BY_CUDA], 30.0, PYTHONPATH=str(ROOT / "src"))
    count, seen = last_line(said).split()
    same = (count, seen) == ("1", bench.uuid)
    bench.report.row(
        "cards that CUDA sees, UUID of the first", f"{count}, {seen}", "1, NVML's", same
    )
    with bench.load("context", 20.0):
        used = [_used_bytes(bench)]
    used.append(_used_bytes(bench))
    bench.report.row(
        "memory of a context that does nothing", f"{(used[0] - used[1]) / MIB:,.0f} MiB"
    )


def _used_bytes(bench: Bench) -> int:
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(bench.uuid)
    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
