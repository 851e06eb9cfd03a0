"""The calls to the NVIDIA driver: each returns a value in its unit, or raises NVMLError or Implausible."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar


class Reason(str):
    """The text that says why there is no value."""


class Implausible(ValueError):
    """A number that cannot be: how a driver writes "not known", or garbage. The text says what it is not."""


Reading = float | Reason
Asked = ParamSpec("Asked")
Value = TypeVar("Value")
Number = TypeVar("Number", int, float)
VALUE_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Members of the union nvmlValue_t in the order of the constants NVML_VALUE_TYPE_*."""
MAX_W = 10_000.0
MAX_MHZ = 100_000
MAX_BYTES = 2**50
MAX_BYTES_PER_S = 10**12
MAX_MJ = 2**63
TEMPERATURES_C = (-100, 200)
ALL_BITS = 2**32 - 1
MAX_CARDS = 1024
MAX_INSTANCES = 64
MAX_PROCESSES = 100_000


class Memory(NamedTuple):
    """Memory of a card or a MIG instance."""

    used_bytes: Reading
    reserved_bytes: Reading
    total_bytes: int


class OnCard(NamedTuple):
    """One entry of the driver's list of processes: a process on a card or a MIG instance of it."""

    pid: int
    instance: tuple[int, int]
    used_bytes: int | None
    """None where the driver does not tell it, or tells more than there is."""


