"""How long the driver takes to answer the sidecar's calls (S7, S12)."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from evenground.sidecar.nvml import Driver
from gpu_steps.bench import Bench, open_driver
from gpu_steps.report import Skip

CALLS = 100
SLOW_CALLS = 10
MAX_READING_MS = 100.0
MAX_CARDS = 8
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
    """Time of nvmlInit and of the card's handle, alone and beside another client of the driver."""
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
    """Time of every call of the sidecar's, on an idle and on a busy card.

    Raises Skip if the load ends before the calls do; errors as by `open_driver`.
    """
    driver = open_driver()
    handle = driver.call("nvmlDeviceGetHandleByUUID", bench.uuid)
    _table(bench, "idle", driver, handle)
    with bench.load("cuda", 60.0) as load:
        _table(bench, "busy", driver, handle)
        if load.poll() is not None:
            raise Skip("the load ended before the calls did")


def _table(bench: Bench, state: str, driver: Driver, handle: Any) -> None:
    """A row for every call, and one for all calls that the sidecar makes for one of its rows."""
    reading_ms = 0.0
    for name, call in _of_every_row(driver, handle).items():
        reading_ms += _spent_ms(bench, f"{state}: {name}", call, CALLS)
    all_cards_ms = reading_ms * MAX_CARDS
    figure = f"{reading_ms:.2f} ms, {all_cards_ms:.1f} ms for {MAX_CARDS} cards"
    expected = f"below {MAX_READING_MS:.0f} ms"
    asked = f"{state}: one reading for a row"
    bench.report.row(asked, figure, expected, all_cards_ms < MAX_READING_MS)
    for name, call in _of_every_second(driver, handle).items():
        _spent_ms(bench, f"{state}: {name}", call, SLOW_CALLS)


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
    }


def _spent_ms(bench: Bench, asked: str, call: Call, times: int) -> float:
    """Add a row with the median time of some calls; 0 if the card does not answer."""
    spent_ms = []
    for _ in range(times):
        began_ns = time.monotonic_ns()
        try:
            call()
        except Exception as error:
            bench.report.skip(asked, f"the driver says: {error}")
            return 0.0
        spent_ms.append((time.monotonic_ns() - began_ns) / 1e6)
    median_ms = statistics.median(spent_ms)
    bench.report.row(asked, f"{median_ms:.3f} ms, at most {max(spent_ms):.3f} ms")
    return median_ms
