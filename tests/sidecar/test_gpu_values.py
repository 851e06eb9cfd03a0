"""Each GPU value and each way in which it can be missing, read from the driver compiled here."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.sidecar.columns import CARD_COLUMNS, COLUMNS, GPU_COLUMNS, UTIL_SAMPLE_COLUMNS
from evenground.sidecar.gpu import reading_period_ns
from evenground.sidecar.gpu_card import Energy
from evenground.sidecar.gpu_latest import AGE, NOT_YET, ONCE
from evenground.sidecar.gpu_processes import MAY_HIDE, NO_MEMORY, STRANGE_PID, Listed
from stand_in_driver import uuid

Steps = list[tuple[float, str]]
ONE_OF_EACH = "compute-pid-1.0 PID\ncompute-pid-2.1 PARENT\n"
SECOND_US = 1_000_000
OF_CARDS = [column for column in GPU_COLUMNS if column != AGE]


class Got:
    """What tests/sidecar/read_gpu.py printed."""

    def __init__(self, printed: dict[str, Any]) -> None:
        self.reads: list[dict[str, Any]] = printed["reads"]
        self.cards: list[dict[str, Any]] = printed["cards"]
        self.samples = [
            dict(zip(UTIL_SAMPLE_COLUMNS, row, strict=True)) for row in printed["samples"]
        ]
        self.blocked_s: float = printed["blocked_s"]
        self.thread_ended: bool = printed["thread_ended"]
        self._rows = [dict(zip(CARD_COLUMNS, row, strict=True)) for row in printed["rows"]]

    def values(self, column: str) -> list[float]:
        return [read[column] for read in self.reads if not isinstance(read[column], str)]

    def reasons(self, column: str) -> set[str]:
        return {read[column] for read in self.reads if isinstance(read[column], str)} - {
            NOT_YET,
            ONCE,
        }

    def rows(self, card: str) -> list[dict[str, Any]]:
        return [row for row in self._rows if row["card"] == card]


Read = Callable[..., Got]


def reader(folder: Path, library: Path) -> Read:
    """Reads for some seconds: read(mood, steps, seconds=, rate_hz=, own=)."""

    def read(mood: str = "", steps: Steps | str = "", **asked: Any) -> Got:
        steps = [(0, steps)] if isinstance(steps, str) else steps
        asked = {"seconds": 0.4, "rate_hz": 10, "own": ["PID"], "steps": steps} | asked
        root = Path(__file__).resolve().parents[2]
        fake = {
            "LD_LIBRARY_PATH": str(library),
            "FAKE_NVML": mood,
            "FAKE_NVML_FILE": str(folder / "driver"),
        }
        words = [sys.executable, str(Path(__file__).with_name("read_gpu.py")), json.dumps(asked)]
        env = os.environ | {"PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1"} | fake
        done = subprocess.run(words, env=env, stdout=subprocess.PIPE, timeout=60, check=True)
        return Got(json.loads(done.stdout))

    return read


@pytest.fixture
def read(tmp_path: Path, nvml_library: Path) -> Read:
    return reader(tmp_path, nvml_library)


@pytest.fixture(scope="module")
def base_us() -> int:
    """The time stamp of the last sample that the driver had buffered before anything began."""
    return time.time_ns() // 1000


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, nvml_library: Path, base_us: int) -> Got:
    """Two seconds of two cards that give everything; energy and buffered samples go on meanwhile."""
    own = "compute-pid-1.0 PID\ncompute-used-1.0 700\ngraphics-pid-1.0 PID\ngraphics-used-1.0 700\n"
    foreign = "compute-pid-1.1 PARENT\n"
    buffered = f"sample-from {base_us - SECOND_US}\nsample-step 250000\nsample-to "
    steps = [
        (0.0, own + foreign + buffered + f"{base_us + 10 * SECOND_US}\n"),
        (
            0.5,
            own
            + foreign
            + "energy-mj.0 7001500\nthrottle.1 8\n"
            + buffered
            + f"{base_us + 10 * SECOND_US}\n",
        ),
        (
            0.8,
            own
            + foreign
            + "energy-mj 7002000\nthrottle.1 8\n"
            + buffered
            + f"{base_us + 12 * SECOND_US}\n",
        ),
    ]
    return reader(tmp_path_factory.mktemp("plain"), nvml_library)(steps=steps, seconds=2.3)


def test_the_columns_are_those_of_the_file_and_in_its_order(plain: Got) -> None:
    assert all(tuple(read)[1:] == GPU_COLUMNS for read in plain.reads)
    assert tuple(COLUMNS)[-len(GPU_COLUMNS) :] == GPU_COLUMNS


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("gpu_util_pct", 45),
        ("vram_used_bytes", 2000),
        ("vram_reserved_bytes", 200),
        ("gpu_power_w", 100.5),
        ("gpu_power_instant_w", 123),
        ("gpu_sm_clock_mhz", 1400),
        ("gpu_mem_clock_mhz", 5000),
    ],
)
def test_a_value_of_every_row(column: str, value: float, plain: Got) -> None:
    assert plain.values(column) == [value] * len(plain.values(column))
    assert len(plain.values(column)) >= len(plain.reads) - 3
    assert plain.reasons(column) == set()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("vram_tree_bytes", 700),
        ("gpu_foreign_processes", 1),
        ("gpu_temp_c", 61),
    ],
)
def test_a_value_of_every_second_stands_in_one_row(column: str, value: float, plain: Got) -> None:
    at_s = [read["t_s"] for read in plain.reads if not isinstance(read[column], str)]
    assert 2 <= len(at_s) <= 3 and set(plain.values(column)) == {value}
    assert all(after - before > 0.7 for before, after in itertools.pairwise(at_s))
    assert plain.reasons(column) == set() and COLUMNS[column].period_s == 1
    assert {read[column] for read in plain.reads[-3:]} & {ONCE}


def test_reasons_for_a_lower_clock_come_together_and_stay_whole_numbers(plain: Got) -> None:
    assert (
        plain.values("gpu_throttle_reasons")[0] == 1
        and plain.values("gpu_throttle_reasons")[-1] == 9
    )
    assert all(isinstance(mask, int) for mask in plain.values("gpu_throttle_reasons"))


def test_energy_counts_from_its_first_reading(plain: Got) -> None:
    joules = plain.values("gpu_energy_j")
    assert joules == sorted(joules) and 1.5 in joules
    assert (joules[0], joules[-1]) == (0, 4)


def test_each_card_has_its_own_rows(plain: Got) -> None:
    first, second = plain.rows("0"), plain.rows("1")
    assert len(first) == len(second) >= 20
    some: dict[str, float] = {
        "util_pct": 40,
        "mem_util_pct": 7,
        "vram_used_bytes": 1000,
        "vram_reserved_bytes": 100,
    }
    some |= {"power_w": 50.25, "power_instant_w": 61.5, "sm_clock_mhz": 1400, "mem_clock_mhz": 5000}
    assert all(row.items() >= some.items() for row in first)
    assert {row["util_pct"] for row in second} == {50}
    assert (first[-1]["energy_j"], second[-1]["energy_j"]) == (2, 2)
    assert (first[-1]["throttle_reasons"], second[-1]["throttle_reasons"]) == (1, 9 - 1)
    temperatures = [row["temp_c"] for row in first]
    assert (
        set(temperatures) == {60, None} and 2 <= len(temperatures) - temperatures.count(None) <= 3
    )
    times = [row["t_unix_ns"] for row in first]
    assert times == sorted(times) and abs(times[-1] - time.time_ns()) < 600e9


def test_buffered_utilisation_keeps_the_drivers_time_stamps(plain: Got, base_us: int) -> None:
    for card in ("0", "1"):
        times_us = [sample["t_unix_us"] for sample in plain.samples if sample["card"] == card]
        grid = range(base_us - SECOND_US, base_us + 12 * SECOND_US + 1, 250_000)
        # None twice, none from before the start, and in between none lost.
        assert times_us == list(grid)[-len(times_us) :] and base_us <= times_us[0]
        assert len(times_us) > 5
    assert plain.samples[0]["util_pct"] == list(grid).index(plain.samples[0]["t_unix_us"])


def test_the_header_says_what_a_card_is(plain: Got) -> None:
    about = {
        "index": 1,
        "name": "Fake Card",
        "uuid": uuid(1),
        "mig": [],
        "memory_total_bytes": 8_000_000_000,
    }
    assert plain.cards[1] == about | {"util_window_s": 0.25, "missing": {}}


def test_reading_takes_no_time_from_a_row_and_ends_when_told(plain: Got) -> None:
    assert plain.blocked_s < 0.1
    assert plain.thread_ended


@pytest.mark.parametrize(
    ("column", "call"),
    [
        ("gpu_power_instant_w", "nvmlDeviceGetFieldValues"),
        ("gpu_energy_j", "nvmlDeviceGetTotalEnergyConsumption"),
        ("gpu_sm_clock_mhz", "nvmlDeviceGetClockInfo"),
        ("gpu_mem_clock_mhz", "nvmlDeviceGetClockInfo"),
        ("gpu_throttle_reasons", "nvmlDeviceGetCurrentClocksEventReasons"),
        ("gpu_temp_c", "nvmlDeviceGetTemperatureV"),
        ("vram_tree_bytes", "nvmlDeviceGetComputeRunningProcesses_v3"),
        ("gpu_foreign_processes", "nvmlDeviceGetComputeRunningProcesses_v3"),
    ],
)
def test_what_a_card_does_not_give_is_missing_with_its_reason(
    column: str, call: str, bare: Got
) -> None:
    assert bare.values(column) == []
    assert bare.reasons(column) == {f"NVML: {call}: Not Supported (card 0)"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, nvml_library: Path) -> Got:
    """A card that knows utilisation, memory and power only."""
    return reader(tmp_path_factory.mktemp("bare"), nvml_library)("bare")


def test_what_it_does_give_stays(bare: Got) -> None:
    assert set(bare.values("gpu_util_pct")) == {45} and set(bare.values("gpu_power_w")) == {100.5}
    assert {row["energy_j"] for row in bare.rows("0")} == {None}
    about = bare.cards[0]
    assert about["util_window_s"] is None and about["mig"] == []
    assert about["util_window_reason"] == "NVML: nvmlDeviceGetSamples: Not Supported"
    assert (
        about["missing"]["energy_j"] == "NVML: nvmlDeviceGetTotalEnergyConsumption: Not Supported"
    )
    assert "mig" not in about["missing"] and bare.samples == []


def test_an_older_driver_is_asked_by_the_older_names(read: Read) -> None:
    got = read("old-driver", ONE_OF_EACH.replace("pid-2.1", "pid-1.1"))
    assert got.reasons("vram_reserved_bytes") == {
        "NVML: nvmlDeviceGetMemoryInfo_v2: Function Not Found (card 0)"
    }
    for column, value in {
        "vram_used_bytes": 2200,
        "gpu_throttle_reasons": 2,
        "gpu_temp_c": 40,
        "vram_tree_bytes": 300,
        "gpu_foreign_processes": 1,
    }.items():
        assert set(got.values(column)) == {value}, column


def test_a_field_that_fails_in_a_call_that_does_not(read: Read) -> None:
    got = read(steps="fail-field 3\n")
    assert got.values("gpu_power_instant_w") == []
    assert got.reasons("gpu_power_instant_w") == {
        "NVML: nvmlDeviceGetFieldValues: Not Supported (card 0)"
    }


@pytest.mark.parametrize("used", [0, 2**64 - 1])
def test_a_driver_that_hides_the_memory_of_a_process(used: int, read: Read) -> None:
    got = read(steps=f"compute-pid-1.0 PID\ncompute-used-1 {used}\ncompute-pid-1.1 PARENT\n")
    assert got.values("vram_tree_bytes") == [] and got.reasons("vram_tree_bytes") == {NO_MEMORY}
    assert set(got.values("gpu_foreign_processes")) == {1}


@pytest.mark.parametrize("pid", [0, 2**31 - 1])
def test_a_process_with_a_number_of_elsewhere_is_not_called_foreign(pid: int, read: Read) -> None:
    got = read(steps=f"compute-pid-1.0 {pid}\n")
    for column in ("vram_tree_bytes", "gpu_foreign_processes"):
        assert got.values(column) == [] and got.reasons(column) == {STRANGE_PID}


def computing(
    used_bytes: dict[int, int | None], strange: frozenset[int] = frozenset(), all_seen: bool = True
) -> Listed:
    """Processes none of which draws."""
    return Listed(used_bytes, frozenset(used_bytes), frozenset(), strange, frozenset(), all_seen)


def test_whose_processes_they_are() -> None:
    tree = frozenset({1, 2})
    assert computing({1: 10, 2: 5, 3: 7}).tree_bytes(tree) == 15
    assert computing({1: 10, 2: 5, 3: 7}).foreign(tree) == 1
    assert computing({3: None}).tree_bytes(tree) == 0
    assert computing({1: 10, 2: None}).tree_bytes(tree) == NO_MEMORY
    # One of the tree that has just ended is still the tree's.
    assert computing({1: 10}, strange=frozenset({1})).tree_bytes(tree) == 10


def test_in_a_container_an_empty_list_is_no_zero() -> None:
    empty, some = computing({}, all_seen=False), computing({1: 10, 3: 7}, all_seen=False)
    assert empty.tree_bytes(frozenset({1})) == empty.foreign(frozenset({1})) == MAY_HIDE
    assert empty.desktop(frozenset({1})) == empty.desktop_bytes(frozenset({1})) == MAY_HIDE
    assert some.tree_bytes(frozenset({1})) == 10
    assert some.foreign(frozenset({1})) == 1


@pytest.mark.slow
def test_a_call_that_hangs_and_answers_again(read: Read) -> None:
    got = read(
        steps=[(0, ONE_OF_EACH), (0.5, "hang.PowerUsage 1500\n"), (0.7, "power-mw 1000\n")],
        seconds=3.2,
    )
    assert got.blocked_s < 0.1
    reason = "the NVIDIA driver did not answer nvmlDeviceGetPowerUsage for over 0.5 s"
    hung = [k for k, row in enumerate(got.reads) if row["gpu_util_pct"] == reason]
    assert 5 <= len(hung) <= 15 and hung == list(range(hung[0], hung[-1] + 1))
    for k in hung[1:-1]:
        assert {got.reads[k][column] for column in GPU_COLUMNS} == {reason}
    after = got.reads[hung[-1] + 2 :]
    assert len(after) > 3 and all(row["gpu_power_w"] == 2 for row in after)
    assert any(row["gpu_temp_c"] == 61 for row in after)


def test_a_counter_that_falls_gives_no_energy_any_more(read: Read) -> None:
    got = read(steps=[(0, ""), (0.3, "energy-mj 5\n"), (0.6, "energy-mj 9000000\n")], seconds=0.9)
    assert set(got.values("gpu_energy_j")) == {0}
    assert (
        isinstance(got.reads[-1]["gpu_energy_j"], str)
        and "the counter fell" in got.reads[-1]["gpu_energy_j"]
    )
    energy = Energy()
    assert [energy.since_first_j(mj, 0) for mj in (500, 500, 2500)] == [0, 0, 2]


@pytest.mark.parametrize("lost", ["fail.1 15\n", "fail.HandleByIndex_v2.1 15\n"])
def test_a_lost_card_of_two_takes_the_sum_but_not_the_other_card(lost: str, read: Read) -> None:
    got = read(steps=lost)
    for column in OF_CARDS:
        assert got.values(column) == []
        assert all("GPU is lost (card 1)" in reason for reason in got.reasons(column)), column
    assert {row["util_pct"] for row in got.rows("0")} == {40}
    assert all(value is None for row in got.rows("1") for value in list(row.values())[2:])
    assert got.rows("1") and "GPU is lost" in got.cards[1]["missing"]["power_w"]
    assert got.cards[0]["missing"] == {} and got.cards[1]["index"] == 1


def test_a_card_that_is_lost_on_the_way_and_comes_back(read: Read) -> None:
    got = read(steps=[(0, ""), (0.3, "fail.1 15\n"), (0.7, "")], seconds=1.1)
    lost = [
        isinstance(row["gpu_power_w"], str) for row in got.reads if row["gpu_power_w"] != NOT_YET
    ]
    assert not lost[0] and 2 <= lost.count(True) <= 6 and not lost[-1]


def test_somebody_elses_card_does_not_count(read: Read) -> None:
    got = read("forbidden")
    assert [card["index"] for card in got.cards] == [0]
    assert set(got.values("gpu_util_pct")) == {40} and set(got.values("gpu_power_w")) == {50.25}


def test_mig_instances_have_rows_of_their_own(read: Read) -> None:
    own = (
        "compute-pid-1.0/mig0 PID\ncompute-used-1.0/mig0 40\n"
        "compute-pid-1.0/mig2 PID\ncompute-used-1.0/mig2 2\n"
    )
    got = read("mig", own + "used.0/mig0 111\nused.0/mig2 222\nfail.MemoryInfo_v2.0/mig2 13\n")
    assert [(it["card"], it["name"], it["uuid"]) for it in got.cards[0]["mig"]] == [
        ("0/mig0", "Fake Card MIG 1g.5gb", uuid(0, 0)),
        ("0/mig2", "Fake Card MIG 1g.5gb", uuid(0, 2)),
    ]
    assert got.cards[1]["mig"] == []
    memory = {(row["vram_used_bytes"], row["vram_reserved_bytes"]) for row in got.rows("0/mig0")}
    assert memory == {(111, 100)} and len(got.rows("0/mig0")) == len(got.rows("0"))
    assert {row["vram_reserved_bytes"] for row in got.rows("0/mig2")} == {None}
    assert "Function Not Found" in got.cards[0]["missing"]["0/mig2 vram_reserved_bytes"]
    assert {row["power_w"] for row in got.rows("0/mig0")} == {None}
    assert set(got.values("vram_used_bytes")) == {2000} and set(got.values("vram_tree_bytes")) == {
        42
    }
    assert got.reasons("gpu_util_pct") == {
        "NVML: nvmlDeviceGetUtilizationRates: Not Supported (card 0)"
    }
    assert "nvmlDeviceGetSamples: Not Supported" in got.cards[0]["util_window_reason"]


def test_many_rows_a_second_do_not_make_many_readings(read: Read) -> None:
    got = read(rate_hz=1000, seconds=0.6)
    assert 5 <= len(got.rows("0")) <= 0.6 * 20 + 2
    assert len(got.values("gpu_power_w")) > 0.7 * len(got.reads)


@pytest.mark.parametrize(
    ("row_ms", "reading_ms"),
    [(100, 100), (50, 50), (20, 60), (1, 50), (1000, 1000), (1500, 750), (10000, 1000)],
)
def test_readings_meet_rows(row_ms: int, reading_ms: int) -> None:
    assert reading_period_ns(row_ms * 1_000_000) == reading_ms * 1_000_000
