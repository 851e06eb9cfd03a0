"""The pages about file formats are those of the models, and say what every field means."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from evenground.documentation.records import FORMATS, Format, pages_of_records, schema_of
from made_records import MADE

DOCS = Path(__file__).parents[2] / "docs"


def test_the_docs_are_those_of_the_models() -> None:
    found = pages_of_records()
    written = {path.relative_to(DOCS).as_posix() for path in (DOCS / "schemas").iterdir()}
    assert written | {"records.md"} == set(found)
    for name, text in found.items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, "python scripts/parameters.py"


def test_every_field_has_a_meaning_and_every_part_one_table() -> None:
    text = pages_of_records()["records.md"]
    assert not re.findall(r"^\|.*\|  \|$|None", text, re.M)
    parts: dict[str, object] = {}
    for form in FORMATS:
        for name, part in schema_of(form.model).get("$defs", {}).items():
            assert all("description" in field for field in part["properties"].values()), name
            assert parts.setdefault(name, part) == part, "two parts of one name"


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_other_languages_can_check_a_file_by_its_schema(form: Format, tmp_path: Path) -> None:
    if form.name not in MADE:
        pytest.skip("made in the tests of its room")
    check = jsonschema.Draft202012Validator(schema_of(form.model))
    content = MADE[form.name].content()
    assert check.is_valid(content)
    assert not check.is_valid(content | {"schema": 99})
    assert not check.is_valid(content | {"odd": 1})
