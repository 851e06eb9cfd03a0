"""The calls to the NVIDIA driver: each returns a value in its unit, or raises NVMLError."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar


class Reason(str):
    """The text that says why there is no value."""


Reading = float | Reason
Asked = ParamSpec("Asked")
Value = TypeVar("Value")
VALUE_FIELDS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Members of the union nvmlValue_t in the order of the constants NVML_VALUE_TYPE_*."""


class Memory(NamedTuple):
    """Memory of a card or a MIG instance."""

    used_bytes: int
    reserved_bytes: Reading
    total_bytes: int


class OnCard(NamedTuple):
    """One entry of the driver's list of processes: a process on a card or a MIG instance of it."""

    pid: int
    instance: tuple[int, int]
    used_bytes: int | None


class Driver:
    """Asks the module `pynvml` and keeps in mind which call is under way, for the watchdog."""

    def __init__(self, nvml: Any) -> None:
        """`nvml` is the module `pynvml` or one like it."""
        self.nvml = nvml
        self.calling = "nvmlInit"
        self.answered_ns = 0
        """Monotonic time at which the last call came back."""
        self._unknown: set[str] = set()

    def ask(
        self, function: Callable[Asked, Value], *given: Asked.args, **named: Asked.kwargs
    ) -> Value | Reason:
        """What `function` returns, or the reason why it fails. Nothing that one call does ends the others."""
        try:
            return function(*given, **named)
        except Exception as error:
            return Reason(f"NVML: {self.calling}: {error}")

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one function of the module by its name."""
        self.calling = name
        try:
            return getattr(self.nvml, name)(*arguments)
        finally:
            self.answered_ns = time.monotonic_ns()

    def newest(self, names: tuple[str, ...], *arguments: Any) -> Any:
        """Call the first of `names` that both the module and the driver have."""
        for name in names[:-1]:
            if name not in self._unknown:
                try:
                    return self.call(name, *arguments)
                except (AttributeError, self.nvml.NVMLError_FunctionNotFound):
                    self._unknown.add(name)
        return self.call(names[-1], *arguments)

    def utilisation_pct(self, handle: Any) -> tuple[int, int]:
        """Share of time in which the card computed, and in which its memory was read or written."""
        rates = self.call("nvmlDeviceGetUtilizationRates", handle)
        return rates.gpu, rates.memory

    def memory(self, handle: Any) -> Memory:
        """Version 2 leaves the driver's reserve out of `used`, as nvidia-smi does; old drivers lack it."""
        name, nvml = "nvmlDeviceGetMemoryInfo", self.nvml
        too_old = (nvml.NVML_ERROR_FUNCTION_NOT_FOUND, nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        try:
            new = self.call(name, handle, nvml.nvmlMemory_v2)
            return Memory(new.used, new.reserved, new.total)
        except nvml.NVMLError as error:
            if error.value not in (*too_old, nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_INVALID_ARGUMENT):
                raise
            reason = Reason(f"NVML: {name}_v2: {error}")
        old = self.call(name, handle)
        return Memory(old.used, reason, old.total)

    def memory_total_bytes(self, handle: Any) -> int:
        """Of a card or a MIG instance."""
        return self.memory(handle).total_bytes

    def power_w(self, handle: Any) -> float:
        """Averaged by the driver, or not, as the card's kind has it."""
        return float(self.call("nvmlDeviceGetPowerUsage", handle)) / 1000

    def power_instant_w(self, handle: Any) -> float:
        """Not averaged; the field's own return code counts, the call's tells nothing of it."""
        field = (self.nvml.NVML_FI_DEV_POWER_INSTANT, 0)  # scope 0: the GPU, not a whole module
        (answer,) = self.call("nvmlDeviceGetFieldValues", handle, [field])
        if answer.nvmlReturn != self.nvml.NVML_SUCCESS:
            raise self.nvml.NVMLError(answer.nvmlReturn)
        return float(getattr(answer.value, VALUE_FIELDS[answer.valueType])) / 1000

    def energy_mj(self, handle: Any) -> int:
        """Since the driver was loaded."""
        return int(self.call("nvmlDeviceGetTotalEnergyConsumption", handle))

    def clock_mhz(self, handle: Any, kind: str) -> int:
        """`kind` is SM or MEM."""
        return int(self.call("nvmlDeviceGetClockInfo", handle, getattr(self.nvml, f"NVML_CLOCK_{kind}")))

    def throttle_reasons(self, handle: Any) -> int:
        """A bit mask."""
        new, old = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
        return int(self.newest((new, old), handle))

    def temperature_c(self, handle: Any) -> int:
        """Of the chip."""
        names = ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature")
        return int(self.newest(names, handle, self.nvml.NVML_TEMPERATURE_GPU))

    def pcie_bytes_per_s(self, handle: Any, direction: str) -> int:
        """`direction` is TX or RX. The driver counts for 20 ms and answers then."""
        counter = getattr(self.nvml, f"NVML_PCIE_UTIL_{direction}_BYTES")
        return int(self.call("nvmlDeviceGetPcieThroughput", handle, counter)) * 1000

    def processes(self, handle: Any) -> list[OnCard]:
        """Those that compute and those that draw; one that does both stands in both lists."""
        return self.computing(handle) + self.drawing(handle)

    def computing(self, handle: Any) -> list[OnCard]:
        """Processes that compute on the card."""
        return self._processes(handle, "Compute")

    def drawing(self, handle: Any) -> list[OnCard]:
        """Processes that draw on it; none where it cannot draw."""
        try:
            return self._processes(handle, "Graphics")
        except self.nvml.NVMLError_NotSupported:
            return []

    def _processes(self, handle: Any, kind: str) -> list[OnCard]:
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        return [
            OnCard(int(entry.pid), (entry.gpuInstanceId, entry.computeInstanceId), entry.usedGpuMemory)
            for entry in self.newest((f"{name}_v3", f"{name}_v2"), handle)
        ]

    def util_samples(self, handle: Any, after_us: int) -> list[tuple[int, float]]:
        """What the driver has buffered since the time stamp `after_us`: time stamp and percent, in order."""
        kind_of_sample = self.nvml.NVML_GPU_UTILIZATION_SAMPLES
        try:
            kind, samples = self.call("nvmlDeviceGetSamples", handle, kind_of_sample, after_us)
        except self.nvml.NVMLError_NotFound:  # none since then
            return []
        field = VALUE_FIELDS[kind]
        pairs = [(int(sample.timeStamp), float(getattr(sample.sampleValue, field))) for sample in samples]
        return sorted(pair for pair in pairs if pair[0] > after_us)

    def instances(self, handle: Any) -> dict[int, Any]:
        """Handles of the MIG instances by their index; none where MIG is off or unknown to the card."""
        nvml = self.nvml
        try:
            mode, _ = self.call("nvmlDeviceGetMigMode", handle)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            return {}
        found: dict[int, Any] = {}
        if mode == nvml.NVML_DEVICE_MIG_ENABLE:
            for index in range(self.call("nvmlDeviceGetMaxMigDeviceCount", handle)):
                try:
                    found[index] = self.call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
                except nvml.NVMLError_NotFound:  # indices have holes
                    continue
        return found

    def name(self, handle: Any) -> str:
        """The product's; of a MIG instance with its profile."""
        return self.text("nvmlDeviceGetName", handle)

    def uuid(self, handle: Any) -> str:
        """Of a card or a MIG instance, as in CUDA_VISIBLE_DEVICES."""
        return self.text("nvmlDeviceGetUUID", handle)

    def text(self, name: str, *arguments: Any) -> str:
        """What a function answers that gives text; bytes that are no UTF-8 are shown as such."""
        self.calling = name
        function = getattr(self.nvml, name)
        # The module's own wrapper decodes, and fails where it cannot.
        answer = getattr(function, "__wrapped__", function)(*arguments)
        self.answered_ns = time.monotonic_ns()
        return answer.decode("utf-8", "backslashreplace") if isinstance(answer, bytes) else str(answer)
