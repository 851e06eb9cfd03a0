"""The choice of CPUs: a core for each thread, close together, fast ones first, the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpus.made_system import Machine, big_little, hybrid, neighbours, set_cpu, two_packages, write
from evenground.cpus.choice import Choice, Threads, choose
from evenground.cpus.sysfs import CPUS
from evenground.sidecar.cpus import cpu_list, list_text


def chosen(system: Path, threads: Threads, allowed: str) -> Choice:
    return choose(threads, system, cpu_list(allowed))


@pytest.mark.parametrize(
    ("threads", "cpus", "shared"),
    [
        (1, "0", 0),
        (2, "0,2", 0),
        (4, "0,2,4,6", 0),
        (5, "0-2,4,6", 2),
        (8, "0-7", 8),
        (9, "0-7", 8),
        ("all", "0-7", 8),
    ],
)
def test_siblings_are_used_only_when_there_are_not_enough_cores(
    tmp_path: Path, threads: Threads, cpus: str, shared: int
) -> None:
    choice = chosen(neighbours(4).write(tmp_path), threads, "0-7")
    assert (list_text(choice.chosen), choice.n_shared) == (cpus, shared)
    assert not choice.missing


@pytest.mark.parametrize(
    ("threads", "allowed", "cpus", "packages", "shared"),
    [
        (2, "0-15", "0-1", 1, 0),
        (4, "0-15", "0-3", 1, 0),
        # A core of the other package is better than a sibling.
        (5, "0-15", "0-4", 2, 0),
        (8, "0-15", "0-7", 2, 0),
        (9, "0-15", "0-8", 2, 2),
        # One CPU of the first package and four of the second: all of the second.
        (2, "3-7", "4-5", 1, 0),
        (4, "3-7", "4-7", 1, 0),
        (5, "3-7", "3-7", 2, 0),
        # One sibling of each core is all that a cpuset has.
        (4, "8-15", "8-11", 1, 0),
        (2, "0,8,1,9", "0-1", 1, 0),
        # Two hardware threads of one core are all there is.
        (2, "1,9", "1,9", 1, 2),
        # The second of one core, the first of another.
        (2, "5,13,12", "5,12", 1, 0),
    ],
)
def test_one_package_first_and_only_what_is_allowed(
    tmp_path: Path, threads: int, allowed: str, cpus: str, packages: int, shared: int
) -> None:
    choice = chosen(two_packages().write(tmp_path), threads, allowed)
    assert list_text(choice.chosen) == cpus
    assert choice.differ_in("package") == packages
    assert choice.n_shared == shared


def test_numa_nodes_of_one_package_are_kept_apart(tmp_path: Path) -> None:
    """Every other core is of the other node, as with two dies in turn."""
    machine = Machine([(cpu,) for cpu in range(8)], node_of={cpu: cpu % 2 for cpu in range(8)})
    choice = chosen(machine.write(tmp_path), 4, "0-7")
    assert list_text(choice.chosen) == "0,2,4,6"
    assert choice.differ_in("node") == 1


@pytest.mark.parametrize(
    ("threads", "near", "cpus"),
    [
        (2, range(4), "0-1"),
        (2, range(4, 8), "4-5"),  # those near the card, though the first package would hold them
        (4, range(4, 8), "4-7"),
        (6, range(4, 8), "0-1,4-7"),
        (2, range(40, 44), "0-1"),  # none of them is ours
    ],
)
def test_cpus_near_the_card_come_first(
    tmp_path: Path, threads: int, near: range, cpus: str
) -> None:
    machine = Machine([(cpu,) for cpu in range(8)], package_of={cpu: cpu // 4 for cpu in range(8)})
    found = choose(threads, machine.write(tmp_path), range(8), near)
    assert list_text(found.chosen) == cpus


def test_a_core_near_the_card_is_not_shared_while_a_far_one_is_free(tmp_path: Path) -> None:
    machine = Machine([(0, 1), (2, 3)], package_of={0: 0, 1: 0, 2: 1, 3: 1})
    assert list_text(choose(2, machine.write(tmp_path), range(4), (2, 3)).chosen) == "0,2"


@pytest.mark.parametrize(
    ("threads", "cpus", "shared", "slower"),
    [
        (2, "0,2", 0, 0),
        (4, "0,2,4,6", 0, 0),
        (6, "0,2,4,6,8-9", 0, 2),
        (8, "0,2,4,6,8-11", 0, 4),
        (9, "0-2,4,6,8-11", 2, 4),
    ],
)
def test_fast_cores_of_a_hybrid_processor_come_first(
    tmp_path: Path, threads: int, cpus: str, shared: int, slower: int
) -> None:
    choice = chosen(hybrid(tmp_path), threads, "0-11")
    assert (list_text(choice.chosen), choice.n_shared, choice.n_slower) == (cpus, shared, slower)


def test_slow_cores_alone_are_alike(tmp_path: Path) -> None:
    choice = chosen(hybrid(tmp_path), 2, "8-11")
    assert (list_text(choice.chosen), choice.n_slower) == ("8-9", 0)


@pytest.mark.parametrize(
    ("threads", "cpus", "slower"), [(1, "4", 0), (2, "4-5", 0), (3, "0,4-5", 1)]
)
def test_fast_cores_of_an_arm_board_come_first(
    tmp_path: Path, threads: int, cpus: str, slower: int
) -> None:
    choice = chosen(big_little(tmp_path), threads, "0-5")
    assert (list_text(choice.chosen), choice.n_slower) == (cpus, slower)


def test_a_little_more_clock_is_no_other_kind_of_core(tmp_path: Path) -> None:
    big_little(tmp_path)
    set_cpu(tmp_path, 4, "cpu_capacity", 1003)
    choice = chosen(tmp_path, 2, "0-5")
    assert (list_text(choice.chosen), choice.n_slower) == ("4-5", 0)


def test_without_sysfs_the_first_ones_are_taken_and_the_reason_is_kept(tmp_path: Path) -> None:
    choice = chosen(tmp_path, 2, "1,3,5")
    assert (choice.chosen, choice.n_shared, choice.n_slower) == ((1, 3), None, None)
    folder = "there is no cpu{}/topology/core_cpus_list"
    assert choice.missing["places"] == f"{folder.format(1)}, {folder.format(3)}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            ("core_cpus_list", text)
            for text in ("", "garbage", "0-", "1-0", "0,,1", "9", "0-99999999999", "-1")
        ),
        *(("physical_package_id", text) for text in ("", "garbage", "0x0", "1.5", "٠", "9" * 30)),
    ],
)
def test_one_cpu_whose_files_are_garbage_comes_last(tmp_path: Path, name: str, text: str) -> None:
    neighbours(3).write(tmp_path)
    set_cpu(tmp_path, 0, f"topology/{name}", text)
    choice = chosen(tmp_path, 2, "0-5")
    assert (choice.chosen, choice.n_shared) in (((1, 2), 0), ((2, 4), 0)) and not choice.missing
    everything = chosen(tmp_path, "all", "0-5")
    assert everything.n_shared is None
    assert name in everything.missing["places"] and "\n" not in everything.missing["places"]


def test_files_that_may_not_be_read_are_a_reason(tmp_path: Path) -> None:
    neighbours(2).write(tmp_path)
    path = tmp_path / CPUS / "cpu0/topology/core_cpus_list"
    path.unlink()
    path.mkdir()  # a folder cannot be read, whoever asks
    choice = chosen(tmp_path, 4, "0-3")
    assert "cannot be read: Is a directory" in choice.missing["places"]


def test_kinds_of_core_that_cannot_be_told_are_a_reason_and_change_nothing_else(
    tmp_path: Path,
) -> None:
    hybrid(tmp_path)
    write(tmp_path, "sys/devices/cpu_core/cpus", "many")
    choice = chosen(tmp_path, 2, "0-11")
    assert (choice.chosen, choice.n_shared, choice.n_slower) == ((0, 2), 0, None)
    assert choice.missing == {"kinds": "devices/cpu_core/cpus is no list of CPUs: 'many'"}


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
def test_the_same_machine_gives_the_same_choice(tmp_path: Path, threads: int) -> None:
    two_packages().write(tmp_path)
    assert chosen(tmp_path, threads, "0-15") == chosen(tmp_path, threads, "15,0-14")


def test_this_machine_has_as_many_as_are_asked_for() -> None:
    assert len(choose(1).chosen) == 1
    assert choose("all").is_whole and choose(10**6).chosen == choose("all").chosen
