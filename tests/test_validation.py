"""What is said of content that a model refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from evenground.addresses import shown_value
from evenground.validation import Fault, did_you_mean, first_fault


class Model(BaseModel):
    """A model of two keys."""

    model_config = ConfigDict(extra="forbid")

    counts: list[int]
    name: str = ""

    @field_validator("name")
    @classmethod
    def _no_blank(cls, name: str) -> str:
        if " " in name:
            raise ValueError("it has a blank")
        return name


def fault_of(content: Any) -> Fault:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(content)
    return first_fault(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"counts": [1, "two"]}, "counts.1: Input should be a valid integer"),
        ({"counts": [], "name": "a b"}, "name: it has a blank"),
        ({"counts": [], "nane": 3}, "unknown key 'nane'"),
        ({}, "counts: Field required"),
        (3, "content: Input should be a valid dictionary"),
    ],
)
def test_the_first_fault_is_its_key_and_a_message(content: object, said: str) -> None:
    assert str(fault_of(content)).startswith(said)


def test_further_faults_are_counted() -> None:
    assert fault_of({"counts": ["one", "two"], "nane": 3}).and_more == " (and 2 more)"
    assert fault_of({}).and_more == ""


def test_a_key_from_anybody_is_one_short_line() -> None:
    key = fault_of({"counts": [], "a\nb" * 100: 3}).key
    assert key.startswith("a ba b") and len(key) == 101 and key.endswith("…")


def test_an_unknown_name_has_advice() -> None:
    known = ["keras", "jax"]
    assert did_you_mean("kerras", known) == "did you mean 'keras'? there are: keras, jax"
    assert did_you_mean("torch", known) == "there are: keras, jax"


def test_a_value_is_shown_short_and_without_a_login() -> None:
    assert shown_value("https://me:word@a.example/f") == "'https://a.example/f'"
    assert len(shown_value("a" * 100)) == 60
