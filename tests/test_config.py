"""The typed model of the experiment: what it refuses, in one line, and the pages made from it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from evenground.analysis.statistics import MIN_PAIRS
from evenground.config import MIN_LOOK, Experiment, load_experiment
from evenground.engines import load_engines
from evenground.errors import EvengroundError
from working_copy import ABSENT

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, r"unknown key 'epoch' = 3 \(here\.yaml\): did you mean 'epochs'"),
        ({"zzz": 1}, r"unknown key 'zzz' = 1 .*there are: datasets, engines"),
        ({"gpu": "first"}, r"'gpu' = 'first' is not allowed .*`auto`"),
        ({"gpu": True}, r"'gpu' = True is not allowed"),
        ({"gpu": "0,1"}, r"'gpu' = '0,1' is not allowed"),
        ({"epochs": 0}, r"'epochs' = 0 is not allowed .*greater than or equal to 1.*Passes over"),
        ({"epochs": "many"}, r"'epochs' = 'many' is not allowed .*valid integer"),
        ({"threads": 0}, r"'threads' = 0 is not allowed .*at least 1, or 'all'"),
        ({"threads": "some"}, r"'threads' = 'some' is not allowed .*at least 1, or 'all'"),
        ({"accelerator": "gpu"}, r"'accelerator' = 'gpu' is not allowed .*'auto', 'cpu' or 'cuda'"),
        ({"datasets": []}, r"'datasets' = \[\] is not allowed .*at least 1"),
        ({"datasets": ["a", "a"]}, r"'datasets' .*a name stands twice"),
        ({"machine": "a/b"}, r"'machine' = 'a/b' is not allowed"),
        ({"deployment": "docker"}, r"'deployment' = 'docker' is not allowed .*'native'"),
        (
            {"engines": [{"name": "jax", "opts": 1}]},
            r"unknown key 'engines.0.opts' = 1 .*did you mean 'options'",
        ),
        (
            {"engines": ["jax", {"name": "eager", "folder": "jax", "arm_of": "keras"}]},
            r"'eager' is an arm of 'keras', which is no engine here",
        ),
        (
            {"datasets": ["mnist"], "engines": [{"name": "jax", "datasets": ["cifar10"]}]},
            r"'jax' trains on 'cifar10', which is not in `datasets`",
        ),
        (
            {"stand_ins": {"elixir": "jacks"}},
            r"'stand_ins' .*'jacks' is no engine or dataset here.*keras, jax",
        ),
        (
            {"engines": ["keras", {"name": "part", "folder": "keras", "train_limit": 320}]},
            r"'part' has a `train_limit`, which only an arm may have: name the engine it varies in `arm_of`",
        ),
        (
            {"engines": ["keras", {"name": "part", "arm_of": "keras", "train_limit": 0}]},
            r"'engines.1.train_limit' = 0 is not allowed .*greater than or equal to 1",
        ),
        ({"epochs": 0, "seed": -1}, r"\(and 1 more\)"),
        (
            {"looks": [5, 5]},
            r"'looks' = \[5, 5\] .*each number must be larger than the one before it",
        ),
        ({"looks": [10, 5]}, r"each number must be larger than the one before it"),
        ({"looks": [3, 5]}, r"3 repetitions give no interval, 4 do"),
        ({"looks": [5, 20_000]}, r"20,000 repetitions are more than 10,000"),
        ({"looks": [*range(5, 16)]}, r"11 looks are more than 10"),
        (
            {"looks": [5, 10], "repetitions": 7},
            r"`repetitions` is 7, planned are 5, 10: set it to one of these",
        ),
        ({"looks": "precise"}, r"'looks' = 'precise' .*a list of whole numbers, or 'precision'"),
        ({"looks": [5, True]}, r"must be a list of whole numbers, or 'precision'"),
        ({"looks": 5}, r"must be a list of whole numbers, or 'precision'"),
    ],
)
def test_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(EvengroundError, match=message) as caught:
        load_experiment(change, "here.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("looks", [[], [5], [4, 5, 100], "precision"])
def test_looks_are_a_plan_that_holds_the_repetitions(looks: list[int] | str) -> None:
    assert load_experiment({"looks": looks}).looks == looks


def test_the_fewest_repetitions_of_a_look_are_the_fewest_with_an_interval() -> None:
    assert MIN_LOOK == MIN_PAIRS
    quick = yaml.safe_load((ROOT / "profiles/quick/params.yaml").read_text())
    assert quick["repetitions"] >= MIN_LOOK


def test_params_yaml_has_every_key_in_the_models_order() -> None:
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert list(given) == list(Experiment.model_fields), (
        "add the key to params.yaml, in the model's order"
    )
    load_experiment(given)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs/examples").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_example_is_a_configuration_of_this_version(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    example = load_experiment(given, str(path))
    engines = load_engines(example.engines, ROOT)
    assert [engine.name for engine in engines] and given.keys() <= Experiment.model_fields.keys()


@pytest.mark.parametrize(
    ("limit", "label"), [(None, "Keras (part)"), (3200, "Keras (part), 3,200 examples")]
)
def test_the_label_of_an_arm_says_on_how_much_it_trains(limit: int | None, label: str) -> None:
    part = {"name": "part", "folder": "keras", "arm_of": "keras", "train_limit": limit}
    engines = load_engines(load_experiment({"engines": ["keras", part]}).engines, ROOT)
    assert [engine.label for engine in engines] == ["Keras", label]


def test_every_key_is_described() -> None:
    assert all(field.description for field in Experiment.model_fields.values())


def test_an_index_of_a_card_may_be_written_as_a_number() -> None:
    assert [load_experiment({"gpu": gpu}).gpu for gpu in (1, "1", "auto", "GPU-8932f937")] == [
        *("1", "1", "auto", "GPU-8932f937")
    ]


def test_a_check_is_a_command_line_and_names_the_engines_folder() -> None:
    (engine,) = load_engines(load_experiment({"engines": [ABSENT]}).engines, ROOT)
    asked = engine.check("python3", "cuda")
    assert asked == [
        "sh",
        "tests/fake_absent/check.sh",
        "--option",
        "speed=1",
        "--accelerator",
        "cuda",
    ]
    (without,) = load_engines(load_experiment({"engines": ["keras"]}).engines, ROOT)
    assert without.check("python3", "cpu") == []


def test_elixirs_binary_backend_has_no_gpu() -> None:
    arm = {"name": "binary", "folder": "axon", "arm_of": "axon", "options": {"backend": "binary"}}
    engines = load_engines(load_experiment({"engines": ["axon", arm, "jax"]}).engines, ROOT)
    assert {engine.name: engine.has_no_gpu for engine in engines} == {
        "axon": "",
        "binary": "backend: binary",
        "jax": "",
    }


def test_an_empty_check_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/engine.yaml").write_text("{label: Odd, command: [odd], check: []}")
    with pytest.raises(
        EvengroundError, match=r"engine 'odd' is ill described: check: .*at least 1"
    ):
        load_engines(
            load_experiment({"engines": [{"name": "odd", "folder": "./odd"}]}).engines, tmp_path
        )


def test_an_engine_says_how_it_waits_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "odd/engine.yaml"
    file.parent.mkdir()
    given = load_experiment({"engines": [{"name": "odd", "folder": "./odd"}]}).engines
    file.write_text("{label: Odd, command: [odd], wait_policy: 'sleeps at once'}")
    assert load_engines(given, tmp_path)[0].file.wait_policy == "sleeps at once"
    file.write_text("{label: Odd, command: [odd]}")
    assert load_engines(given, tmp_path)[0].file.wait_policy is None
    for broken in ('""', '"two\\nlines"', '" "'):
        file.write_text(f"{{label: Odd, command: [odd], wait_policy: {broken}}}")
        with pytest.raises(EvengroundError, match="ill described: wait_policy"):
            load_engines(given, tmp_path)


@pytest.mark.parametrize("name", ["keras", "jax", "axon"])
def test_our_engines_say_how_they_wait(name: str) -> None:
    (engine,) = load_engines(load_experiment({"engines": [name]}).engines, ROOT)
    assert engine.file.wait_policy and "Eigen" in engine.file.wait_policy


def test_an_engine_may_be_a_name_or_a_mapping() -> None:
    read = load_experiment(
        {"engines": ["jax", {"name": "eager", "folder": "jax", "options": {"a": 1}}]}
    )
    assert [(choice.name, choice.folder) for choice in read.engines] == [
        ("jax", None),
        ("eager", "jax"),
    ]
