"""Which card a training gets: of every form in which one can be named, and of none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evenground.gpus.choice import AUTO, Choice, choose
from evenground.gpus.look import Card, Instance, Look
from evenground.sidecar.nvml import OnCard

GIB = 2**30
A, B = "GPU-8f0c3a51-4d2e-5b17-9a64-c08e71d3f200", "GPU-9f0c3a51-4d2e-5b17-9a64-c08e71d3f201"
MIG_A, MIG_B = (
    "MIG-0f0c3a51-4d2e-5b17-9a64-c08e71d3f208",
    "MIG-1f0c3a51-4d2e-5b17-9a64-c08e71d3f209",
)
BUSY = (OnCard(4711, (0, 0), GIB),)
H100 = Card(
    index=0,
    name="NVIDIA H100",
    uuid=A,
    pci="00000000:81:00.0",
    memory_bytes=80 * GIB,
    free_bytes=79 * GIB,
    computing=(),
)
T400 = replace(
    H100,
    index=1,
    name="NVIDIA T400",
    uuid=B,
    pci="00000000:01:00.0",
    memory_bytes=4 * GIB,
    free_bytes=4 * GIB,
)
ONE, MIXED = Look((H100,), "580.1"), Look((H100, T400), "580.1")
EIGHT = Look(
    tuple(replace(H100, index=k, uuid=f"GPU-{k}{A[5:]}", pci=f"0000:{k}1:00.0") for k in range(8))
)
ALIKE = Look(
    (replace(H100, pci="00000000:81:00.0"), replace(H100, index=1, uuid=B, pci="00000000:01:00.0"))
)


def instance(uuid: str | None, free_bytes: int = GIB) -> Instance:
    return Instance(uuid, "1g.10gb", 10 * GIB, free_bytes, ())


CUT = Look(
    (replace(H100, is_mig=True, instances=(instance(MIG_A), instance(MIG_B, 2 * GIB))), T400)
)
CUT_IN_ONE = Look((replace(H100, is_mig=True, instances=(instance(MIG_A), instance(None))),))
GONE = {"uuid": "NVML: GPU is lost"}
UNCUT = Look((replace(H100, is_mig=True),))


def uuid_of(choice: Choice) -> str | None:
    return choice.chosen.uuid if choice.chosen else None


@pytest.mark.parametrize(
    ("look", "visible", "wanted"),
    [
        # By number: CUDA counts by the bus where all cards are alike.
        (ONE, "0", A),
        (ALIKE, "0", B),
        (ALIKE, "1", A),
        (EIGHT, "7", "GPU-7f0c3a51-4d2e-5b17-9a64-c08e71d3f200"),
        (EIGHT, " 3 ", "GPU-3f0c3a51-4d2e-5b17-9a64-c08e71d3f200"),
        # By name, or by the beginning of one.
        (MIXED, A, A),
        (MIXED, B, B),
        (MIXED, "GPU-9", B),
        (CUT, MIG_B, MIG_B),
        (CUT, "MIG-0", MIG_A),
        (CUT_IN_ONE, "0", MIG_A),
        (CUT_IN_ONE, A, MIG_A),
        # The list ends at the first that names none.
        (MIXED, f"{B},-1,{A}", B),
        (MIXED, f"{B},99", B),
        (MIXED, f"{B},", B),
        # None of them.
        (MIXED, "", None),
        (MIXED, "-1", None),
        (MIXED, f"-1,{A}", None),
        (MIXED, "NoDevFiles", None),
        (Look(), "0", None),
        (Look(), "GPU-1,GPU-2", None),
        # The position of the only card, as on a board that shares memory, says nothing.
        (Look((replace(H100, pci=None),)), "0", A),
    ],
)
def test_what_the_callers_variable_names(look: Look, visible: str, wanted: str | None) -> None:
    choice = choose(look, AUTO, {"CUDA_VISIBLE_DEVICES": visible})
    assert (uuid_of(choice), choice.fault) == (wanted, None)


@pytest.mark.parametrize(
    ("look", "visible", "why"),
    [
        (
            MIXED,
            "0",
            "CUDA counts the fastest card first, nvidia-smi by the bus, and the cards are unlike",
        ),
        (ONE, "1", f"there is no such card; there are: 0 {A}"),
        (ONE, "²", "there is no such card"),
        (ONE, "9" * 5000, "there is no such card"),
        (ONE, "GPU-77", "there is no such card"),
        (ONE, "all", "there is no such card"),
        (EIGHT, "GPU-", "names 8 cards"),
        (EIGHT, "0,1", "CUDA_VISIBLE_DEVICES=0,1 names 2 cards, and one training is on one"),
        (MIXED, f"{A},{B}", "names 2 cards, and one training is on one"),
        (CUT, A, f"has 2 MIG instances: {MIG_A}, {MIG_B}"),
        (UNCUT, "0", "it is in MIG mode, and has no instance"),
        (Look(forbidden=(0,)), "0", "this user, or this job of a scheduler, may not use it"),
        (Look(lost={0: "NVML: GPU is lost"}), "0", "card 0: NVML: GPU is lost"),
        # CUDA's 1 could be the lost card, or the first behind it.
        (
            Look((H100, replace(H100, index=1, uuid=None, pci=None, missing=GONE))),
            "1",
            "is not clear",
        ),
        (Look(EIGHT.cards[1:], lost={0: "NVML: GPU is lost"}), "1", "is not clear"),
        (
            Look((H100,), lost={1: "NVML: GPU is lost"}),
            B,
            "not to be used: card 1: NVML: GPU is lost",
        ),
        (
            Look((replace(H100, uuid=None, missing=GONE),)),
            A,
            "not to be used: card 0: NVML: GPU is lost",
        ),
    ],
)
def test_what_the_callers_variable_cannot_name(look: Look, visible: str, why: str) -> None:
    choice = choose(look, AUTO, {"CUDA_VISIBLE_DEVICES": visible})
    assert choice.chosen is None and why in str(choice.fault) and choice.fix


def test_by_the_bus_a_number_is_clear_of_unlike_cards_too() -> None:
    given = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert uuid_of(choose(MIXED, AUTO, given)) == B


@pytest.mark.parametrize(
    ("cards", "wanted"),
    [
        ((H100, T400), A),
        ((replace(H100, computing=BUSY), T400), B),
        ((replace(H100, computing=BUSY), replace(T400, computing=BUSY)), A),
        ((replace(H100, free_bytes=GIB), T400), B),
        ((replace(H100, free_bytes=None), T400), B),
        ((replace(H100, free_bytes=4 * GIB), T400), B),
        ((replace(H100, computing=None), T400), A),
        ((replace(H100, uuid=None), T400), B),
        ((replace(H100, is_mig=True), T400), B),
    ],
    ids=[
        "most free memory",
        "idle before that",
        "all are busy",
        "less is free",
        "free memory is not known",
        "equal: by the bus",
        "who computes is not known",
        "no name",
        "no instance",
    ],
)
def test_auto_takes_the_idle_card_with_the_most_free_memory(
    cards: tuple[Card, ...], wanted: str
) -> None:
    assert uuid_of(choose(Look(cards))) == wanted


def test_auto_takes_an_instance_where_a_card_is_cut_up() -> None:
    assert uuid_of(choose(Look((CUT.cards[0],)))) == MIG_B
    chosen = choose(CUT_IN_ONE).chosen
    assert chosen and chosen.model == "NVIDIA H100 MIG 1g.10gb" and chosen.memory_bytes == 10 * GIB


@pytest.mark.parametrize(
    ("look", "why"),
    [
        (Look(fault="NVML: nvmlInit: Driver/library version mismatch"), "version mismatch"),
        (Look(lost={1: "NVML: GPU is lost"}), "card 1: NVML: GPU is lost"),
        (
            Look(forbidden=(0, 3)),
            "card 0, 3: this user, or this job of a scheduler, may not use it",
        ),
        (Look((Card(0, missing={"uuid": "NVML: Not Supported"}),)), "card 0: NVML: Not Supported"),
        (UNCUT, "card 0: it is in MIG mode, and has no instance"),
    ],
)
def test_auto_says_why_no_card_can_be_used(look: Look, why: str) -> None:
    choice = choose(look)
    assert choice.chosen is None and why in str(choice.fault) and choice.fix


def test_where_all_cards_are_cut_up_into_nothing_the_driver_is_whole() -> None:
    assert choose(UNCUT).fix.startswith("as administrator: nvidia-smi mig -cgi")
    assert choose(replace(UNCUT, lost={1: "NVML: GPU is lost"})).fix.startswith(
        "fix NVIDIA's driver"
    )


def test_without_a_card_nothing_is_at_fault() -> None:
    assert choose(Look()) == Choice()


def test_who_hides_all_cards_need_not_mend_the_driver() -> None:
    assert choose(Look(fault="NVML: Unknown Error"), AUTO, {"CUDA_VISIBLE_DEVICES": ""}) == Choice()


@pytest.mark.parametrize(
    ("look", "gpu", "visible", "wanted"),
    [
        (MIXED, "0", None, A),
        (MIXED, "1", None, B),
        (MIXED, B, None, B),
        (CUT_IN_ONE, "0", None, MIG_A),
        (CUT, MIG_A, None, MIG_A),
        # The key names one of the caller's.
        (MIXED, "1", B, B),
        (MIXED, "1", f"{A},{B}", B),
        (EIGHT, "1", "0,1", "GPU-1f0c3a51-4d2e-5b17-9a64-c08e71d3f200"),
    ],
)
def test_the_experiments_key(look: Look, gpu: str, visible: str | None, wanted: str) -> None:
    given = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert uuid_of(choose(look, gpu, given)) == wanted


@pytest.mark.parametrize(
    ("look", "gpu", "visible", "why"),
    [
        (MIXED, "2", None, f"gpu: 2: there is no such card; there are: 0 {A}, 1 {B}"),
        (
            Look((H100,), forbidden=(1,)),
            "1",
            None,
            "gpu: 1: this user, or this job of a scheduler, may not",
        ),
        (Look((H100,), lost={1: "GPU is lost"}), "1", None, "gpu: 1: GPU is lost"),
        (CUT, "0", None, f"gpu: 0 has 2 MIG instances: {MIG_A}, {MIG_B}"),
        (Look(), "0", None, "gpu: 0: there is no such card; there are: none"),
        (MIXED, "0", B, f"gpu: 0 is not the card of CUDA_VISIBLE_DEVICES={B}"),
        (MIXED, "0", "", "gpu: 0 is not the card of CUDA_VISIBLE_DEVICES="),
        (MIXED, "0", "0", "CUDA counts the fastest card first"),
    ],
)
def test_a_key_that_names_no_card_of_this_invocation(
    look: Look, gpu: str, visible: str | None, why: str
) -> None:
    choice = choose(look, gpu, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    assert choice.chosen is None and why in str(choice.fault) and choice.fix
