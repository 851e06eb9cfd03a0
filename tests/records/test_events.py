"""The validator of events files: what it accepts, and that it tells broken, incomplete and wrong apart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenground.records.events import EpochEnd, Expected, check_file, json_schema, read_file
from evenground.records.faults import RecordError

ROOT = Path(__file__).resolve().parents[2]
Lines = list[dict[str, Any]]
WORK = Expected(
    epochs=2,
    batch_size=8,
    network="mlp",
    seed=3,
    train_examples=45,
    test_examples=10,
    parameters=7,
    linger_s=0.5,
)


def complete() -> Lines:
    """A training of two epochs on 45 examples in batches of 8."""
    lines: Lines = [
        {"event": "start", "engine": "x", "versions": {"x": "1"}, "device": "cpu", "options": {}},
        {"event": "load_start"},
        {"event": "load_end", "train_examples": 45, "test_examples": 10},
        {
            "event": "train_start",
            "seed": 3,
            "epochs": 2,
            "batch_size": 8,
            "network": "mlp",
            "parameters": 7,
        },
        {"event": "epoch_start", "epoch": 1},
        {"event": "first_batch_end", "epoch": 1, "loss": 2.3},
        {"event": "epoch_end", "epoch": 1, "loss": 1.5, "accuracy": 0.5, "examples": 40},
        {"event": "epoch_start", "epoch": 2},
        {"event": "epoch_end", "epoch": 2, "loss": 1.0, "accuracy": 0.75, "examples": 40},
        {"event": "train_end"},
        {"event": "evaluate_start"},
        {"event": "evaluate_end", "accuracy": 0.7, "correct": 7, "examples": 10},
        {"event": "linger_end", "linger_s": 0.5},
        {"event": "end"},
    ]
    return [
        {**line, "t_unix_ns": 1_700_000_000_000_000_000 + number}
        for number, line in enumerate(lines)
    ]


def write(folder: Path, lines: Lines) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def fault(path: Path, expected: Expected = WORK) -> RecordError:
    with pytest.raises(RecordError) as caught:
        check_file(path, expected)
    return caught.value


def test_a_complete_file_is_read_whole(tmp_path: Path) -> None:
    events = check_file(write(tmp_path, complete()), WORK)
    assert [event.event for event in events] == [line["event"] for line in complete()]
    assert isinstance(events[6], EpochEnd)
    assert (events[6].accuracy, events[6].t_unix_ns) == (0.5, complete()[6]["t_unix_ns"])


def test_nothing_expected_accepts_any_work(tmp_path: Path) -> None:
    assert len(check_file(write(tmp_path, complete()), Expected())) == 14


@pytest.mark.parametrize("kept", range(14))
def test_a_file_that_stops_early_is_incomplete(tmp_path: Path, kept: int) -> None:
    error = fault(write(tmp_path, complete()[:kept]))
    assert error.reason == "incomplete-events"
    assert "stop before" in str(error)


@pytest.mark.parametrize("left_out", range(14))
def test_an_event_that_is_missing_is_found(tmp_path: Path, left_out: int) -> None:
    lines = complete()
    del lines[left_out]
    assert fault(write(tmp_path, lines)).reason == "incomplete-events"


@pytest.mark.parametrize("twice", range(14))
def test_an_event_written_twice_is_found(tmp_path: Path, twice: int) -> None:
    lines = complete()
    assert fault(write(tmp_path, lines[: twice + 1] + lines[twice:])).reason == "incomplete-events"


def test_no_file_is_incomplete(tmp_path: Path) -> None:
    error = fault(tmp_path / "none.jsonl")
    assert error.reason == "incomplete-events"
    assert "the file is missing" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"event": "end", "t_unix_', "Invalid JSON"),
        ("", "Invalid JSON"),
        ("[]", "should be an object"),
        ('{"event": "end"}', "end.t_unix_ns: Field required"),
        ('{"event": "end", "t_unix_ns": -1}', "end.t_unix_ns"),
        ('{"event": "end", "t_unix_ns": 1.5}', "end.t_unix_ns"),
        ('{"event": "end", "t_unix_ns": 1700000000000000000.0}', "end.t_unix_ns"),
        ('{"event": "end", "t_unix_ns": true}', "end.t_unix_ns"),
        ('{"event": "end", "t_unix_ns": 1700000000000}', "not a current time in nanoseconds"),
        (
            '{"event": "end", "t_unix_ns": 1700000000000000}',
            "not a current time in nanoseconds",
        ),
        ('{"event": "end", "t_unix_ns": 12273613423704}', "not a current time in nanoseconds"),
        ('{"event": "end", "t_unix_ns": 99999999999999999999999}', "end.t_unix_ns"),
        ('{"event": "finish", "t_unix_ns": NOW}', "'finish' found using 'event'"),
        ('{"event": "epoch_start", "t_unix_ns": NOW}', "epoch_start.epoch: Field required"),
        ('{"event": "epoch_start", "t_unix_ns": NOW, "epoch": 0}', "epoch_start.epoch"),
        (
            '{"event": "first_batch_end", "t_unix_ns": NOW, "epoch": 1, "loss": NaN}',
            "finite number",
        ),
        (
            '{"event": "first_batch_end", "t_unix_ns": NOW, "epoch": 1, "loss": 1e999}',
            "finite number",
        ),
        (
            '{"event": "first_batch_end", "t_unix_ns": NOW, "epoch": 1, "loss": 1e300}',
            "1e+300 is beyond",
        ),
        ('{"event": "first_batch_end", "t_unix_ns": NOW, "epoch": 1, "loss": "1"}', "valid number"),
        (
            '{"event": "evaluate_end", "t_unix_ns": NOW, "accuracy": 1.5, "correct": 1, "examples": 1}',
            "accuracy",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, complete()[:2])
    with path.open("a", encoding="utf-8") as file:
        file.write(text.replace("NOW", "1700000000000000009") + "\n")
    error = fault(path)
    assert error.reason == "broken-events"
    assert f"{path}, line 3" in str(error)
    assert said in str(error)


def test_bytes_that_are_no_text_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\xff\xfe")
    assert fault(path).reason == "broken-events"


def test_time_must_not_run_backwards(tmp_path: Path) -> None:
    lines = complete()
    lines[5]["t_unix_ns"] = lines[4]["t_unix_ns"] - 1
    error = fault(write(tmp_path, lines))
    assert error.reason == "broken-events"
    assert "line 6" in str(error)


def change(at: int, **fields: Any) -> Callable[[Lines], None]:
    return lambda lines: lines[at].update(fields)


@pytest.mark.parametrize(
    ("changed", "line", "said"),
    [
        (change(2, train_examples=44), 3, "train_examples is 44, expected 45"),
        (change(2, test_examples=11), 3, "test_examples is 11, expected 10"),
        (change(3, seed=4), 4, "seed is 4, expected 3"),
        (change(3, batch_size=4), 4, "batch_size is 4, expected 8"),
        (change(3, network="cnn"), 4, "network is cnn, expected mlp"),
        (change(3, parameters=8), 4, "parameters is 8, expected 7"),
        (change(12, linger_s=0.4), 13, "linger_s is 0.4, expected 0.5"),
        (change(6, examples=45), 7, "examples is 45, the full batches hold 40"),
        (
            change(8, loss=-0.5),
            9,
            "loss at 'epoch_end' of epoch 2 is -0.5, and a cross-entropy is never negative",
        ),
        (change(8, loss=None), 9, "loss at 'epoch_end' of epoch 2 is not finite"),
        (change(5, loss=None), 6, "loss at 'first_batch_end' of epoch 1 is not finite"),
        (change(11, examples=9), 12, "evaluated on 9 examples"),
        (change(11, accuracy=0.71), 12, "not 7 correct of 10"),
        (change(11, correct=11), 12, "not 11 correct of 10"),
    ],
)
def test_other_work_than_asked_is_named(
    tmp_path: Path, changed: Callable[[Lines], None], line: int, said: str
) -> None:
    lines = complete()
    changed(lines)
    path = write(tmp_path, lines)
    error = fault(path)
    assert error.reason == "wrong-work"
    assert f"{path}, line {line}" in str(error) and said in str(error)


def test_other_epochs_than_asked_are_wrong_work(tmp_path: Path) -> None:
    error = fault(write(tmp_path, complete()), Expected(epochs=3))
    assert error.reason == "wrong-work"
    assert "epochs is 2, expected 3" in str(error)


def test_a_line_may_end_as_on_windows_and_hold_any_sign(tmp_path: Path) -> None:
    """Signs that Python takes for line breaks are none to JSON, nor to any reader of this file."""
    lines = complete()
    lines[0]["versions"] = {"x": "1\u2028x\u0085y"}
    path = tmp_path / "events.jsonl"
    text = "".join(json.dumps(line, ensure_ascii=False) + "\r\n" for line in lines)
    path.write_bytes(text.encode())
    assert len(check_file(path, WORK)) == 14


@pytest.mark.parametrize("text", ["\n", "\ufeff"], ids=["blank line", "byte order mark"])
def test_what_is_no_line_of_json_is_broken(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, complete())
    path.write_text(text + path.read_text(encoding="utf-8"), encoding="utf-8")
    error = fault(path)
    assert (error.reason, error.line) == ("broken-events", 1)


@pytest.mark.parametrize("changed", ["none", "field", "name", "kind"])
def test_other_languages_can_check_a_line_by_the_schema(changed: str) -> None:
    line = complete()[6]
    if changed == "field":
        del line["loss"]
    if changed == "name":
        line["event"] = "epoch_over"
    if changed == "kind":
        line["t_unix_ns"] = str(line["t_unix_ns"])
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid({**line, "more": [1]}) == (changed == "none")


def test_a_promise_of_endless_epochs_costs_nothing(tmp_path: Path) -> None:
    lines = complete()
    lines[3]["epochs"] = 10**15
    assert fault(write(tmp_path, lines)).reason == "incomplete-events"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(
    text=st.text()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_no_text_is_anything_but_events_or_a_named_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    if not text:
        assert read_file(path) == []
        return
    with pytest.raises(RecordError) as caught:
        read_file(path)
    assert caught.value.reason == "broken-events"


def run_script(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "scripts" / "check_events.py")
    return subprocess.run(
        [sys.executable, script, str(path), *more], capture_output=True, text=True
    )


def test_the_script_says_what_it_found(tmp_path: Path) -> None:
    path = write(tmp_path, complete())
    good = run_script(path, "--epochs", "2", "--network", "mlp", "--train-examples", "45")
    assert (good.returncode, good.stdout) == (0, f"{path}: 14 events, complete and in order\n")
    bad = run_script(path, "--epochs", "3")
    assert bad.returncode == 1
    assert bad.stderr.startswith(f"error: epochs is 2, expected 3 ({path}, line 4): ")
    assert bad.stderr.count("\n") == 1
