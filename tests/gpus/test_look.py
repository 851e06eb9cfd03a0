"""What is seen of cards where the driver does not answer as it should."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from evenground.gpus import look as looking
from evenground.gpus.look import Card, Look, look
from evenground.sidecar.gpu import has_library
from stand_in_driver import StandIn, uuid


@pytest.fixture
def here(nvml_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `look` ask the stand-in driver in this process."""
    monkeypatch.setattr(looking, "has_library", lambda: True)
    monkeypatch.setattr(looking, "load_nvml", lambda: nvml_here)


def cards(stand_in: StandIn, answers: str | bytes) -> tuple[Card, ...]:
    stand_in.answers(answers)
    return look().cards


def test_what_is_seen_of_a_card(here: None, stand_in: StandIn) -> None:
    (card,) = cards(
        stand_in, "cards 1\ncapability 90\necc 1\npersistence 0\ncompute-mode 3\naffinity 0x5\n"
    )
    assert (card.name, card.uuid, card.pci) == ("Fake Card", uuid(0), "00000000:01:00.0")
    assert (card.capability, card.ecc, card.persistence) == ("9.0", True, False)
    assert (card.compute_mode, card.near_cpus) == ("exclusive process", (0, 2))
    assert (card.memory_bytes, card.power_limit_w, card.display) == (8 * 10**9, 200.0, False)
    assert not card.missing


def test_instances_of_a_card_have_their_own_names(here: None, stand_in: StandIn) -> None:
    cut, whole = cards(
        stand_in, "mig.0 1\nprofile.0/mig2 3g.40gb\ntotal.0/mig2 4000\nused.0/mig2 1000\n"
    )
    assert cut.is_mig and not whole.is_mig
    assert [part.profile for part in cut.instances] == ["1g.5gb", "3g.40gb"]
    assert [part.uuid for part in cut.instances] == [uuid(0, 0), uuid(0, 2)]
    assert cut.instances[1].memory_bytes == 4000


def test_a_name_that_would_steer_a_terminal_is_shown(here: None, stand_in: StandIn) -> None:
    (card, _) = cards(stand_in, b"name.0 \xf8\x10Gar\x1b[2Jbage\n")
    assert card.name == r"\xf8\x10Gar\x1b[2Jbage"


@pytest.mark.parametrize("odd", [b"GPU-1,GPU-2", b"GPU-1 2", b"\xf8\x10", b"nonsense", b""])
def test_what_is_no_uuid_names_no_card(odd: bytes, here: None, stand_in: StandIn) -> None:
    (card, _) = cards(stand_in, b"uuid.0 " + odd + b"\n")
    assert card.uuid is None and "is no UUID" in card.missing["uuid"]


def test_one_card_that_cannot_be_described_leaves_the_others(
    here: None, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = looking._card

    def broken(driver: Any, index: int, handle: Any) -> Card:
        if index == 0:
            raise IndexError("an answer of another form")
        return whole(driver, index, handle)

    monkeypatch.setattr(looking, "_card", broken)
    stand_in.answers("")
    found = look()
    assert [card.index for card in found.cards] == [1]
    assert "an answer of another form" in found.lost[0]


def test_without_its_python_module_the_driver_is_not_taken_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looking, "has_library", lambda: True)
    monkeypatch.setattr(looking, "load_nvml", lambda: "nvidia-ml-py is not installed")
    assert look().fault == "nvidia-ml-py is not installed"
    monkeypatch.setattr(looking, "has_library", lambda: False)
    assert look() == Look()


def test_a_library_is_there_or_not() -> None:
    assert has_library("libc.so.6") and not has_library("libnone.so.1")


def test_a_driver_that_is_silent_is_said_so(here: None, stand_in: StandIn) -> None:
    stand_in.answers("hang.InitWithFlags 400\n")
    assert look(0.1).fault == "NVIDIA's driver did not answer nvmlInit for 0.1 s"
    for thread in threading.enumerate():
        if thread.name == "nvml":
            thread.join(10)