class LongEntry(ctypes.Structure):
    """An entry of the `_v3` lists of processes in the drivers 535.43 to 535.98 alone."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("usedGpuMemory", ctypes.c_ulonglong),
        ("gpuInstanceId", ctypes.c_uint),
        ("computeInstanceId", ctypes.c_uint),
        ("usedGpuCcProtectedMemory", ctypes.c_ulonglong),
    )


class Driver:
    """Asks the module `pynvml` and keeps in mind which call is under way, for the watchdog."""

    def __init__(self, nvml: Any) -> None:
        """`nvml` is the module `pynvml` or one like it."""
        self.nvml = nvml
        self.calling = "nvmlInit"
        self.answered_ns = 0
        """Monotonic time at which the last call came back."""
        self._unknown: set[str] = set()
        self._long_entries: bool | None = None

    def ask(
        self, function: Callable[Asked, Value], *given: Asked.args, **named: Asked.kwargs
    ) -> Value | Reason:
        """What `function` returns, or the reason why it fails. Nothing that one call does ends the others.

        In the place of a handle may stand the reason why there is none.
        """
        for one in given:
            if isinstance(one, Reason):
                return one
        try:
            return function(*given, **named)
        except Exception as error:
            return self.why(error)

    def why(self, error: Exception) -> Reason:
        """The reason that an error of the newest call is."""
        return Reason(f"NVML: {self.calling}: {str(error) or type(error).__name__}")

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

    def card_count(self) -> int:
        """Of the machine, also of those that this user may not open."""
        return within(int(self.call("nvmlDeviceGetCount")), 0, MAX_CARDS, "number of cards")

    def utilisation_pct(self, handle: Any) -> tuple[Reading, Reading]:
        """Share of time in which the card computed, and in which its memory was read or written."""
        rates = self.call("nvmlDeviceGetUtilizationRates", handle)
        return self._part(rates.gpu, 100, "share in %"), self._part(rates.memory, 100, "share in %")

    def memory(self, handle: Any) -> Memory:
        """Version 2 leaves the driver's reserve out of `used`, as nvidia-smi does; old drivers lack it."""
        name, nvml = "nvmlDeviceGetMemoryInfo", self.nvml
        too_old = (nvml.NVML_ERROR_FUNCTION_NOT_FOUND, nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH)
        try:
            new = self.call(name, handle, nvml.nvmlMemory_v2)
            return self._memory(new.total, new.used, new.reserved)
        except nvml.NVMLError as error:
            if error.value not in (
                *too_old,
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_INVALID_ARGUMENT,
            ):
                raise
            reason = Reason(f"NVML: {name}_v2: {error}")
        old = self.call(name, handle)
        return self._memory(old.total, old.used, reason)

    def memory_total_bytes(self, handle: Any) -> int:
        """Of a card or a MIG instance."""
        return self.memory(handle).total_bytes

    def power_w(self, handle: Any) -> float:
        """Averaged by the driver, or not, as the card's kind has it."""
        return _watts(float(self.call("nvmlDeviceGetPowerUsage", handle)) / 1000)

    def power_instant_w(self, handle: Any) -> float:
        """Not averaged; the field's own return code counts, the call's tells nothing of it."""
        field = (self.nvml.NVML_FI_DEV_POWER_INSTANT, 0)  # scope 0: the GPU, not a whole module
        (answer,) = self.call("nvmlDeviceGetFieldValues", handle, [field])
        if answer.nvmlReturn != self.nvml.NVML_SUCCESS:
            raise self.nvml.NVMLError(answer.nvmlReturn)
        return _watts(float(getattr(answer.value, _field_of(answer.valueType))) / 1000)

    def energy_mj(self, handle: Any) -> int:
        """Since the driver was loaded."""
        counter_mj = int(self.call("nvmlDeviceGetTotalEnergyConsumption", handle))
        return within(counter_mj, 0, MAX_MJ, "energy in mJ")

    def clock_mhz(self, handle: Any, kind: str) -> int:
        """`kind` is SM or MEM."""
        mhz = int(
            self.call("nvmlDeviceGetClockInfo", handle, getattr(self.nvml, f"NVML_CLOCK_{kind}"))
        )
        return within(mhz, 0, MAX_MHZ, "clock in MHz")

    def throttle_reasons(self, handle: Any) -> int:
        """A bit mask."""
        new, old = (
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
        )
        return within(int(self.newest((new, old), handle)), 0, ALL_BITS - 1, "mask of reasons")

    def temperature_c(self, handle: Any) -> int:
        """Of the chip."""
        names = ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature")
        celsius = int(self.newest(names, handle, self.nvml.NVML_TEMPERATURE_GPU))
        return within(celsius, *TEMPERATURES_C, "temperature in °C")

    def pcie_bytes_per_s(self, handle: Any, direction: str) -> int:
        """`direction` is TX or RX. The driver counts for 20 ms and answers then."""
        counter = getattr(self.nvml, f"NVML_PCIE_UTIL_{direction}_BYTES")
        bytes_per_s = int(self.call("nvmlDeviceGetPcieThroughput", handle, counter)) * 1000
        return within(bytes_per_s, 0, MAX_BYTES_PER_S, "throughput in B/s")

    def processes(self, handle: Any, kind: str, total_bytes: int = MAX_BYTES) -> list[OnCard]:
        """Those that compute (`kind` Compute) or draw (Graphics) on something with so much memory.

        None draws on a card that cannot.
        """
        try:
            listed = self._processes(handle, kind)
        except self.nvml.NVMLError_NotSupported:
            if kind == "Graphics":
                return []
            raise
        return [
            OnCard(
                int(entry.pid),
                (entry.gpuInstanceId, entry.computeInstanceId),
                _at_most(entry.usedGpuMemory, total_bytes),
            )
            for entry in listed
        ]

    def util_samples(self, handle: Any, after_us: int) -> list[tuple[int, float]]:
        """What the driver has buffered since the time stamp `after_us`: time stamp and percent, in order."""
        kind_of_sample = self.nvml.NVML_GPU_UTILIZATION_SAMPLES
        try:
            kind, samples = self.call("nvmlDeviceGetSamples", handle, kind_of_sample, after_us)
        except self.nvml.NVMLError_NotFound:  # none since then
            return []
        field = _field_of(kind)
        pairs = [
            (int(sample.timeStamp), float(getattr(sample.sampleValue, field))) for sample in samples
        ]
        return sorted((at_us, pct) for at_us, pct in pairs if at_us > after_us and 0 <= pct <= 100)

    def is_cut_up(self, handle: Any) -> bool:
        """Whether the card is in MIG mode; one that has no such mode is not."""
        nvml = self.nvml
        try:
            mode, _ = self.call("nvmlDeviceGetMigMode", handle)
        except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
            return False
        return bool(mode == nvml.NVML_DEVICE_MIG_ENABLE)

    def instances(self, handle: Any) -> dict[int, Any]:
        """Handles of the MIG instances by their index, or the reason why one has none.

        None where MIG is off or unknown to the card; those that this user may not open are left out.
        """
        if not self.is_cut_up(handle):
            return {}
        most = int(self.call("nvmlDeviceGetMaxMigDeviceCount", handle))
        indices = range(within(most, 0, MAX_INSTANCES, "number of MIG instances"))
        found = {index: self._instance(handle, index) for index in indices}
        return {index: instance for index, instance in found.items() if instance is not None}

    def name(self, handle: Any) -> str:
        """The product's; of a MIG instance with its profile."""
        return self.text("nvmlDeviceGetName", handle)

    def uuid(self, handle: Any) -> str:
        """Of a card or a MIG instance, as in CUDA_VISIBLE_DEVICES."""
        return self.text("nvmlDeviceGetUUID", handle)

    def text(self, name: str, *arguments: Any) -> str:
        """What a function answers that gives text; bytes that are no UTF-8 are shown as such."""
        try:
            return str(self.call(name, *arguments))
        except UnicodeDecodeError as error:
            return bytes(error.object).decode("utf-8", "backslashreplace")

    def _instance(self, handle: Any, index: int) -> Any:
        nvml = self.nvml
        try:
            return self.call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        except (nvml.NVMLError_NotFound, nvml.NVMLError_NoPermission):  # indices have holes
            return None
        except nvml.NVMLError as error:
            return self.why(error)

    def _memory(self, total: int, used: int, reserved: int | Reason) -> Memory:
        total = within(int(total), 1, MAX_BYTES, "size of a memory in B")
        part = "part of its memory in B"
        return Memory(
            self._part(used, total, part),
            reserved if isinstance(reserved, Reason) else self._part(reserved, total, part),
            total,
        )

    def _part(self, value: int, most: int, what: str) -> Reading:
        return self.ask(within, int(value), 0, int(most), what)

    def _processes(self, handle: Any, kind: str) -> list[Any]:
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        if self._has_long_entries(handle):
            return self._list_long(f"{name}_v3", handle)
        return list(self.newest((f"{name}_v3", f"{name}_v2"), handle))

    def _has_long_entries(self, handle: Any) -> bool:
        """Whether entries have 32 bytes: such a driver has the one of these functions and not the other."""
        if self._long_entries is None:
            version = getattr(self.nvml, "nvmlProcessDetailList_v1", 0)
            protects = self._has("nvmlDeviceGetConfComputeMemSizeInfo", handle)
            details = self._has("nvmlDeviceGetRunningProcessDetailList", handle, version, 0)
            self._long_entries = protects and not details
        return self._long_entries

    def _has(self, name: str, *arguments: Any) -> bool:
        """Whether the driver has a function, whatever it answers (and the module makes of that)."""
        if not hasattr(self.nvml, name):
            return False
        try:
            self.call(name, *arguments)
        except self.nvml.NVMLError_FunctionNotFound:
            return False
        except Exception:
            return True
        return True

    def _list_long(self, name: str, handle: Any) -> list[Any]:
        """What the module does for a list, with the longer entries."""
        nvml, count = self.nvml, ctypes.c_uint(0)
        self.calling, function = name, getattr(self.nvml.nvmlLib, name)
        status = function(handle, ctypes.byref(count), None)
        if status == nvml.NVML_ERROR_INSUFFICIENT_SIZE:
            room = 2 * within(count.value, 0, MAX_PROCESSES, "number of processes") + 5
            count, entries = ctypes.c_uint(room), (LongEntry * room)()
            status = function(handle, ctypes.byref(count), entries)
            if status == nvml.NVML_SUCCESS:
                return list(entries[: count.value])
        self.answered_ns = time.monotonic_ns()
        if status != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(status)
        return []


def within(value: Number, least: float, most: float, what: str) -> Number:
    """`value` where it lies between the two; Implausible where it does not, or is no number."""
    if not least <= value <= most:
        raise Implausible(f"answered {value:.15g}, which is no {what}")
    return value


def _watts(power_w: float) -> float:
    return within(power_w, 0.0, MAX_W, "power in W")


def _at_most(used: int | None, total_bytes: int) -> int | None:
    return None if used is None or used > total_bytes else int(used)


def _field_of(kind: int) -> str:
    return VALUE_FIELDS[within(int(kind), 0, len(VALUE_FIELDS) - 1, "type of a value")]
