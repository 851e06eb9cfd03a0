"""GPU, VRAM and power of the whole machine through NVML, in a thread that may hang without harm."""

from __future__ import annotations

import ctypes
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from evenground.sidecar.columns import GPU_COLUMNS

LIBRARY: Final = "libnvidia-ml.so.1"
STALE_PERIODS: Final = 5
STALE_AT_LEAST_NS: Final = 250_000_000
LEAD_NS: Final = 20_000_000
Reading = float | str
"""A value, or as text the reason why there is none."""


def load_nvml() -> Any:
    """The module `pynvml`; text with the reason where the driver's library or the module is missing.

    Without the library nothing is imported: the import costs 0.1 s of CPU that a machine without a
    GPU need not pay.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no NVIDIA driver library on this machine ({LIBRARY})"
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return "the Python package nvidia-ml-py is not installed beside the sidecar"


class Gpu:
    """The latest values, kept up by a thread of its own; `read` never waits for the driver."""

    def __init__(self, nvml: Any, period_ns: int) -> None:
        """`nvml` is the module `pynvml` (or one like it), `period_ns` the time between two rows."""
        self._nvml, self._period_ns = nvml, period_ns
        self._stale_ns = max(STALE_PERIODS * period_ns, STALE_AT_LEAST_NS)
        self._stop = threading.Event()
        self._calling = "nvmlInit"
        self._dead = ""
        self._first_ns = 0
        self._latest: dict[str, tuple[int, Reading]] = {}
        self.cards: list[dict[str, str | int]] = []

    def start(self, first_row_ns: int) -> None:
        """Begin reading a little before every row; `first_row_ns` is the monotonic time of a row."""
        self._first_ns = first_row_ns
        threading.Thread(target=self._run, name="sidecar-gpu", daemon=True).start()

    def read(self, now_ns: int) -> dict[str, Reading]:
        """The values of the three GPU columns at monotonic time `now_ns`, or reasons."""
        return {column: self._read_one(column, now_ns) for column in GPU_COLUMNS}

    def _read_one(self, column: str, now_ns: int) -> Reading:
        if self._dead:
            return self._dead
        at_ns, value = self._latest.get(column, (self._first_ns, "the NVIDIA driver has not answered yet"))
        if now_ns - at_ns > self._stale_ns:
            return f"the NVIDIA driver did not answer {self._calling} for over {self._stale_ns / 1e9:g} s"
        return value

    def stop(self) -> None:
        """Ask the thread to end; it is not waited for, it may hang in the driver."""
        self._stop.set()

    def _run(self) -> None:
        nvml = self._nvml
        try:
            nvml.nvmlInit()
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(self._call("nvmlDeviceGetCount"))]
            self.cards = [self._describe(i, handle) for i, handle in enumerate(handles)]
        except nvml.NVMLError as error:
            self._dead = f"NVML: {error}"
            return
        if not handles:
            self._dead = "the NVIDIA driver knows no card on this machine"
            return
        self._loop(handles, self._memory_call(handles))
        nvml.nvmlShutdown()

    def _loop(self, handles: list[Any], memory: Callable[[Any], float]) -> None:
        reads: dict[str, tuple[Callable[[Any], float], Callable[[list[float]], float]]] = {
            "gpu_util_pct": (lambda h: float(self._call("nvmlDeviceGetUtilizationRates", h).gpu), _mean),
            "vram_used_bytes": (memory, sum),
            "gpu_power_w": (lambda h: float(self._call("nvmlDeviceGetPowerUsage", h)) / 1000, sum),
        }
        while True:
            for column, (one, over_cards) in reads.items():
                self._latest[column] = (time.monotonic_ns(), self._over_cards(handles, one, over_cards))
            if self._stop.wait(self._until_next_s()):
                return

    def _over_cards(
        self, handles: list[Any], one: Callable[[Any], float], over_cards: Callable[[list[float]], float]
    ) -> Reading:
        try:
            return over_cards([one(handle) for handle in handles])
        except self._nvml.NVMLError as error:
            return f"NVML: {self._calling}: {error}"

    def _call(self, name: str, *arguments: Any) -> Any:
        self._calling = name
        return getattr(self._nvml, name)(*arguments)

    def _memory_call(self, handles: list[Any]) -> Callable[[Any], float]:
        """Version 2 leaves the driver's reserve out of `used`, as nvidia-smi does; old drivers lack it."""
        name, version = "nvmlDeviceGetMemoryInfo", self._nvml.nvmlMemory_v2
        try:
            for handle in handles:
                self._call(name, handle, version)
        except self._nvml.NVMLError:
            return lambda handle: int(self._call(name, handle).used)
        return lambda handle: int(self._call(name, handle, version).used)

    def _describe(self, index: int, handle: Any) -> dict[str, str | int]:
        return {"index": index, "name": str(self._call("nvmlDeviceGetName", handle))}

    def _until_next_s(self) -> float:
        """Seconds until shortly before the next row, so that the row finds a fresh value."""
        lead = min(LEAD_NS, self._period_ns // 4)
        since = time.monotonic_ns() - self._first_ns + lead
        return (self._period_ns - since % self._period_ns) / 1e9


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
