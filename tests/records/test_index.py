"""An index of conditions: what each is called, what all of them name, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evenground.errors import EvengroundError
from evenground.files import write_json
from evenground.records.index import Condition, Index, read_index
from evenground.records.plan import Dataset, Engine, Machine, names_of
from made_records import (
    MACHINE,
    index_of,
    made_condition,
    made_run,
    made_wanted,
)

# The content of an index and its second condition, to be spoilt.
Harm = Callable[[dict[str, Any], dict[str, Any]], object]
OTHER = Machine(class_name="other-nogpu-1", description="Another CPU")


def of_epochs(epochs: int, machine: Machine = MACHINE, **changes: Any) -> Condition:
    """A condition of that many epochs with one finished and one missing run."""
    done = made_run(key=f"k{epochs}", machine=machine.class_name)
    lost = done.model_copy(update={"repetition": 2, "order": 2})
    runs = made_wanted(done), made_wanted(lost, "missing")
    return made_condition(*runs, machine=machine, values={"epochs": epochs}, **changes)


SWEPT = index_of(of_epochs(1), of_epochs(2))


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ([("m", {"epochs": 3})], [""]),
        ([("m", {}), ("n", {})], ["m", "n"]),
        ([("m", {"epochs": 3}), ("m", {"epochs": 4})], ["epochs-3", "epochs-4"]),
        (
            [("m", {"epochs": 3, "threads": "all"}), ("n", {"epochs": 3, "threads": 1})],
            ["m_epochs-3_threads-all", "n_epochs-3_threads-1"],
        ),
    ],
)
def test_a_condition_is_called_by_what_tells_it_from_the_others(
    conditions: list[tuple[str, dict[str, object]]], names: list[str]
) -> None:
    assert names_of(conditions) == names


def test_the_names_of_an_index_are_in_its_order(tmp_path: Path) -> None:
    index = index_of(of_epochs(2), of_epochs(1), of_epochs(2, OTHER))
    own = MACHINE.class_name
    assert list(index.named) == [f"{own}_epochs-2", f"{own}_epochs-1", "other-nogpu-1_epochs-2"]
    assert tuple(index.named.values()) == index.conditions and index.first == index.conditions[0]
    index.write(tmp_path / "results/native/index.json")
    read = read_index(tmp_path / "results/native/index.json")
    assert read == index.below(tmp_path) and {each.root for each in read.conditions} == {tmp_path}


def test_the_runs_of_an_index_are_those_of_all_conditions() -> None:
    assert [run.key for run in SWEPT.runs] == ["k1", "k1", "k2", "k2"]
    assert [(run.key, run.repetition) for run in SWEPT.finished] == [("k1", 1), ("k2", 1)]
    keys = ("k1", "k2")
    place = Path(MACHINE.class_name, "d", "a")
    assert SWEPT.run_paths == {place / key / f"r{number}" for key in keys for number in (1, 2)}


def test_the_same_key_on_two_machines_is_two_runs() -> None:
    index = index_of(of_epochs(1), of_epochs(1, OTHER))
    assert len(index.run_paths) == 4
    assert [machine.class_name for machine in index.machines] == ["made-nogpu-1", "other-nogpu-1"]


def test_a_machine_has_the_description_of_its_first_condition() -> None:
    later = MACHINE.model_copy(update={"description": "The same, described otherwise"})
    assert index_of(of_epochs(1), of_epochs(2, later)).machines == [MACHINE]


def test_engines_and_datasets_of_any_condition_are_named_once() -> None:
    a, b = (Engine(name=name, label=name, colour="#000000") for name in "ab")
    more = Dataset(name="e", title="E", network="mlp", train_examples=9)
    first = of_epochs(1)
    second = of_epochs(2, engines=(b, a), datasets=(*first.datasets, more))
    index = index_of(first, second)
    assert [engine.name for engine in index.engines] == ["a", "b"]
    assert [dataset.name for dataset in index.datasets] == ["d", "e"]


def test_a_file_beside_several_conditions_is_named_once() -> None:
    assert [file.path for file in SWEPT.files_beside] == ["results/calibration/made/x.json"]
    none = index_of(of_epochs(1, calibration=None), of_epochs(2, calibration=None))
    assert none.files_beside == []


TWICE = "a condition on made-nogpu-1 stands there twice"
NO_VALUE = "a condition on made-nogpu-1 has not a value of each of `swept`"
OTHER_VALUE = "a condition on made-nogpu-1 has another epochs than it trained"


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda content, second: content["conditions"].append(second), TWICE),
        (lambda content, second: second["parameters"].update(epochs=9), OTHER_VALUE),
        (lambda content, second: second["values"].clear(), NO_VALUE),
        (lambda content, second: second["values"].update(threads=2), NO_VALUE),
        (lambda content, second: content["swept"].clear(), NO_VALUE),
        (lambda content, second: content["swept"].append("threads"), NO_VALUE),
        (
            lambda content, second: second.update(deployment="apptainer"),
            "conditions of several deployments",
        ),
    ],
)
def test_conditions_that_do_not_fit_together_are_refused_in_one_line(
    tmp_path: Path, harm: Harm, fault: str
) -> None:
    content = SWEPT.content()
    harm(content, content["conditions"][1])
    write_json(tmp_path / "index.json", content)
    with pytest.raises(EvengroundError, match=fault) as caught:
        read_index(tmp_path / "index.json")
    assert "\n" not in str(caught.value) and str(tmp_path / "index.json") in str(caught.value)


def test_an_index_without_any_condition_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        Index(conditions=())
