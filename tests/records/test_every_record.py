"""Every record: read back as written, and one line for each way in which it may be broken."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import made_sheet
from evenground.errors import EvengroundError
from evenground.files import json_text
from evenground.records.base import Record, TravellingRecord
from evenground.records.environment import Environment
from evenground.records.spec import DatasetOfRun, EngineOfRun, LockOfRun, Specification
from made_records import MADE, SHA256
from made_run_records import RECORDS as OF_A_RUN

SPEC = Specification(
    dataset=DatasetOfRun(name="d", network="mlp", prepared="0123456789ab"),
    engine=EngineOfRun(
        name="keras",
        command=("{python}", "train.py"),
        options={"feed": "arrays"},
        train_limit=None,
        test_limit=True,
        code={"train.py": SHA256},
    ),
    accelerator="cpu",
    epochs=3,
    batch_size=32,
    learning_rate=0.001,
    seed=2022,
    threads=2,
    linger_s=3.0,
    sampling_rate_hz=10.0,
    warm_up_examples=3200,
    measurement=1,
    protocol=1,
    shared_code={"command.py": SHA256},
    environment=LockOfRun(name="keras", packages={"numpy": "2.4.1"}, sha256=SHA256),
    deployment="native",
    image=None,
)
RECORDS = OF_A_RUN | {f"{name}.json": record for name, record in MADE.items()}
RECORDS |= {"spec.json": SPEC, "contact_sheet.json": made_sheet("01")}

EACH = pytest.mark.parametrize("name", RECORDS)
TRAVELLING = [name for name, record in RECORDS.items() if isinstance(record, TravellingRecord)]
# A sheet has a checksum of its own content.
SEALED = "the contact sheet was changed"


def fault_of(record: Record, path: Path, content: bytes) -> EvengroundError:
    """What reading this content says: one line with the file and a fix, and the file stays."""
    path.write_bytes(content)
    with pytest.raises(EvengroundError) as caught:
        type(record).read(path)
    error = caught.value
    assert path.read_bytes() == content
    assert str(path) in str(error) and "\n" not in str(error) and "Traceback" not in str(error)
    assert f"./evenground aside {path}" in error.fix
    return error


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON content that is neither an object nor a list."""
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        yield path
    for key, part in parts:
        yield from leaves(part, (*path, key))


@EACH
def test_it_is_read_back_as_it_was_written(tmp_path: Path, name: str) -> None:
    record = RECORDS[name]
    record.write(tmp_path / name)
    assert type(record).read(tmp_path / name) == record
    content = (tmp_path / name).read_bytes()
    assert type(record).from_bytes(content, tmp_path / name) == record


@EACH
def test_truncated_or_foreign_it_is_one_line_and_nothing_is_lost(tmp_path: Path, name: str) -> None:
    record, path = RECORDS[name], tmp_path / name
    content = json_text(record.content()).encode()
    assert "not valid JSON" in fault_of(record, path, content[: len(content) // 2]).what
    for unreadable in (b"\xff\xfe", b"[" * 10**5, b'{"schema": "\\ud800"}'):
        assert "not valid JSON" in fault_of(record, path, unreadable).what
    for foreign in (b"[1]", b'{"name": "x"}', b'"text"'):
        assert fault_of(record, path, foreign).what.endswith("it has no schema number")
    only_number = json_text({"schema": type(record).SCHEMA}).encode()
    # A run older than all fields of its environment shows them missing.
    if not isinstance(record, Environment):
        assert fault_of(record, path, only_number).what.startswith(f"broken {type(record).WHAT}, ")


@EACH
def test_another_schema_is_named_beside_ours(tmp_path: Path, name: str) -> None:
    record, path = RECORDS[name], tmp_path / name
    older = type(record).SCHEMA - 1
    error = fault_of(record, path, json_text({**record.content(), "schema": older}).encode())
    assert f"has schema {older}, this version of evenground reads" in error.what


@EACH
def test_a_value_that_was_changed_by_hand_is_named(tmp_path: Path, name: str) -> None:
    record, path = RECORDS[name], tmp_path / name
    # Its schema was changed above.
    ways = [way for way in leaves(record.content()) if way != ("schema",)]
    assert len(ways) >= 3
    for way in ways:
        content = copy.deepcopy(record.content())
        inner = content
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = {"odd": [1]}
        error = fault_of(record, path, json_text(content).encode())
        key = ".".join(str(part) for part in way)
        assert error.what.startswith((f"broken {type(record).WHAT}, {key}", SEALED))


@EACH
def test_only_what_travels_may_have_fields_of_another_version(tmp_path: Path, name: str) -> None:
    record, path = RECORDS[name], tmp_path / name
    newer = json_text({**record.content(), "odd": 1})
    if name not in TRAVELLING:
        assert "unknown key 'odd'" in fault_of(record, path, newer.encode()).what
        return
    path.write_text(newer)
    assert type(record).read(path) == record


@pytest.mark.parametrize("moment", ["half written", "before its last step"])
@EACH
def test_a_writer_that_is_killed_leaves_the_file_before(
    tmp_path: Path, name: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, path = RECORDS[name], tmp_path / name
    path.write_text("what was there before")

    def killed(file: Path, text: Any, **_: Any) -> None:
        if moment == "half written":
            with file.open("w") as half:
                half.write(text[: len(text) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Path, "write_text" if moment == "half written" else "replace", killed)
    child = os.fork()
    if child == 0:
        record.write(path)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    monkeypatch.undo()
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_text() == "what was there before"
    record.write(path)
    assert type(record).read(path) == record
