"""Plan, index, verdicts and the records of data: read back as written, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evenground.errors import EvengroundError
from evenground.records.base import Record
from made_records import MADE

# Format -> a change by hand, and the field and fault of the message.
BY_HAND: dict[str, tuple[dict[str, Any], str]] = {
    "plan": ({"runs": [{"dataset": "d"}]}, r"broken plan, runs\.0\.engine: Field required"),
    "index": ({"parameters": {"epochs": "3.5"}}, r"broken index, parameters\.repetitions: "),
    "verdicts": ({"look": None}, "broken verdicts, look: "),
    "dataset": ({"arrays": {"a.npy": 3}}, r"broken record of prepared data, arrays\.a\.npy: "),
    "fetched": ({"files": {"a": {"bytes": "x"}}}, r"broken .* files, files\.a\.bytes: "),
}


@pytest.fixture(params=MADE)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(name: str, folder: Path) -> Path:
    """A file of this format."""
    path = folder / f"{name}.json"
    MADE[name].write(path)
    return path


def refused(name: str, path: Path, words: str) -> None:
    """Reading fails in one line with the file and these words, and the file stays as it is."""
    before = path.read_bytes()
    with pytest.raises(EvengroundError, match=words) as caught:
        type(MADE[name]).read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_it_is_read_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    assert type(MADE[name]).read(written(name, tmp_path)) == MADE[name]


def test_a_truncated_one_is_refused(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    refused(name, path, "not valid JSON")


def test_one_of_another_format_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    other: Record = next(record for other, record in MADE.items() if other != name)
    content = other.content() | {"schema": type(MADE[name]).SCHEMA}
    path.write_text(json.dumps(content))
    refused(name, path, "broken ")


def test_one_of_another_schema_is_refused(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path)
    path.write_text(json.dumps(MADE[name].content() | {"schema": 0}))
    refused(name, path, "schema 0, this version of evenground reads")


def test_one_that_was_changed_by_hand_is_refused(name: str, tmp_path: Path) -> None:
    change, words = BY_HAND[name]
    path = written(name, tmp_path)
    path.write_text(json.dumps(MADE[name].content() | change))
    refused(name, path, words)
