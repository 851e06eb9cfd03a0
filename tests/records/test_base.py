"""What all records have in common: written and read back, and one line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from evenground.errors import EvengroundError
from evenground.records.base import Fields, Record


class Inner(Fields):
    number: int


class Made(Record):
    WHAT: ClassVar[str] = "made record"
    SCHEMA: ClassVar[int] = 2
    name: str
    inner: Inner
    path: Path | None = None


MADE = Made(name="a", inner=Inner(number=1))


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    MADE.write(tmp_path / "made.json")
    assert next(iter(json.loads((tmp_path / "made.json").read_text()))) == "schema"
    assert Made.read(tmp_path / "made.json") == MADE


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": 1}, "broken made record, name: Input should be a valid string"),
        ({"inner": {"number": "x"}}, "broken made record, inner.number: "),
        ({"inner": {}}, "broken made record, inner.number: Field required"),
        ({"odd": 1}, "broken made record, unknown key 'odd'"),
        ({"schema": 1}, "made record has schema 1, this version of evenground reads 2"),
        ({"schema": True}, "broken made record, it has no schema number"),
        ({"schema": "2"}, "broken made record, it has no schema number"),
    ],
)
def test_a_broken_record_is_one_line_with_file_and_field(
    tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    path = tmp_path / "made.json"
    path.write_text(json.dumps(MADE.content() | change))
    with pytest.raises(EvengroundError) as caught:
        Made.read(path)
    assert caught.value.what.startswith(fault)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert "./evenground aside" in caught.value.fix


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"text"', '{"schema": 2}'])
def test_what_is_no_record_is_one_line_with_its_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "made.json"
    path.write_text(content)
    with pytest.raises(EvengroundError) as caught:
        Made.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_reader_may_know_a_better_fix(tmp_path: Path) -> None:
    with pytest.raises(EvengroundError, match="fetch it"):
        Made.parse({}, tmp_path, fix="fetch it")
