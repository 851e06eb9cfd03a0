"""What a training's record says of heat, limits and clocks, and what of it is a finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from cpus.made_system import (
    Machine,
    big_little,
    cgroup_v2,
    hybrid,
    neighbours,
    set_cpu,
    stat_v2,
    two_packages,
    write,
)
from evenground.cpus.choice import choose
from evenground.cpus.heat import NOT_COUNTED
from evenground.cpus.judge import (
    FAULTS,
    clock_limits,
    heat_events,
    lacking_cores,
    shared_cores,
    unlike_cores,
    waited_periods,
)
from evenground.cpus.sysfs import CPUS
from evenground.cpus.watch import Watch
from evenground.judged import NOT_RECORDED, reasons
from evenground.records.cpus import CpuRecord
from evenground.sidecar.cpus import cpu_list

Change = Callable[[Path], Any]
STEADY = {
    "scaling_driver": "intel_pstate",
    "scaling_governor": "powersave",
    "energy_performance_preference": "balance_performance",
    "scaling_min_freq": 800000,
    "scaling_max_freq": 3600000,
    "cpuinfo_max_freq": 3600000,
    "scaling_setspeed": "<unsupported>",
}


def watched(
    system: Path, during: Change | None = None, threads: int = 2, allowed: str = "0-7"
) -> CpuRecord:
    """The record of a training on the made machine, in which `during` happens."""
    watch = Watch(choose(threads, system, cpu_list(allowed)), system)
    if during:
        during(system)
    return watch.end()


def count(cpu: int, file: str, text: object) -> Change:
    return lambda system: set_cpu(system, cpu, f"thermal_throttle/{file}", text)


# Heat


def test_a_cool_run_has_no_finding_and_nothing_is_missing_of_it(tmp_path: Path) -> None:
    record = watched(neighbours().write(tmp_path))
    assert heat_events(record).size == 0
    assert not {"core_events", "package_events", "core_ms", "package_ms"} & record.missing.keys()


@pytest.mark.parametrize(
    ("cpu", "file", "value", "size"),
    [
        (0, "core_throttle_count", "core_events", 3),
        (2, "core_throttle_count", "core_events", 3),
        (0, "package_throttle_count", "package_events", 3),
        (6, "core_throttle_count", None, 0),
    ],
)
def test_heat_is_counted_of_used_cores_and_their_packages(
    tmp_path: Path, cpu: int, file: str, value: str | None, size: int
) -> None:
    neighbours().write(tmp_path)
    count(cpu, file, 5)(tmp_path)
    record = watched(tmp_path, count(cpu, file, 8))
    assert heat_events(record).size == size
    values = asdict(record.heat)
    assert values == {**dict.fromkeys(values, 0), **({value: size} if value else {})}


def test_a_packages_events_are_counted_once_and_those_of_two_packages_twice(tmp_path: Path) -> None:
    two_packages(2).write(tmp_path)

    def heat(system: Path) -> None:
        for cpu in range(8):
            set_cpu(system, cpu, "thermal_throttle/package_throttle_count", 4)
            set_cpu(system, cpu, "thermal_throttle/core_throttle_count", 1)
            set_cpu(system, cpu, "thermal_throttle/core_throttle_total_time_ms", 20)

    record = watched(tmp_path, heat)
    assert (record.heat.package_events, record.heat.core_events, record.heat.core_ms) == (4, 2, 40)
    assert heat_events(record) == (6, "2 of cores in 40 ms, 4 of packages")
    for cpu in range(8):
        for name in ("package_throttle_count", "core_throttle_count"):
            set_cpu(tmp_path, cpu, f"thermal_throttle/{name}", 0)
    assert watched(tmp_path, heat, threads=4).heat.package_events == 8


def test_the_other_packages_heat_is_not_this_runs(tmp_path: Path) -> None:
    two_packages().write(tmp_path)
    record = watched(tmp_path, count(4, "package_throttle_count", 9), allowed="0-15")
    assert heat_events(record).size == 0


def test_without_counts_heat_is_missing_with_its_reason(tmp_path: Path) -> None:
    record = watched(big_little(tmp_path), allowed="0-5")
    assert heat_events(record).size is None and record.heat.core_events is None
    assert record.missing["core_events"] == record.missing["package_events"] == NOT_COUNTED


def test_the_largest_counts_still_make_a_record_that_can_be_read(tmp_path: Path) -> None:
    """One absurd count must not make the whole run unreadable."""
    neighbours(32).write(tmp_path)

    def absurd(system: Path) -> None:
        for cpu in range(64):
            set_cpu(system, cpu, "thermal_throttle/core_throttle_count", "9" * 15)
            set_cpu(system, cpu, "thermal_throttle/package_throttle_count", "9" * 19)

    record = watched(tmp_path, absurd, threads=32, allowed="0-63")
    assert record.heat.core_events and record.heat.package_events is None
    assert TypeAdapter(CpuRecord).validate_json(json.dumps(asdict(record))) == record


@pytest.mark.parametrize("text", ["", "many", "1.5", "9" * 30])
def test_a_count_that_is_garbage_is_missing_and_hides_no_other(tmp_path: Path, text: str) -> None:
    neighbours().write(tmp_path)
    count(0, "core_throttle_count", text)(tmp_path)
    record = watched(tmp_path)
    assert record.heat.core_events is None and heat_events(record).size is None
    assert "cpu0/thermal_throttle/core_throttle_count" in record.missing["core_events"]
    hot = watched(tmp_path, count(2, "core_throttle_count", 7))
    assert heat_events(hot).size == 7 and "core_events" in hot.missing


def test_a_count_that_falls_is_missing(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    count(0, "core_throttle_count", 5)(tmp_path)
    record = watched(tmp_path, count(0, "core_throttle_count", 1))
    assert record.heat.core_events is None and "fell" in record.missing["core_events"]


def test_a_cpu_switched_off_meanwhile_is_missing(tmp_path: Path) -> None:
    neighbours().write(tmp_path)

    def off(system: Path) -> None:
        folder = system / CPUS / "cpu2"
        (folder / "thermal_throttle").rename(folder / "gone")

    assert watched(tmp_path, off).heat.core_events is None


def test_an_older_kernel_that_counts_no_time_still_counts_events(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    for path in tmp_path.glob("sys/**/*total_time_ms"):
        path.unlink()
    record = watched(tmp_path, count(0, "core_throttle_count", 1))
    assert (heat_events(record).size, record.heat.core_ms) == (1, None)
    assert heat_events(watched(tmp_path)).size == 0


# Limits of cgroups


def test_fewer_cores_than_threads_are_found(tmp_path: Path) -> None:
    record = watched(neighbours(2).write(tmp_path), threads=6, allowed="0-3")
    assert (record.n_usable, record.n_chosen) == (4, 4)
    cgroup_v2(tmp_path, {"/": {"cgroup.controllers": "cpu"}}, "/")
    found = lacking_cores(watched(tmp_path, threads=6, allowed="0-3"))
    assert found == (2, "6 threads, 4 CPUs allowed")
    assert shared_cores(record) == (4, "4 CPUs of 2 cores")


@pytest.mark.parametrize(
    ("own", "above", "quota", "size"),
    [
        ("max 100000", "max 100000", None, 0),
        ("200000 100000", "max 100000", 2, 0),
        ("150000 100000", "max 100000", 1.5, 0.5),
        ("max 100000", "150000 100000", 1.5, 0.5),
        ("100000 100000", "5000 10000", 0.5, 1.5),
        ("50000", "max", 0.5, 1.5),
    ],
)
def test_the_strictest_cgroup_limits(
    tmp_path: Path, own: str, above: str, quota: float | None, size: float
) -> None:
    neighbours().write(tmp_path)
    groups = {"/": {}, "/slurm": {"cpu.max": above}, "/slurm/job 1": {"cpu.max": own}}
    cgroup_v2(tmp_path, groups, "/slurm/job 1")
    record = watched(tmp_path)
    assert (record.quota, lacking_cores(record).size) == (quota, size)
    assert "quota" not in record.missing
    assert (f"limit of {quota}" in lacking_cores(record).text) == (quota is not None)


@pytest.mark.parametrize("text", ["", "lots", "0 100000", "100000 0", "-1 100000", "1.5 100000"])
def test_a_limit_that_is_garbage_is_missing(tmp_path: Path, text: str) -> None:
    neighbours().write(tmp_path)
    cgroup_v2(tmp_path, {"/": {}, "/own": {"cpu.max": text}}, "/own")
    record = watched(tmp_path)
    assert record.quota is None and record.missing["quota"] and lacking_cores(record).size is None
    assert lacking_cores(watched(tmp_path, threads=9)).size == 1, "what lacks anyhow is found"


def test_waiting_is_counted_of_this_run_once_whichever_cgroup_counts(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    groups = {
        "/": {},
        "/a": {"cpu.stat": stat_v2(10, 5_000_000)},
        "/a/b": {"cpu.stat": stat_v2(7, 100_000)},
    }
    cgroup_v2(tmp_path, {**groups, "/a/b/c": {"cpu.stat": "usage_usec 3"}}, "/a/b/c")
    assert waited_periods(watched(tmp_path)).size == 0
    record = watched(
        tmp_path,
        lambda system: [
            write(system, "sys/fs/cgroup/a/cpu.stat", stat_v2(13, 5_250_000)),
            write(system, "sys/fs/cgroup/a/b/cpu.stat", stat_v2(9, 300_000)),
        ],
    )
    assert (record.waited_periods, record.waited_s) == (3, pytest.approx(0.25))
    assert waited_periods(record) == (3, "0.25 s of all CPUs together")


def test_version_1_counts_in_nanoseconds(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    write(tmp_path, "proc/self/cgroup", "9:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n0::/")
    write(
        tmp_path,
        "proc/self/mountinfo",
        "33 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "32 1 0:2 /docker/1 /sys/fs/cgroup/cpu\\040all rw - cgroup cgroup rw,cpu,cpuacct",
    )
    folder = "sys/fs/cgroup/cpu all"
    for name, number in {"cpu.cfs_quota_us": 120000, "cpu.cfs_period_us": 100000}.items():
        write(tmp_path, f"{folder}/{name}", number)
    write(tmp_path, f"{folder}/cpu.stat", "nr_periods 5\nnr_throttled 1\nthrottled_time 7")
    write(tmp_path, "sys/fs/cgroup/unified/cgroup.controllers", "")
    record = watched(
        tmp_path,
        lambda system: write(
            system, f"{folder}/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 500000007"
        ),
    )
    assert (record.quota, record.waited_periods, record.waited_s) == (1.2, 2, pytest.approx(0.5))
    assert lacking_cores(record).size == pytest.approx(0.8)
    write(tmp_path, f"{folder}/cpu.cfs_quota_us", -1)
    assert watched(tmp_path).quota is None and "quota" not in watched(tmp_path).missing


def test_at_the_very_top_nothing_limits_and_nothing_waits(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    cgroup_v2(tmp_path, {"/": {"cgroup.controllers": "cpu", "cpu.stat": "usage_usec 3"}}, "/")
    record = watched(tmp_path)
    assert (waited_periods(record).size, lacking_cores(record).size) == (0, 0)
    write(tmp_path, "sys/fs/cgroup/cgroup.events", "populated 1")
    assert waited_periods(watched(tmp_path)).size is None, "a namespace's top is not the machine's"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo"),
    [
        (None, None),
        ("", ""),
        ("0::/", "garbage"),
        ("0::/../other", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"),
        ("0::/none", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"),
        ("4:cpu:/none", "30 24 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu"),
    ],
)
def test_cgroups_that_cannot_be_seen_are_a_reason(
    tmp_path: Path, cgroup: str | None, mountinfo: str | None
) -> None:
    neighbours().write(tmp_path)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in {"cgroup": cgroup, "mountinfo": mountinfo}.items():
        if text is not None:
            write(tmp_path, f"proc/self/{name}", text)
    record = watched(tmp_path)
    assert record.quota is None and record.waited_periods is None
    assert record.missing["quota"] == record.missing["waited"] != ""
    assert lacking_cores(record).size is None and waited_periods(record).size is None


@pytest.mark.parametrize(
    "stat", ["nr_throttled x\nthrottled_usec 3", "nr_throttled 3", "throttled_usec -3"]
)
def test_counts_of_waiting_that_are_garbage_are_missing(tmp_path: Path, stat: str) -> None:
    neighbours().write(tmp_path)
    cgroup_v2(tmp_path, {"/": {}, "/own": {"cpu.stat": stat}}, "/own")
    record = watched(tmp_path)
    assert record.waited_periods is None and "cpu.stat holds no counts" in record.missing["waited"]


def test_no_reason_names_a_cgroup_which_may_be_a_users(tmp_path: Path) -> None:
    neighbours().write(tmp_path)
    cgroup_v2(tmp_path, {"/": {}, "/user-1000.slice/anna": {}}, "/user-1000.slice/anna")
    for name in ("cpu.stat", "cpu.max"):
        (tmp_path / "sys/fs/cgroup/user-1000.slice/anna" / name).mkdir()
    record = watched(tmp_path)
    assert record.missing["quota"] == "cpu.max cannot be read: Is a directory"
    assert record.missing["waited"] == "cpu.stat cannot be read: Is a directory"
    write(tmp_path, "sys/fs/cgroup/user-1000.slice/cpu.stat", "nr_throttled x")
    assert "user-1000" not in json.dumps(asdict(watched(tmp_path)))


# Clocks


def clocked(root: Path, **changes: object) -> Path:
    return replace(neighbours(), clock={**STEADY, **changes}).write(root)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"scaling_governor": "performance"}, ""),
        (
            {"scaling_driver": "amd-pstate-epp", "energy_performance_preference": "balance_power"},
            "",
        ),
        ({"energy_performance_preference": "128"}, ""),
        ({"scaling_max_freq": 3590000}, ""),
        ({"scaling_max_freq": 1800000}, "scaling_max_freq allows 1.80 of 3.60 GHz (cpu 0,2)"),
        (
            {"energy_performance_preference": "power"},
            "energy_performance_preference is power (cpu 0,2)",
        ),
        (
            {"energy_performance_preference": "255"},
            "energy_performance_preference is 255 (cpu 0,2)",
        ),
        (
            {"scaling_driver": "acpi-cpufreq"},
            "governor powersave allows 0.80 of 3.60 GHz (cpu 0,2)",
        ),
        (
            {"scaling_driver": "intel_cpufreq"},
            "governor powersave allows 0.80 of 3.60 GHz (cpu 0,2)",
        ),
        ({"scaling_driver": "acpi-cpufreq", "scaling_governor": "schedutil"}, ""),
        (
            {"scaling_governor": "userspace", "scaling_setspeed": 1200000},
            "governor userspace allows 1.20 of 3.60 GHz (cpu 0,2)",
        ),
        ({"scaling_governor": "userspace", "scaling_setspeed": 3600000}, ""),
    ],
)
def test_what_holds_the_clock_down_is_found_and_the_usual_is_not(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    found = clock_limits(watched(clocked(tmp_path, **changes)))
    assert (found.size, found.text) == (1 if words else 0, words)


@pytest.mark.parametrize(
    ("files", "changes", "words"),
    [
        ({"intel_pstate/no_turbo": 1}, {}, ""),
        ({"cpufreq/boost": 0}, {}, ""),
        (
            {"intel_pstate/no_turbo": 1},
            {"base_frequency": 2400000, "scaling_max_freq": 2400000},
            "",
        ),
        (
            {"intel_pstate/no_turbo": 0},
            {"base_frequency": 2400000, "scaling_max_freq": 2400000},
            "scaling_max_freq allows 2.40 of 3.60 GHz (cpu 0,2)",
        ),
        ({"intel_pstate/max_perf_pct": 100}, {}, ""),
        ({"intel_pstate/max_perf_pct": 70}, {}, "max_perf_pct allows 70 % of the clock (cpu 0,2)"),
    ],
)
def test_settings_of_the_whole_machine(
    tmp_path: Path, files: dict[str, int], changes: dict[str, object], words: str
) -> None:
    clocked(tmp_path, **changes)
    for name, text in files.items():
        write(tmp_path, f"{CPUS}/{name}", text)
    record = watched(tmp_path)
    assert (clock_limits(record).size, clock_limits(record).text) == (1 if words else 0, words)
    (group,) = record.settings_before
    assert {
        name.split("/")[1]: str(text) for name, text in files.items()
    }.items() <= group.values.items()


@pytest.mark.parametrize(
    ("listed", "highest", "words"),
    [
        # An EPYC under acpi-cpufreq: the usual state, from which it boosts to 3.6 GHz.
        ("2450000 2000000 1500000", 2450000, ""),
        ("2450000 2000000 1500000", 2000000, "scaling_max_freq allows 2.00 of 2.45 GHz (cpu 0,2)"),
        ("garbage", 2450000, "scaling_max_freq allows 2.45 of 3.60 GHz (cpu 0,2)"),
    ],
)
def test_a_driver_that_lists_no_boost_holds_nothing_down(
    tmp_path: Path, listed: str, highest: int, words: str
) -> None:
    changes = {
        "scaling_driver": "acpi-cpufreq",
        "scaling_governor": "schedutil",
        "scaling_max_freq": highest,
    }
    clocked(tmp_path, **changes, scaling_available_frequencies=listed)
    assert clock_limits(watched(tmp_path)).text == words


def test_only_the_cpus_in_use_count_and_those_set_otherwise_are_named(tmp_path: Path) -> None:
    clocked(tmp_path)
    set_cpu(tmp_path, 4, "cpufreq/scaling_max_freq", 900000)
    assert clock_limits(watched(tmp_path)).size == 0
    found = clock_limits(watched(tmp_path, threads=4))
    assert found == (1, "scaling_max_freq allows 0.90 of 3.60 GHz (cpu 4)")


def test_a_setting_that_changes_meanwhile_is_found(tmp_path: Path) -> None:
    clocked(tmp_path)
    write(tmp_path, f"{CPUS}/intel_pstate/no_turbo", 0)
    record = watched(tmp_path, lambda system: write(system, f"{CPUS}/intel_pstate/no_turbo", 1))
    assert clock_limits(record) == (1, "no_turbo changed")
    record = watched(
        tmp_path, lambda system: set_cpu(system, 2, "cpufreq/scaling_governor", "performance")
    )
    assert clock_limits(record).text == "scaling_governor changed"


def test_without_cpufreq_the_clock_is_missing_with_its_reason(tmp_path: Path) -> None:
    record = watched(neighbours().write(tmp_path))
    assert clock_limits(record).size is None and "frequency" in record.missing


@pytest.mark.parametrize(
    "name", ["scaling_max_freq", "cpuinfo_max_freq", "scaling_governor", "scaling_driver"]
)
def test_a_setting_that_is_empty_is_missing(tmp_path: Path, name: str) -> None:
    record = watched(clocked(tmp_path, **{name: ""}))
    assert clock_limits(record).size is None
    assert record.missing[name] == "cpu0 has none"


def test_a_setting_of_any_text_still_makes_a_record_that_can_be_read(tmp_path: Path) -> None:
    record = watched(clocked(tmp_path, scaling_max_freq="a b\n\x00" + 99 * "c"))
    assert TypeAdapter(CpuRecord).validate_json(json.dumps(asdict(record))) == record


# The whole record


def test_a_machine_without_sysfs_has_every_value_missing_with_a_reason(tmp_path: Path) -> None:
    record = watched(tmp_path, allowed="0-3")
    assert record.chosen == "0-1"
    sizes = {name: judge(record).size for name, judge in FAULTS.items()}
    assert sizes == dict.fromkeys(FAULTS)
    assert {
        "places",
        "core_events",
        "package_events",
        "frequency",
        "quota",
        "waited",
    } <= record.missing.keys()


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = watched(clocked(tmp_path), count(0, "core_throttle_count", 2), threads=5)
    text = json.dumps(asdict(record))
    assert TypeAdapter(CpuRecord).validate_json(text) == record
    assert str(tmp_path) not in text, "no path of this machine's"


def test_mixed_kinds_of_core_are_found(tmp_path: Path) -> None:
    record = watched(hybrid(tmp_path), threads=6, allowed="0-11")
    assert unlike_cores(record) == (2, "6 CPUs of 2 kinds of core")
    assert unlike_cores(watched(tmp_path, allowed="0-11")).size == 0


def test_reasons_are_told_once() -> None:
    record = CpuRecord(missing={"core_events": "none", "package_events": "none", "quota": "odd"})
    assert reasons(record) == "core_events, package_events: none; quota: odd"
    assert reasons(record, {"quota"}) == "quota: odd"
    assert reasons(None) == NOT_RECORDED


def test_this_machine_can_be_watched() -> None:
    record = Watch(choose(1)).end()
    assert record.n_chosen == 1 and record.n_usable
    for name in ("core_events", "package_events"):
        assert (getattr(record.heat, name) is None) == (name in record.missing)


def test_a_machine_with_unused_threads_of_its_cores_shares_none(tmp_path: Path) -> None:
    """A cpuset that has one sibling of each core only."""
    record = watched(Machine([(0, 1), (2, 3)]).write(tmp_path), allowed="1,3")
    assert (record.chosen, record.shared, record.cores) == ("1,3", 0, 2)
