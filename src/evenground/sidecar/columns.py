"""The columns of samples.csv: names, units and sources. The order here is the order in the file."""

from __future__ import annotations

from typing import Final, NamedTuple


class Column(NamedTuple):
    """What one column of samples.csv holds."""

    unit: str
    source: str


COLUMNS: Final[dict[str, Column]] = {
    "t_unix_ns": Column("ns", "CLOCK_REALTIME when the row's reading began, since 1970-01-01 UTC"),
    "t_mono_ns": Column("ns", "CLOCK_MONOTONIC when the row's reading began"),
    "interval_ns": Column("ns", "t_mono_ns minus that of the row before; in the first row, since the launch"),
    "read_ns": Column(
        "ns", "time it took to read the row's values (GPU values are read in their own thread)"
    ),
    "missed_slots": Column("1", "sampling deadlines that passed unserved since the row before"),
    "cpu_s": Column(
        "s",
        "CPU seconds of the command's process tree since its launch, a counter: process CPU clocks of those "
        "alive + cutime and cstime of /proc/PID/stat + getrusage(RUSAGE_CHILDREN) of the sidecar",
    ),
    "rss_bytes": Column(
        "B", "sum over the tree of the resident pages of /proc/PID/statm; shared pages count once per process"
    ),
    "processes": Column("1", "processes of the tree that are alive; zombies are not counted"),
    "cpu_since_boot_pct": Column(
        "%",
        "(user + system) * 100 / (user + system + idle) from one read of /proc/stat: whole machine, mean "
        "since boot, as UnixStats computed it; not the CPU use now",
    ),
    "machine_used_bytes": Column(
        "B", "MemTotal - MemAvailable of /proc/meminfo: whole machine, `used` of free since procps-ng 4.0"
    ),
    "gpu_util_pct": Column(
        "%",
        "nvmlDeviceGetUtilizationRates, mean over the machine's cards: share of time in which any kernel "
        "ran, averaged by the driver over 1/6 s to 1 s",
    ),
    "vram_used_bytes": Column(
        "B", "nvmlDeviceGetMemoryInfo, sum over the machine's whole cards, all processes"
    ),
    "gpu_power_w": Column(
        "W",
        "nvmlDeviceGetPowerUsage, sum over the machine's cards; averaged by the driver over up to 1 s",
    ),
}
GPU_COLUMNS: Final = ("gpu_util_pct", "vram_used_bytes", "gpu_power_w")


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
        return {column: "; ".join(reasons) for column, reasons in self._reasons.items()}
