"""Calls to the NVIDIA driver: each returns a value in its unit, or raises an error."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar


class Reason(str):
    """The text that says why there is no value."""


class Implausible(ValueError):
    """A number out of any range: how a driver writes "not known", or garbage."""


Reading = float | Reason
Value = TypeVar("Value")
Number = TypeVar("Number", int, float)
# Members of the union nvmlValue_t in the order of the constants NVML_VALUE_TYPE_*.
VALUE_FIELDS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
# No card has more: a larger number is how a driver writes "not known", mostly with all bits set.
MAX_W = 10_000.0
MAX_MHZ = 100_000
MAX_BYTES = 2**50
MAX_MJ = 2**63
MIN_C = -100
MAX_C = 200
MAX_MASK = 2**32 - 2
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
    """None if the driver does not report it, or reports more than there is."""


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
    """Calls the module `pynvml` and keeps in mind which call is under way, for the watchdog."""

    def __init__(self, nvml: Any) -> None:
        """`nvml` is the module `pynvml` or one like it."""
        self.nvml = nvml
        self.calling = "nvmlInit"
        # Monotonic time at which the last call came back.
        self.answered_ns = 0
        self._unknown: set[str] = set()
        self._long_entries: bool | None = None

    def ask(self, function: Callable[..., Value], *args: Any) -> Value | Reason:
        """What `function` returns, or the reason why it fails: no failure affects other calls.

        An argument, e.g. a handle, may be the reason why there is none.
        """
        for argument in args:
            if isinstance(argument, Reason):
                return argument
        try:
            return function(*args)
        except Exception as error:
            return self.why(error)

    def why(self, error: Exception) -> Reason:
        """An error of the newest call as a reason."""
        return Reason(f"NVML: {self.calling}: {str(error) or type(error).__name__}")

    def call(self, name: str, *args: Any) -> Any:
        """Call one function of the module by its name."""
        self.calling = name
        try:
            return getattr(self.nvml, name)(*args)
        finally:
            self.answered_ns = time.monotonic_ns()

    def newest(self, new: str, old: str, *args: Any) -> Any:
        """Call `new`, or `old` if the module or the driver does not have it."""
        if new not in self._unknown:
            try:
                return self.call(new, *args)
            except (AttributeError, self.nvml.NVMLError_FunctionNotFound):
                self._unknown.add(new)
        return self.call(old, *args)

    def card_count(self) -> int:
        """Number of the machine's cards, including those that this user may not open."""
        count = int(self.call("nvmlDeviceGetCount"))
        return within(count, 0, MAX_CARDS, "number of cards")

    def utilisation_pct(self, handle: Any) -> tuple[Reading, Reading]:
        """Share of time in which the card computed, and in which its memory was read or written."""
        rates = self.call("nvmlDeviceGetUtilizationRates", handle)
        what = "share in %"
        return self._share(rates.gpu, 100, what), self._share(rates.memory, 100, what)

    def memory(self, handle: Any) -> Memory:
        """Memory of a card or a MIG instance; raises NVMLError or Implausible."""
        # Version 2 leaves the driver's reserve out of `used`, as nvidia-smi does; old drivers have
        # 1.
        name = "nvmlDeviceGetMemoryInfo"
        nvml = self.nvml
        without_version_2 = (
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
            nvml.NVML_ERROR_NOT_SUPPORTED,
            nvml.NVML_ERROR_INVALID_ARGUMENT,
        )
        try:
            new = self.call(name, handle, nvml.nvmlMemory_v2)
        except nvml.NVMLError as error:
            if error.value not in without_version_2:
                raise
            old = self.call(name, handle)
            return self._memory(old, Reason(f"NVML: {name}_v2: {error}"))
        return self._memory(new, new.reserved)

    def _memory(self, info: Any, reserved: int | Reason) -> Memory:
        total = within(int(info.total), 1, MAX_BYTES, "size of a memory in B")
        what = "part of its memory in B"
        return Memory(
            used_bytes=self._share(info.used, total, what),
            reserved_bytes=self._share(reserved, total, what),
            total_bytes=total,
        )

    def _share(self, value: int | Reason, maximum: int, what: str) -> Reading:
        return self.ask(within, value, 0, maximum, what)

    def memory_total_bytes(self, handle: Any) -> int:
        """Size of the memory of a card or a MIG instance."""
        return self.memory(handle).total_bytes

    def power_w(self, handle: Any) -> float:
        """Power, averaged by the driver or not, depending on the card."""
        return _watts(self.call("nvmlDeviceGetPowerUsage", handle))

    def power_instant_w(self, handle: Any) -> float:
        """Power, not averaged; raises NVMLError for a failure of the field, too."""
        field = (self.nvml.NVML_FI_DEV_POWER_INSTANT, 0)  # scope 0: the GPU, not its module
        # The call succeeds even if its field fails: the field has a return code of its own.
        (answer,) = self.call("nvmlDeviceGetFieldValues", handle, [field])
        if answer.nvmlReturn != self.nvml.NVML_SUCCESS:
            raise self.nvml.NVMLError(answer.nvmlReturn)
        return _watts(getattr(answer.value, VALUE_FIELDS[answer.valueType]))

    def energy_mj(self, handle: Any) -> int:
        """Energy counter in mJ, since the driver was loaded."""
        counter_mj = int(self.call("nvmlDeviceGetTotalEnergyConsumption", handle))
        return within(counter_mj, 0, MAX_MJ, "energy in mJ")

    def clock_mhz(self, handle: Any, kind: str) -> int:
        """`kind` is SM or MEM."""
        clock = getattr(self.nvml, f"NVML_CLOCK_{kind}")
        mhz = int(self.call("nvmlDeviceGetClockInfo", handle, clock))
        return within(mhz, 0, MAX_MHZ, "clock in MHz")

    def throttle_reasons(self, handle: Any) -> int:
        """A bit mask of NVML's clock event reasons."""
        mask = self.newest(
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            handle,
        )
        return within(int(mask), 0, MAX_MASK, "mask of reasons")

    def temperature_c(self, handle: Any) -> int:
        """Temperature of the chip."""
        celsius = self.newest(
            "nvmlDeviceGetTemperatureV",
            "nvmlDeviceGetTemperature",
            handle,
            self.nvml.NVML_TEMPERATURE_GPU,
        )
        return within(int(celsius), MIN_C, MAX_C, "temperature in °C")

    def processes(self, handle: Any, kind: str, total_bytes: int = MAX_BYTES) -> list[OnCard]:
        """Processes on a device with `total_bytes` of memory; raises NVMLError.

        `kind` is Compute or Graphics.
        """
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        try:
            if self._has_long_entries(handle):
                entries = self._list_long(f"{name}_v3", handle)
            else:
                entries = self.newest(f"{name}_v3", f"{name}_v2", handle)
        except self.nvml.NVMLError_NotSupported:
            if kind == "Graphics":
                return []  # no process draws on a card that cannot
            raise
        return [_on_card(entry, total_bytes) for entry in entries]

    def util_samples(self, handle: Any, after_us: int) -> list[tuple[int, float]]:
        """(time stamp, percent) that the driver has buffered after `after_us`, in order."""
        kind_of_sample = self.nvml.NVML_GPU_UTILIZATION_SAMPLES
        try:
            kind, samples = self.call("nvmlDeviceGetSamples", handle, kind_of_sample, after_us)
        except self.nvml.NVMLError_NotFound:  # none since then
            return []
        field = VALUE_FIELDS[kind]
        pairs = []
        for sample in samples:
            at_us = int(sample.timeStamp)
            pct = float(getattr(sample.sampleValue, field))
            if at_us > after_us and 0 <= pct <= 100:
                pairs.append((at_us, pct))
        return sorted(pairs)

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

        Empty without MIG mode; instances that this user may not open are left out.
        """
        nvml = self.nvml
        instances: dict[int, Any] = {}
        if not self.is_cut_up(handle):
            return instances
        count = int(self.call("nvmlDeviceGetMaxMigDeviceCount", handle))
        for index in range(within(count, 0, MAX_INSTANCES, "number of MIG instances")):
            try:
                instances[index] = self.call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
            except (nvml.NVMLError_NotFound, nvml.NVMLError_NoPermission):
                continue  # indices have holes
            except nvml.NVMLError as error:
                instances[index] = self.why(error)
        return instances

    def name(self, handle: Any) -> str:
        """The product's name; for a MIG instance with its profile."""
        return self.text("nvmlDeviceGetName", handle)

    def uuid(self, handle: Any) -> str:
        """UUID of a card or a MIG instance, as in CUDA_VISIBLE_DEVICES."""
        return self.text("nvmlDeviceGetUUID", handle)

    def text(self, name: str, *args: Any) -> str:
        """The text that a function returns; bytes that are not UTF-8 are shown as such."""
        try:
            return str(self.call(name, *args))
        except UnicodeDecodeError as error:
            return bytes(error.object).decode("utf-8", "backslashreplace")

    def _has_long_entries(self, handle: Any) -> bool:
        """Whether entries have 32 bytes: such a driver has the first of these functions alone."""
        if self._long_entries is None:
            version = getattr(self.nvml, "nvmlProcessDetailList_v1", 0)
            protects = self._has("nvmlDeviceGetConfComputeMemSizeInfo", handle)
            details = self._has("nvmlDeviceGetRunningProcessDetailList", handle, version, 0)
            self._long_entries = protects and not details
        return self._long_entries

    def _has(self, name: str, *args: Any) -> bool:
        """Whether the driver has a function, whatever it answers (and the module makes of that)."""
        try:
            self.call(name, *args)
        except (AttributeError, self.nvml.NVMLError_FunctionNotFound):
            return False
        except Exception:
            pass  # it answered
        return True

    def _list_long(self, name: str, handle: Any) -> list[LongEntry]:
        """What the module does for a list, with the longer entries."""
        nvml = self.nvml
        self.calling = name
        function = getattr(nvml.nvmlLib, name)
        count = ctypes.c_uint(0)
        # Without room for entries the driver only counts them.
        status = function(handle, ctypes.byref(count), None)
        listed = within(count.value, 0, MAX_PROCESSES, "number of processes")
        entries = (LongEntry * (2 * listed + 5))()  # more may come before the second call
        if status == nvml.NVML_ERROR_INSUFFICIENT_SIZE:
            count = ctypes.c_uint(len(entries))
            status = function(handle, ctypes.byref(count), entries)
        self.answered_ns = time.monotonic_ns()
        if status != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(status)
        return entries[: count.value]


def within(value: Number, minimum: float, maximum: float, what: str) -> Number:
    """`value` if it lies between the two; raises Implausible if it does not, or is no number."""
    if not minimum <= value <= maximum:
        raise Implausible(f"answered {value:.15g}, which is no {what}")
    return value


def _watts(milliwatts: float) -> float:
    return within(float(milliwatts) / 1000, 0.0, MAX_W, "power in W")


def _on_card(entry: Any, total_bytes: int) -> OnCard:
    used_bytes = entry.usedGpuMemory
    if used_bytes is not None and used_bytes > total_bytes:
        used_bytes = None
    return OnCard(
        pid=int(entry.pid),
        instance=(entry.gpuInstanceId, entry.computeInstanceId),
        used_bytes=used_bytes,
    )
