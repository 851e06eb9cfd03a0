"""The pages about file formats are those of the models, and say what every field means."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest

from analysis.synthetic import made_sheet
from evenground.documentation.records import FORMATS, pages_of_records, schema_of
from evenground.errors import EvengroundError
from evenground.records.base import Record, TravellingRecord
from made_records import MADE
from made_run_records import RECORDS

DOCS = Path(__file__).parents[2] / "docs"
OF_RUNS = {name.removesuffix(".json"): record for name, record in RECORDS.items()}
ALL = {**MADE, **OF_RUNS, "contact_sheet": made_sheet(("cat", "dog"))}


class Bare(Record):
    """A format with a field without a meaning."""

    WHAT: ClassVar[str] = "bare"

    number: int


def test_the_docs_are_those_of_the_models() -> None:
    found = pages_of_records()
    written = {path.relative_to(DOCS).as_posix() for path in (DOCS / "schemas").iterdir()}
    assert written | {"records.md"} == set(found)
    for name, text in found.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "python scripts/parameters.py"


def test_a_field_without_a_meaning_is_refused() -> None:
    with pytest.raises(EvengroundError, match="'number' of Bare has no meaning"):
        schema_of(Bare)


def test_each_null_has_a_meaning_and_every_part_one_table() -> None:
    parts: dict[str, Any] = {}
    for form, (_, model) in FORMATS.items():
        schema = schema_of(model)
        for name, part in {form: schema, **schema.get("$defs", {})}.items():
            assert parts.setdefault(name, part) == part, "two parts of one name"
    for name, part in parts.items():
        for field, about in part["properties"].items():
            if {"type": "null"} in about.get("anyOf", []):
                said = f"{about['description']} {part['description']}".lower()
                assert "null" in said, f"what does null mean in {field} of {name}?"
    assert "None" not in pages_of_records()["records.md"]


@pytest.mark.parametrize("name", FORMATS)
def test_other_languages_can_check_a_file_by_its_schema(name: str) -> None:
    if name not in ALL:
        pytest.skip("made in the tests of its room")
    record = ALL[name]
    check = jsonschema.Draft202012Validator(schema_of(type(record)))
    content = record.content()
    assert check.is_valid(content)
    assert not check.is_valid(content | {"schema": 99})
    assert check.is_valid(content | {"odd": 1}) == isinstance(record, TravellingRecord)
