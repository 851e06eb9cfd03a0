"""Machine classes: the same hardware is the same class, and anything that decides timings is in it."""

from dataclasses import replace

import pytest

from evenground.gpus.choice import Choice, Chosen
from evenground.gpus.look import Card
from evenground.runs.machine import Machine, hold, kernel_counts, swapped_pages, this_machine
from evenground.validation import has_gpu

PLAIN = Machine("Intel(R) Core(TM) i5-3570 CPU @ 3.40GHz", 4, 16 * 2**30 - 12345)


def test_the_name_is_readable_and_a_folder_name() -> None:
    assert PLAIN.name.startswith("intel-core-i5-3570-4c-16g-nogpu-")
    assert not has_gpu(PLAIN.name)


@pytest.mark.parametrize(
    "change",
    [
        {"cpu_model": "Intel(R) Core(TM) i5-3570 CPU @ 3.60GHz"},
        {"cores": 2},
        {"memory_bytes": 8 * 2**30},
        {"gpu": "NVIDIA GeForce RTX 3060 Ti"},
        {"driver": "470.103.01"},
    ],
)
def test_what_decides_timings_makes_another_class(change: dict[str, object]) -> None:
    assert replace(PLAIN, **change).name != PLAIN.name  # type: ignore[arg-type]


def test_a_little_less_memory_is_the_same_class() -> None:
    assert replace(PLAIN, memory_bytes=PLAIN.memory_bytes - 2**20).name == PLAIN.name


def test_a_gpu_is_in_the_name_and_in_the_words() -> None:
    machine = replace(PLAIN, gpu="NVIDIA GeForce RTX 3060 Ti", driver="470.103.01")
    assert has_gpu(machine.name) and "nvidia-geforce-rtx-3060-ti" in machine.name
    assert machine.description.endswith("NVIDIA GeForce RTX 3060 Ti, driver 470.103.01")


def test_a_slice_of_a_card_is_another_class_than_the_card() -> None:
    whole = replace(PLAIN, gpu="NVIDIA H100 80GB HBM3")
    slices = [
        replace(PLAIN, gpu=f"NVIDIA H100 80GB HBM3 MIG {kind}") for kind in ("1g.10gb", "7g.80gb")
    ]
    assert len({machine.name for machine in (whole, *slices)}) == 3


def test_the_chosen_card_is_named_to_what_is_started() -> None:
    chosen = Chosen(Card(index=3, name="NVIDIA A100", uuid="GPU-3"))
    environ = {"CUDA_VISIBLE_DEVICES": "3"}
    hold(replace(PLAIN, choice=Choice(chosen)), environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": "GPU-3"}
    hold(PLAIN, environ := {"CUDA_VISIBLE_DEVICES": ""})
    assert environ == {"CUDA_VISIBLE_DEVICES": ""}


def test_this_machine_is_stable() -> None:
    assert this_machine() == this_machine()


def test_pages_swapped_in_and_out_are_counted() -> None:
    counts = {"nr_free_pages": 5, "pswpin": 10, "pswpout": 100, "oom_kill": 1}
    assert swapped_pages(counts, {**counts, "pswpin": 12, "pswpout": 101}) == 3
    assert swapped_pages(counts, counts) == 0


def test_a_kernel_that_counts_no_swapping_leaves_it_unknown() -> None:
    assert swapped_pages({"oom_kill": 0}, {"oom_kill": 0}) is None


def test_this_kernel_is_asked() -> None:
    assert kernel_counts()["nr_free_pages"] > 0
