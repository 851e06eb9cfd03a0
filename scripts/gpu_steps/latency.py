"""How long the driver takes to answer what the sidecar asks (S7, S12)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from evenground.sidecar.nvml import Driver
from gpu_steps.bench import Bench, median
from gpu_steps.report import Skip

CALLS = 100
# They count for 20 ms each before they answer.
PCIE_CALLS = 10
READING_AT_MOST_MS = 100.0
CARDS_AT_MOST = 8
OPEN = """
import sys, time
import pynvml
began = time.monotonic()
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByUUID(sys.argv[1])
print(time.monotonic() - began)
"""
Call = Callable[[], Any]


def opening(bench: Bench) -> None:
    """nvmlInit and the card's handle, alone and beside another client that holds the driver."""
    alone_s = [_open_s(bench) for _ in range(3)]
    with bench.load("context", 30.0):
        beside_s = [_open_s(bench) for _ in range(3)]
    figure = f"{_ms(alone_s)} ms alone, {_ms(beside_s)} ms beside a process with a context"
    bench.report.row("nvmlInit and handle, three times", figure, "below 1000 ms", max(alone_s) < 1)


def _open_s(bench: Bench) -> float:
    return float(bench.run([sys.executable, "-c", OPEN, bench.uuid], 40.0))


def _ms(times_s: list[float]) -> str:
    return ", ".join(f"{time_s * 1000:.1f}" for time_s in times_s)


def calls(bench: Bench) -> None:
    """Every call of the sidecar's, on an idle and on a busy card."""
    try:
        import pynvml
    except ImportError:
        raise Skip("the Python package nvidia-ml-py is not installed for this Python") from None
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(bench.uuid)
    driver = Driver(pynvml)
    _table(bench, "idle", driver, handle)
    with bench.load("cuda", 60.0) as load:
        _table(bench, "busy", driver, handle)
        _refuse_ended(load)


def _refuse_ended(load: subprocess.Popen[str]) -> None:
    if load.poll() is not None:
        raise Skip("the load ended before the calls did")


def _table(bench: Bench, state: str, driver: Driver, handle: Any) -> None:
    """A row for every call, and one for what all calls of a row of the sidecar's take."""
    reading_ms = 0.0
    for name, ask in _of_every_row(driver, handle).items():
        spent_ms = _spent_ms(bench, f"{state}: {name}", ask, CALLS)
        reading_ms += spent_ms or 0.0
    whole = reading_ms * CARDS_AT_MOST < READING_AT_MOST_MS
    figure = f"{reading_ms:.2f} ms, {reading_ms * CARDS_AT_MOST:.1f} ms for {CARDS_AT_MOST} cards"
    bench.report.row(
        f"{state}: one reading for a row", figure, f"below {READING_AT_MOST_MS:.0f} ms", whole
    )
    for name, ask in _of_every_second(driver, handle).items():
        _spent_ms(bench, f"{state}: {name}", ask, PCIE_CALLS)


def _of_every_row(driver: Driver, handle: Any) -> dict[str, Call]:
    return {
        "utilisation": lambda: driver.utilisation_pct(handle),
        "memory": lambda: driver.memory(handle),
        "power": lambda: driver.power_w(handle),
        "instant power": lambda: driver.power_instant_w(handle),
        "energy": lambda: driver.energy_mj(handle),
        "SM clock": lambda: driver.clock_mhz(handle, "SM"),
        "memory clock": lambda: driver.clock_mhz(handle, "MEM"),
        "reasons of clocks": lambda: driver.throttle_reasons(handle),
    }


def _of_every_second(driver: Driver, handle: Any) -> dict[str, Call]:
    return {
        "temperature": lambda: driver.temperature_c(handle),
        "processes": lambda: driver.processes(handle, "Compute", driver.memory_total_bytes(handle)),
        "buffered utilisation": lambda: driver.util_samples(handle, 0),
        "PCIe throughput": lambda: driver.pcie_bytes_per_s(handle, "TX"),
    }


def _spent_ms(bench: Bench, asked: str, ask: Call, times: int) -> float | None:
    """The middle time of some calls, as a row with the longest; None where the card does not answer."""
    spent_ms = []
    for _ in range(times):
        began_ns = time.monotonic_ns()
        try:
            ask()
        except Exception as error:
            bench.report.skip(asked, f"the driver says: {error}")
            return None
        spent_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    middle_ms = median(spent_ms)
    bench.report.row(asked, f"{middle_ms:.3f} ms, at most {max(spent_ms):.3f} ms")
    return middle_ms
