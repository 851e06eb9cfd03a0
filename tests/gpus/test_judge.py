"""What of a card is a fault of a training, and in what the cards of several trainings differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from analysis.synthetic import GPU_RECORD
from evenground.gpus.judge import (
    COMPARED,
    FAULTS,
    compared,
    differences,
    gpu_clocks,
    no_persistence,
    power_limit,
)
from evenground.judged import Judged
from evenground.records.gpus import SET_CLOCK, USUAL_CLOCK, GpuRecord

RECORD = TypeAdapter(GpuRecord)
OTHER = "GPU-99999999-2222-3333-4444-555555555555"


def read(**changes: Any) -> GpuRecord:
    return RECORD.validate_json(json.dumps({**GPU_RECORD, **changes}))


def unlike(*records: GpuRecord) -> list[str]:
    return differences([compared(record) for record in records])


def test_a_card_as_it_comes_has_no_fault() -> None:
    assert [judge(read()).size for judge in FAULTS.values()] == [0, 0, 0]


def test_of_an_empty_record_nothing_is_known() -> None:
    empty = GpuRecord("cuda")
    assert {judge(empty).size for judge in FAULTS.values()} == {None}
    assert compared(empty) == {} and unlike(empty, read()) == []


def test_a_power_limit_below_the_cards_own_is_a_fault_and_one_above_is_none() -> None:
    assert power_limit(read(power_limit_w=150.5)) == Judged(49.5, "150.5 W of 200 W")
    assert power_limit(read(power_limit_w=250)).size == 0
    assert power_limit(read(power_limit_w=199.9)).size == 0, "a card's own rounding"
    assert power_limit(read(power_default_w=None)).size is None


def test_a_clock_that_was_set_below_the_usual_one_is_a_fault() -> None:
    assert gpu_clocks(read(clocks={SET_CLOCK: "1200", USUAL_CLOCK: "1800"})) == Judged(
        600, "1200 MHz, usually 1800 MHz"
    )
    for clocks in (
        None,
        {},
        {USUAL_CLOCK: "1800"},
        {SET_CLOCK: "fast", USUAL_CLOCK: "1800"},
        {SET_CLOCK: "1200"},
    ):
        assert gpu_clocks(read(clocks=clocks)).size is None


def test_a_driver_that_is_not_kept_loaded_is_a_fault() -> None:
    assert [no_persistence(read(persistence=one)).size for one in (True, False, None)] == [
        0,
        1,
        None,
    ]
    assert no_persistence(read(persistence=False, display=True)).size == 0, (
        "a desktop keeps it loaded"
    )


def test_alike_cards_do_not_differ() -> None:
    assert unlike(read(), read(), read()) == unlike() == unlike(read()) == []
    assert compared(read()).keys() == set(COMPARED)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"uuid": OTHER}, ["card: 2 cards"]),
        (
            {"pci": "00000000:66:00.0"},
            ["position: 00000000:65:00.0 (2 runs), 00000000:66:00.0 (1 run)"],
        ),
        ({"mig": "1g.10gb"}, ["MIG instance: none (2 runs), 1g.10gb (1 run)"]),
        ({"ecc": True}, ["ECC: off (2 runs), on (1 run)"]),
        ({"power_limit_w": 150}, ["power limit: 200 W (2 runs), 150 W (1 run)"]),
        ({"capability": "9.0"}, ["capability: 8.6 (2 runs), 9.0 (1 run)"]),
        ({"persistence": False}, ["persistence: on (2 runs), off (1 run)"]),
        ({"compute_mode": "prohibited"}, ["compute mode: default (2 runs), prohibited (1 run)"]),
        ({"near_cpus": "2-3"}, ["CPUs near it: 0-1 (2 runs), 2-3 (1 run)"]),
        ({"memory_bytes": 2**30}, ["memory: 8192 MiB (2 runs), 1024 MiB (1 run)"]),
        (
            {"libraries": {"libcudnn.so.9": "elsewhere", "libcuda.so.1": "driver"}},
            [
                "libraries: libcudnn.so.9 environment (2 runs), libcuda.so.1 driver (1 run), "
                "libcudnn.so.9 elsewhere (1 run)"
            ],
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_differs_is_said_once_and_in_words(changes: dict[str, Any], words: list[str]) -> None:
    assert unlike(read(), read(), read(**changes)) == words


def test_no_uuid_is_in_what_is_compared_or_said() -> None:
    cards = [read(), read(uuid=OTHER), read(uuid="MIG-11111111-2222-3333-4444-555555555555")]
    text = json.dumps([compared(card) for card in cards]) + str(unlike(*cards))
    assert "GPU-" not in text and "MIG-" not in text and "2222-3333" not in text
    assert unlike(*cards) == ["card: 3 cards"]


def test_what_is_not_known_is_no_difference() -> None:
    assert unlike(read(ecc=None, uuid=None, libraries=None), read(ecc=True, uuid=OTHER)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"accelerator": "auto"},
        {"accelerator": None},
        {"power_limit_w": -1},
        {"power_limit_w": 1e9},
        {"memory_bytes": 1.5},
        {"ecc": 1},
        {"uuid": "x" * 201},
        {"clocks": {"a": "x" * 201}},
        {"libraries": {str(i): "a" for i in range(257)}},
        {"missing": {"ecc": "x" * 1001}},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**wrong)
