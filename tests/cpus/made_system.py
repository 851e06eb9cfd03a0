"""Made folders as the kernel shows them below /sys and /proc, of machines that are not at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evenground.cpus.sysfs import CPUS
from evenground.sidecar.cpus import list_text


def write(root: Path, name: str, text: object) -> None:
    """One file below `root`, with the line end that the kernel writes."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@dataclass
class Machine:
    """Cores, each with its hardware threads, and where each is; `write` makes the files."""

    cores: Sequence[Sequence[int]]
    package_of: Mapping[int, int] = field(default_factory=dict)
    """First CPU of a core -> package; 0 where it is not named."""
    node_of: Mapping[int, int] | None = field(default_factory=dict)
    """First CPU of a core -> NUMA node; None for a kernel without NUMA."""
    heat: bool = True
    clock: Mapping[str, object] | None = None
    """Files of each CPU's cpufreq; None for none."""

    def write(self, root: Path) -> Path:
        for core in self.cores:
            for cpu in core:
                self._write_cpu(root, cpu, core)
        return root

    def _write_cpu(self, root: Path, cpu: int, core: Sequence[int]) -> None:
        folder = f"{CPUS}/cpu{cpu}"
        first = core[0]
        package = self.package_of.get(first, 0)
        write(root, f"{folder}/topology/physical_package_id", package)
        write(root, f"{folder}/topology/core_cpus_list", list_text(core))
        if self.node_of is not None:
            (root / folder / f"node{self.node_of.get(first, package)}").mkdir()
        for level in ("core", "package") if self.heat else ():
            for name in ("throttle_count", "throttle_total_time_ms"):
                write(root, f"{folder}/thermal_throttle/{level}_{name}", 0)
        for name, text in (self.clock or {}).items():
            write(root, f"{folder}/cpufreq/{name}", text)


def set_cpu(root: Path, cpu: int, name: str, text: object) -> None:
    """Change or make one file of a CPU's folder."""
    write(root, f"{CPUS}/cpu{cpu}/{name}", text)


def two_packages(per_package: int = 4) -> Machine:
    """Two packages with hyperthreading, numbered as BIOSes mostly do: CPU n and n + cores are siblings."""
    n = 2 * per_package
    cores = [(cpu, cpu + n) for cpu in range(n)]
    return Machine(cores, package_of={cpu: cpu // per_package for cpu in range(n)})


def neighbours(n: int = 4) -> Machine:
    """One package where CPU 0 and 1 are siblings, 2 and 3, and so on: the first N are the wrong ones."""
    return Machine([(2 * core, 2 * core + 1) for core in range(n)])


def hybrid(root: Path) -> Path:
    """An Intel processor with 4 fast cores of two threads (0-7) and 4 slow ones (8-11)."""
    machine = Machine([(0, 1), (2, 3), (4, 5), (6, 7), (8,), (9,), (10,), (11,)])
    write(root, "sys/devices/cpu_core/cpus", "0-7")
    write(root, "sys/devices/cpu_atom/cpus", "8-11")
    return machine.write(root)


def big_little(root: Path) -> Path:
    """An ARM board: slow cores first (0-3), then fast ones (4-5); no counts of heat, no NUMA."""
    machine = Machine([(cpu,) for cpu in range(6)], node_of=None, heat=False)
    machine.write(root)
    for cpu in range(6):
        set_cpu(root, cpu, "cpu_capacity", 1024 if cpu > 3 else 446)
    return root


def cgroup_v2(root: Path, groups: Mapping[str, Mapping[str, str]], own: str) -> Path:
    """cgroups of version 2 below the usual mount: path -> file -> text; `own` is this process's."""
    write(root, "proc/self/cgroup", f"0::{own}")
    write(
        root,
        "proc/self/mountinfo",
        "24 1 0:22 / / rw - ext4 /dev/sda rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw",
    )
    for path, files in groups.items():
        folder = f"sys/fs/cgroup{path.rstrip('/')}"
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write(root, f"{folder}/{name}", text)
    return root


def stat_v2(periods: int, time_us: int) -> str:
    """A cpu.stat of cgroups v2."""
    lines = ["usage_usec 9", "user_usec 5", "system_usec 4", "nr_periods 9"]
    return "\n".join([*lines, f"nr_throttled {periods}", f"throttled_usec {time_us}"])
