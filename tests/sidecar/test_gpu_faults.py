"""What every machine and every fault of the driver makes of one reading: a right value or a reason."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from evenground.sidecar.columns import GPU_COLUMNS
from evenground.sidecar.gpu_latest import AGE, Latest
from evenground.sidecar.gpu_processes import NO_MEMORY, STRANGE_PID
from evenground.sidecar.gpu_reader import NO_CARD, NoSuchCard, Reader
from evenground.sidecar.nvml import Driver, Reading, Reason
from stand_in_driver import SOURCES, StandIn, uuid

CODES = [*range(1, 30), 999, 12345, 2**31 - 1, 2**32 - 1]
COLUMNS = [column for column in GPU_COLUMNS if column != AGE]
# The sidecar does not ask these.
NOT_ASKED = {
    *(
        "ComputeInstanceId",
        "ComputeMode",
        "CpuAffinity",
        "CudaComputeCapability",
        "CudaDriverVersion",
    ),
    *(
        "CudaDriverVersion_v2",
        "DeviceHandleFromMigDeviceHandle",
        "DisplayActive",
        "DisplayMode",
        "EccMode",
    ),
    *(
        "EnforcedPowerLimit",
        "GpuInstanceId",
        "HandleByUUID",
        "Index",
        "IsMigDeviceHandle",
        "MinorNumber",
    ),
    *(
        "PciInfo_v3",
        "PersistenceMode",
        "PowerManagementDefaultLimit",
        "PowerManagementLimit",
        "Shutdown",
    ),
}
# What older calls answer, too, so that falling back to them changes no value.
ANY_CALL = "reserved 0\nthrottle 4\ntemp 50\ncompute-pid-1.0 1\ngraphics-pid-1.0 1\n"
WORDS = r'(?:BEGIN|BEGIN_CARD|begin_call)\("(\w+)"'
CALLS = sorted(
    {
        word
        for word in re.findall(WORDS, (SOURCES / "fake_nvml.c").read_text())
        if word not in NOT_ASKED
    }
    | {"ClockInfo", "ComputeRunningProcesses_v3", "GraphicsRunningProcesses_v3"}
)
H100 = "NVIDIA H100 80GB HBM3"
Read = Callable[..., dict[str, Reading]]


class Once:
    """One reading of everything."""

    def __init__(
        self, nvml: Any, chosen: str | None = None, tree: frozenset[int] = frozenset()
    ) -> None:
        driver = Driver(nvml)
        latest = Latest(driver, 100_000_000)
        self.reader = Reader(driver, latest, chosen)
        latest.began_ns = time.monotonic_ns()
        try:
            dead = self.reader.open()
        except NoSuchCard as error:
            dead = Reason(error)
        except nvml.NVMLError as error:
            dead = driver.why(error)
        if dead is None:
            self.reader.read_every_time()
            list(self.reader.slow_steps(0))
        self.values: dict[str, Reading] = {
            column: latest.take(column, latest.began_ns, tree) if dead is None else dead
            for column in COLUMNS
        }

    def abouts(self) -> list[dict[str, Any]]:
        return [card.about() for card in self.reader.cards]


@pytest.mark.parametrize("cards", [1, 2, 8])
@pytest.mark.parametrize("call", CALLS)
def test_every_error_of_every_call_gives_the_right_value_or_a_reason(
    call: str, cards: int, stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers(f"cards {cards}\n{ANY_CALL}")
    plain = Once(nvml_here, uuid(0)).values
    assert not any(isinstance(value, Reason) for value in plain.values())
    for code in CODES if cards == 1 else (4, 999):
        stand_in.answers(f"fail.{call} {code}\ncards {cards}\n{ANY_CALL}")
        for column, value in Once(nvml_here, uuid(0)).values.items():
            assert value == plain[column] or (isinstance(value, Reason) and value), (column, code)


@pytest.mark.parametrize(
    "call", [call for call in CALLS if re.search("Mig|Memory|UUID|Process", call)]
)
def test_every_error_beside_a_mig_instance_too(
    call: str, stand_in: StandIn, nvml_here: Any
) -> None:
    slices = f"{ANY_CALL}cards 2\nmig.1 1\nused.1/mig2 77\n"
    stand_in.answers(slices)
    plain = Once(nvml_here, uuid(1, 2)).values
    assert plain["vram_used_bytes"] == 77
    for code in CODES:
        stand_in.answers(f"fail.{call} {code}\n{slices}")
        for column, value in Once(nvml_here, uuid(1, 2)).values.items():
            assert value == plain[column] or isinstance(value, Reason), (column, code)


def test_eight_cards_are_folded_and_one_alone_counts(stand_in: StandIn, nvml_here: Any) -> None:
    busy = "util 0\nutil.5 100\npower-mw 70000\npower-mw.5 600000\nused 10\nused.5 5000\ncompute-pid-1.2 1\n"
    stand_in.answers(f"cards 8\n{busy}")
    every = Once(nvml_here)
    assert every.values["gpu_util_pct"] == 12.5 and every.values["gpu_power_w"] == 1090
    assert every.values["gpu_foreign_processes"] == 1 and len(every.abouts()) == 8
    one = Once(nvml_here, uuid(5))
    assert (one.values["gpu_util_pct"], one.values["gpu_power_w"]) == (100, 600)
    assert (one.values["vram_used_bytes"], one.values["gpu_foreign_processes"]) == (5000, 0)
    assert one.values["gpu_temp_c"] == 65
    # The others still have their rows.
    assert sorted(row[1] for row in one.reader.rows) == list("01234567")


def test_of_a_mig_instance_memory_and_processes_are_its_own(
    stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers(
        f"cards 2\nname {H100}\nmig.1 1\nprofile.1/mig0 1g.10gb\nused.1/mig0 500\nused.1 9000\n"
        "compute-pid-1.1/mig2 1\nsm-mhz.1 1980\n"
    )
    one = Once(nvml_here, uuid(1, 0))
    assert one.values["vram_used_bytes"] == 500 and one.values["gpu_foreign_processes"] == 0
    assert one.values["gpu_sm_clock_mhz"] == 1980 and one.values["gpu_temp_c"] == 61
    whole = ["gpu_util_pct", "gpu_power_w", "gpu_power_instant_w", "gpu_energy_j"]
    for column in whole:
        assert "of the whole card only" in str(one.values[column]), column
    assert Once(nvml_here, uuid(1, 2)).values["gpu_foreign_processes"] == 1
    about = one.abouts()[1]["mig"][0]
    assert (about["name"], about["uuid"]) == (f"{H100} MIG 1g.10gb", uuid(1, 0))


def test_a_lost_card_leaves_the_chosen_ones_values(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers("fail.0 15\n")
    values = Once(nvml_here, uuid(1)).values
    assert not [value for value in values.values() if isinstance(value, Reason)]
    assert values["gpu_util_pct"] == 50


def test_a_card_that_is_not_there_is_refused_and_the_message_says_which_are(
    stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers(f"name.1 {H100}\nmig.1 1\n")
    latest = Latest(Driver(nvml_here), 100_000_000)
    with pytest.raises(NoSuchCard) as refused:
        Reader(Driver(nvml_here), latest, "GPU-0").open()
    said = str(refused.value)
    assert said.startswith("no card has the UUID GPU-0: here are ")
    assert (
        f"{uuid(0)} (Fake Card), {uuid(1)} ({H100})" in said
        and f"{uuid(1, 2)} ({H100} MIG 1g.5gb)" in said
    )


def test_a_card_that_hides_its_uuid_may_be_the_one(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers("fail.UUID.1 15\n")
    (reason,) = set(Once(nvml_here, uuid(1)).values.values())
    assert "of card 1 not all is known: NVML: nvmlDeviceGetUUID: GPU is lost" in str(reason)


def test_names_that_are_no_text_are_shown_as_bytes(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers(b"name.0 \xf8\x10Garbage\nuuid.1 GPU-\xff\n")
    seen = Once(nvml_here)
    assert [about["name"] for about in seen.abouts()] == ["\\xf8\x10Garbage", "Fake Card"]
    assert seen.abouts()[1]["uuid"] == "GPU-\\xff" and seen.abouts()[0]["missing"] == {}
    assert not [value for value in seen.values.values() if isinstance(value, Reason)]


@pytest.mark.parametrize(
    ("answer", "columns"),
    [
        ("util 4294967295", ["gpu_util_pct"]),
        ("util 101", ["gpu_util_pct"]),
        ("used 8000000001", ["vram_used_bytes"]),
        ("used 18446744073709551615", ["vram_used_bytes"]),
        ("reserved 9000000000", ["vram_reserved_bytes"]),
        ("total 0", ["vram_used_bytes", "vram_reserved_bytes"]),
        ("total 18446744073709551615", ["vram_used_bytes", "vram_reserved_bytes"]),
        ("power-mw 4294967295", ["gpu_power_w"]),
        ("power-instant-mw 4294967295", ["gpu_power_instant_w"]),
        ("energy-mj 18446744073709551615", ["gpu_energy_j"]),
        ("sm-mhz 4294967295", ["gpu_sm_clock_mhz"]),
        ("mem-mhz 4294967295", ["gpu_mem_clock_mhz"]),
        ("throttle 18446744073709551615", ["gpu_throttle_reasons"]),
        ("throttle 4294967295", ["gpu_throttle_reasons"]),
        ("temp 2147483647", ["gpu_temp_c"]),
    ],
)
def test_what_cannot_be_is_missing_with_its_reason(
    answer: str, columns: list[str], stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers(f"cards 1\n{answer}\n")
    missing = {
        name: value for name, value in Once(nvml_here).values.items() if isinstance(value, Reason)
    }
    assert sorted(missing) == sorted(columns)
    assert all(", which is no " in value for value in missing.values())


def test_a_machine_that_says_it_has_four_billion_cards(stand_in: StandIn, nvml_here: Any) -> None:
    class Boasting:
        def __getattr__(self, name: str) -> Any:
            return (lambda: 2**32 - 1) if name == "nvmlDeviceGetCount" else getattr(nvml_here, name)

    with pytest.raises(ValueError, match="no number of cards"):
        Reader(Driver(Boasting()), Latest(Driver(nvml_here), 1), None).open()


def test_no_card_is_a_reason(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers("cards 0\n")
    assert set(Once(nvml_here).values.values()) == {NO_CARD}


def test_an_energy_that_leaps_is_missing_until_it_is_right_again(
    stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers("cards 1\nenergy-mj 1000\n")
    seen = Once(nvml_here)
    told = []
    for counter_mj in (2000, 999_999_999_999, 3000):
        stand_in.answers(f"cards 1\nenergy-mj {counter_mj}\n")
        told.append(seen.reader.cards[0].read()["0"]["energy_j"])
    assert told[0] == 1 and told[2] == 2 and "rose by" in str(told[1])


def test_the_long_entries_of_the_early_535_drivers(
    stand_in: StandIn, nvml_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = f"compute-pid-1 1\ncompute-used-1 700\ncompute-pid-2 {os.getpid()}\ncompute-used-2 40\n"
    stand_in.answers(f"cards 1\n{two}")
    monkeypatch.setenv("FAKE_NVML", "driver-535")
    values = Once(nvml_here, tree=frozenset({1})).values
    assert (values["vram_tree_bytes"], values["gpu_foreign_processes"]) == (700, 1)
    # Another driver with the same functions as of today has short ones.
    stand_in.answers(f"cards 1\nprocess-bytes 24\nfail.RunningProcessDetailList 0\n{two}")
    values = Once(nvml_here, tree=frozenset({1})).values
    assert (values["vram_tree_bytes"], values["gpu_foreign_processes"]) == (700, 1)


def test_a_process_with_more_memory_than_the_card_has_tells_none(
    stand_in: StandIn, nvml_here: Any
) -> None:
    stand_in.answers("cards 1\ncompute-pid-1 1\ncompute-used-1 8000000001\n")
    values = Once(nvml_here, tree=frozenset({1})).values
    assert values["vram_tree_bytes"] == NO_MEMORY and values["gpu_foreign_processes"] == 0


def test_a_process_number_beyond_all_is_strange(stand_in: StandIn, nvml_here: Any) -> None:
    stand_in.answers("cards 1\ncompute-pid-1 4294967295\n")
    values = Once(nvml_here).values
    assert values["gpu_foreign_processes"] == values["vram_tree_bytes"] == STRANGE_PID
    assert values["gpu_desktop_processes"] == 0
