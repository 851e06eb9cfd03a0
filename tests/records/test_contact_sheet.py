"""A contact sheet: read back as it was written, refused in one line if it was changed or does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.synthetic import made_sheet
from evenground.errors import EvengroundError
from evenground.records.contact_sheet import SEAL, ContactSheet

SHEET = made_sheet(("cat", "dog"), each=1, channels=3)


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    SHEET.write(tmp_path / "a.json")
    assert ContactSheet.read(tmp_path / "a.json") == SHEET
    picture = SHEET.picture(SHEET.examples[1])
    assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
    assert picture.tobytes() == np.random.default_rng(1).bytes(4 * 4 * 3)


def test_a_class_may_have_any_name() -> None:
    sheet = ContactSheet.model_validate(SHEET.model_dump() | {"classes": ["a\nb\x00", "x" * 900]})
    assert sheet.classes == ("a b ", "x" * 500)


def of_example(name: str, value: Any) -> Callable[[Any], Any]:
    return lambda content: content["examples"][0].update({name: value})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (of_example("label", 1), "the contact sheet was changed since it was made"),
        (lambda content: content.pop(SEAL), "the contact sheet was changed since it was made"),
        (of_example("label", 2), "content: example 0 does not fit classes or shape"),
        (of_example("pixels", "00"), "content: example 0 does not fit classes or shape"),
        (of_example("pixels", "xy"), "examples.0.pixels: String should match"),
        (lambda content: content.update(shape=[4, 4, 2]), "shape.2: Input should be 1 or 3"),
        (lambda content: content.update(shape=[10**9, 4, 1]), "shape.0: Input should be less"),
        (lambda content: content.update(examples=[]), "examples: Tuple should have at least 1"),
        (lambda content: content.update(schema=2), "has schema 2, this version"),
    ],
)
def test_what_was_changed_is_one_line(
    tmp_path: Path, change: Callable[[Any], Any], fault: str
) -> None:
    content, path = SHEET.content(), tmp_path / "a.json"
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(EvengroundError) as caught:
        ContactSheet.read(path)
    said = str(caught.value)
    assert fault in said and "\n" not in said and len(said) < 500
    assert said.endswith(f"run the pipeline again: ./evenground aside {path}")
