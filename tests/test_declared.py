"""What keys of runs hold the declared number of, instead of its code: a change of it needs a decision.

`declared.json` has each number with the digest of what it stands for. It is made anew with:
EVENGROUND_REGENERATE=1 python -m pytest tests/test_declared.py
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evenground import digests
from evenground.files import sha256_json, write_json
from evenground.records import events
from evenground.records.versions import PROTOCOL
from evenground.sidecar import MEASUREMENT

ROOT = Path(__file__).resolve().parents[1]
SIDECAR = ROOT / "src/evenground/sidecar"
DECLARED = ROOT / "tests/declared.json"


def required_of(schema: dict[str, Any]) -> Iterator[object]:
    """Each event with the fields that it must have, and what these may hold."""
    for name, event in schema["$defs"].items():
        for field in event["required"]:
            words = ("title", "description")
            holds = {
                key: value for key, value in event["properties"][field].items() if key not in words
            }
            yield [name, field, holds]


def protocol() -> str:
    """Digest of what is required of events: their fields, their order, and what is judged of them."""
    module = ast.parse(Path(events.__file__).read_bytes())
    # The classes are in the schema.
    judged = [part for part in module.body if not isinstance(part, ast.ClassDef)]
    return sha256_json([digests.form(judged), *required_of(events.json_schema())])


class Declared(NamedTuple):
    number: int
    digest: str
    advice: str


def now() -> dict[str, Declared]:
    sampler = digests.tree(sorted(SIDECAR.glob("*.py")), SIDECAR)
    measured = "raise MEASUREMENT in sidecar/__init__.py if what is measured changed"
    required = "raise PROTOCOL in records/versions.py if other events are required of an engine"
    return {
        "measurement": Declared(MEASUREMENT, sampler, measured),
        "protocol": Declared(PROTOCOL, protocol(), required),
    }


@pytest.mark.parametrize("name", ["measurement", "protocol"])
def test_a_number_stands_for_what_it_was_declared_for(name: str) -> None:
    declared = now()
    if os.environ.get("EVENGROUND_REGENERATE"):
        write_json(DECLARED, {known: [one.number, one.digest] for known, one in declared.items()})
    kept = json.loads(DECLARED.read_text(encoding="utf-8"))[name]
    current = declared[name]
    assert kept == [current.number, current.digest], (
        f"{current.advice}, then update this digest: "
        "EVENGROUND_REGENERATE=1 python -m pytest tests/test_declared.py"
    )
