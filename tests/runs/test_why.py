"""What differs between two runs, or two keys, of all that decides a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evenground.errors import EvengroundError
from evenground.records.spec import IN_RUN, Specification, spec_file
from evenground.runs.plan import RUNS
from evenground.runs.study import make_study, write_study
from evenground.runs.why import Named, differences, find
from working_copy import WorkingCopy, fresh_copy


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return fresh_copy(tmp_path / "copy")


def spec_of(copy: WorkingCopy, engine: str = "fake_a", **changes: Any) -> Specification:
    """The specification of an engine's runs, which is stored as with every plan."""
    study = make_study({**copy.settings, **changes}, copy.root)
    write_study(study)
    (spec,) = (spec for spec in study.first.specs.values() if spec.engine.name == engine)
    return spec


def between(first: Specification, second: Specification) -> list[str]:
    return differences(Named(first), Named(second))


def test_other_epochs(copy: WorkingCopy) -> None:
    assert between(spec_of(copy), spec_of(copy, epochs=7)) == ["epochs: 2 and 7"]


def test_other_code_of_the_engine(copy: WorkingCopy) -> None:
    before = spec_of(copy)
    script = copy.root / "tests/fake_engine/train.py"
    script.write_text(script.read_text() + "\nOTHER = 1\n")
    (copy.root / "tests/fake_engine/more.py").write_text("MORE = 1\n")
    assert between(before, spec_of(copy)) == [
        "engine's code tests/fake_engine/more.py: only in the second",
        "engine's code tests/fake_engine/train.py: differs",
    ]


def test_a_changed_comment_is_no_difference(copy: WorkingCopy) -> None:
    before = spec_of(copy)
    script = copy.root / "tests/fake_engine/train.py"
    script.write_text("# Another comment.\n" + script.read_text())
    assert spec_of(copy) == before and between(before, spec_of(copy)) == []


def test_another_lock(copy: WorkingCopy) -> None:
    before = spec_of(copy, "jax", engines=["jax"])
    lock = copy.root / "envs/jax.txt"
    version = before.environment.packages["jax"] if before.environment else ""
    text = lock.read_text()
    assert version
    lock.write_text(text.replace(f"jax=={version}", "jax==99.0"))
    after = spec_of(copy, "jax", engines=["jax"])
    assert between(before, after) == [f"package jax: {version} and 99.0"]
    first_hash = text.index("--hash=sha256:") + len("--hash=sha256:")
    lock.write_text(text[:first_hash] + "0" * 8 + text[first_hash + 8 :])
    after = spec_of(copy, "jax", engines=["jax"])
    assert between(before, after) == ["checksums of the locked packages: differs"]


def test_another_card_is_another_class_of_machine(copy: WorkingCopy) -> None:
    spec = spec_of(copy)
    one = Named(spec, machine="cpu-2c-8g-tesla-t4-aaaaaa", repetition=1)
    other = Named(spec, machine="cpu-2c-8g-nvidia-h200-bbbbbb", repetition=1)
    line = "class of machine: cpu-2c-8g-tesla-t4-aaaaaa and cpu-2c-8g-nvidia-h200-bbbbbb"
    assert differences(one, other) == [line]
    assert between(spec, spec.model_copy(update={"accelerator": "cuda"})) == [
        "accelerator: cpu and cuda"
    ]


def test_two_engines_differ_by_name_and_not_by_each_file(copy: WorkingCopy) -> None:
    engines = ["keras", "jax"]
    lines = between(spec_of(copy, "keras", engines=engines), spec_of(copy, "jax", engines=engines))
    assert lines == ["engine: keras and jax", "environment: keras and jax"]


def test_of_one_key_only_the_seed_of_the_repetition_differs(copy: WorkingCopy) -> None:
    spec = spec_of(copy)
    assert between(spec, spec) == []
    lines = differences(Named(spec, "cray", repetition=1), Named(spec, "cray", repetition=3))
    assert lines == [f"seed of the repetition: {spec.seed + 1} and {spec.seed + 3}"]


def test_a_key_its_beginning_and_a_run_directory_name_a_specification(copy: WorkingCopy) -> None:
    spec, other = spec_of(copy), spec_of(copy, epochs=7)
    assert find(spec.key, copy.root) == find(spec.key[:7], copy.root) == Named(spec)
    run = copy.root / RUNS / other.run_path("cray", 2)
    run.mkdir(parents=True)
    assert find(str(run), copy.root) == Named(other, "cray", repetition=2)
    (copy.root / spec_file(other.key)).rename(run / IN_RUN)
    assert find(str(run), copy.root) == Named(other, "cray", repetition=2)
    assert find(other.key, copy.root) == Named(other)


def test_a_changed_specification_is_refused(copy: WorkingCopy) -> None:
    spec = spec_of(copy)
    path = copy.root / spec_file(spec.key)
    path.write_text(path.read_text().replace('"epochs": 2', '"epochs": 3'))
    with pytest.raises(EvengroundError, match="changed run specification: its content has the key"):
        find(spec.key, copy.root)


def test_what_names_none_or_several_is_one_line(copy: WorkingCopy, tmp_path: Path) -> None:
    specs = [spec_of(copy, epochs=epochs) for epochs in (1, 2, 3)]
    with pytest.raises(EvengroundError, match=f"did you mean '{specs[0].key}'"):
        find(specs[0].key[:-1] + "x", copy.root)
    with pytest.raises(EvengroundError, match="keys begin so"):
        find("", copy.root)
    with pytest.raises(EvengroundError, match="name a run directory"):
        find(str(tmp_path), copy.root)
