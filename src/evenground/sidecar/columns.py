"""The columns of samples.csv: names, units and sources. The order here is the order in the file."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """What one column of samples.csv holds."""

    unit: str
    source: str
    period_s: float = 0.0
    """A value comes at most this often; 0 for one in every row."""


MACHINE_PERIOD_S = 0.1
GPU_SLOW_PERIOD_S = 1.0
_UTILISATION = (
    "nvmlDeviceGetUtilizationRates: share of time in which any kernel ran, averaged by the driver "
    "over 1/6 s to 1 s (util_window_s of the card)"
)
_THROTTLE = (
    "nvmlDeviceGetCurrentClocksEventReasons (older drivers: ...ThrottleReasons): "
    "nvmlClocksEventReason* of nvml.h; not each of them slows a card down, 1 says that it is idle"
)
_OVER = "of the card or MIG instance of --gpu; else"
_TEMPERATURE = "of the chip: nvmlDeviceGetTemperatureV (older drivers: nvmlDeviceGetTemperature)"
_OWN: dict[str, Column] = {
    "t_unix_ns": Column("ns", "CLOCK_REALTIME when the row's reading began, since 1970-01-01 UTC"),
    "t_mono_ns": Column("ns", "CLOCK_MONOTONIC when the row's reading began"),
    "interval_ns": Column(
        "ns", "t_mono_ns minus that of the row before; in the first row, since the launch"
    ),
    "read_ns": Column(
        "ns", "time it took to read the row's values (GPU values are read in their own thread)"
    ),
    "missed_slots": Column("1", "sampling deadlines that passed unserved since the row before"),
    "cpu_s": Column(
        "s",
        "CPU seconds of the process tree since its launch (attach mode: since the first row), a "
        "counter; `cpu_source` says from where. cgroup: usage_usec of the tree's own cpu.stat. "
        "processes: process CPU clocks of those alive + cutime and cstime of /proc/PID/stat + "
        "getrusage(RUSAGE_CHILDREN) of the sidecar",
    ),
    "rss_bytes": Column(
        "B",
        "sum over the tree of the resident pages of /proc/PID/statm; shared pages count once per "
        "process",
    ),
    "pss_bytes": Column(
        "B",
        "sum over the tree of Pss in /proc/PID/smaps_rollup: a page shared by n processes counts "
        "1/n in each",
        period_s=1.0,
    ),
    "processes": Column("1", "processes of the tree that are alive; zombies are not counted"),
    "cpu_since_boot_pct": Column(
        "%",
        "(user + system) * 100 / (user + system + idle) from one read of /proc/stat: whole "
        "machine, mean since boot, as UnixStats computed it; not the CPU use now",
        period_s=MACHINE_PERIOD_S,
    ),
    "machine_used_bytes": Column(
        "B",
        "MemTotal - MemAvailable of /proc/meminfo: whole machine, `used` of free since procps-ng "
        "4.0",
        period_s=MACHINE_PERIOD_S,
    ),
    "free_used_bytes": Column(
        "B",
        "MemTotal - MemFree - Buffers - Cached - SReclaimable of /proc/meminfo: whole machine, "
        "`used` of free in procps-ng 3.3.10 to 3.3.17, as UnixStats read it",
        period_s=MACHINE_PERIOD_S,
    ),
}
_GPU: dict[str, Column] = {
    "gpu_util_pct": Column(
        "%",
        f"{_UTILISATION}; {_OVER} mean over the machine's cards",
    ),
    "vram_used_bytes": Column(
        "B",
        f"nvmlDeviceGetMemoryInfo_v2, all processes, {_OVER} sum over the machine's whole cards; "
        "of a driver that has only version 1 (vram_reserved_bytes is empty then) it includes the "
        "driver's reserve",
    ),
    "vram_reserved_bytes": Column(
        "B",
        f"reserved of nvmlDeviceGetMemoryInfo_v2, {_OVER} sum over the cards: kept by driver and "
        "firmware",
    ),
    "vram_tree_bytes": Column(
        "B",
        "usedGpuMemory of nvmlDeviceGetComputeRunningProcesses and ...Graphics..., sum over the "
        "processes of the command's tree",
        period_s=GPU_SLOW_PERIOD_S,
    ),
    "gpu_foreign_processes": Column(
        "1",
        f"processes in the list of nvmlDeviceGetComputeRunningProcesses, {_OVER} of all cards, "
        "that are not of the command's tree; a server of NVIDIA's MPS is none",
        period_s=GPU_SLOW_PERIOD_S,
    ),
    "gpu_desktop_processes": Column(
        "1",
        f"processes in the list of nvmlDeviceGetGraphicsRunningProcesses alone, {_OVER} of all "
        "cards, that are not of the command's tree",
        period_s=GPU_SLOW_PERIOD_S,
    ),
    "gpu_desktop_bytes": Column(
        "B",
        "usedGpuMemory of the processes that gpu_desktop_processes counts",
        period_s=GPU_SLOW_PERIOD_S,
    ),
    "gpu_power_w": Column(
        "W",
        f"nvmlDeviceGetPowerUsage, {_OVER} sum over the machine's cards; averaged by the driver "
        "over up to 1 s",
    ),
    "gpu_power_instant_w": Column(
        "W",
        f"nvmlDeviceGetFieldValues(NVML_FI_DEV_POWER_INSTANT), {_OVER} sum over the cards; not "
        "averaged",
    ),
    "gpu_energy_j": Column(
        "J",
        f"nvmlDeviceGetTotalEnergyConsumption minus its first reading, {_OVER} sum over the "
        "cards: a counter",
    ),
    "gpu_sm_clock_mhz": Column(
        "MHz", f"nvmlDeviceGetClockInfo(NVML_CLOCK_SM), {_OVER} mean over the cards"
    ),
    "gpu_mem_clock_mhz": Column(
        "MHz", f"nvmlDeviceGetClockInfo(NVML_CLOCK_MEM), {_OVER} mean over the cards"
    ),
    "gpu_throttle_reasons": Column(
        "bit mask",
        f"{_THROTTLE}; {_OVER} or-ed over the cards",
    ),
    "gpu_temp_c": Column(
        "°C",
        f"{_TEMPERATURE}; {_OVER} of the hottest card",
        period_s=GPU_SLOW_PERIOD_S,
    ),
    "gpu_age_s": Column(
        "s",
        "age of the reading of the driver behind the row's GPU values that have no period_s: rows "
        "with the same t_mono_ns - age repeat one reading",
    ),
}
COLUMNS = _OWN | _GPU
GPU_COLUMNS = tuple(_GPU)

CARD_COLUMNS: dict[str, Column] = {
    "t_unix_ns": Column("ns", "CLOCK_REALTIME when reading the card began, since 1970-01-01 UTC"),
    "card": Column(
        "text", "index of the card; of a MIG instance of it, as in 0/mig1: its memory only"
    ),
    "util_pct": Column("%", _UTILISATION),
    "mem_util_pct": Column(
        "%",
        "memory of nvmlDeviceGetUtilizationRates: share of time in which memory was read or "
        "written",
    ),
    "vram_used_bytes": Column("B", "used of nvmlDeviceGetMemoryInfo_v2, else of version 1"),
    "vram_reserved_bytes": Column("B", "reserved of nvmlDeviceGetMemoryInfo_v2"),
    "power_w": Column("W", "nvmlDeviceGetPowerUsage; averaged by the driver over up to 1 s"),
    "power_instant_w": Column(
        "W", "nvmlDeviceGetFieldValues(NVML_FI_DEV_POWER_INSTANT); not averaged"
    ),
    "energy_j": Column("J", "nvmlDeviceGetTotalEnergyConsumption minus its first reading"),
    "sm_clock_mhz": Column("MHz", "nvmlDeviceGetClockInfo(NVML_CLOCK_SM)"),
    "mem_clock_mhz": Column("MHz", "nvmlDeviceGetClockInfo(NVML_CLOCK_MEM)"),
    "temp_c": Column("°C", _TEMPERATURE, GPU_SLOW_PERIOD_S),
    "throttle_reasons": Column("bit mask", _THROTTLE),
}
"""One row per card and per MIG instance for each reading."""
UTIL_SAMPLE_COLUMNS: dict[str, Column] = {
    "card": Column("text", "index of the card"),
    "t_unix_us": Column("us", "time stamp that the driver gave the sample, since 1970-01-01 UTC"),
    "util_pct": Column(
        "%", "nvmlDeviceGetSamples(NVML_GPU_UTILIZATION_SAMPLES), as the driver buffered it"
    ),
}


class Missing:
    """Why cells are empty: per column the number of empty cells and the different reasons."""

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}
        self._reasons: dict[str, dict[str, None]] = {}

    def note(self, column: str, reason: str) -> None:
        """Count one empty cell of `column`."""
        self.cells[column] = self.cells.get(column, 0) + 1
        self.expect(column, reason)

    def expect(self, column: str, reason: str) -> None:
        """Give a reason that holds from the start, without counting a cell."""
        self._reasons.setdefault(column, {})[reason] = None

    def reasons(self) -> dict[str, str]:
        """Column to reason; several reasons are joined by "; " in the order in which they came."""
        return {column: "; ".join(reasons) for column, reasons in self._reasons.copy().items()}
