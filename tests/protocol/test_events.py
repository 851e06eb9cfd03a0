"""The validator of events files: what it accepts, and that it tells broken, incomplete and wrong apart."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenground.protocol.events import EventsError, Expected, check_events, read_events

ROOT = Path(__file__).resolve().parents[2]
Lines = list[dict[str, Any]]
WORK = Expected(
    epochs=2, batch_size=8, network="mlp", seed=3, train_images=45, test_images=10, parameters=7, linger_s=0.5
)


def complete() -> Lines:
    """A training of two epochs on 45 images in batches of 8."""
    lines: Lines = [
        {"event": "start", "engine": "x", "versions": {"x": "1"}, "device": "cpu", "options": {}},
        {"event": "load_start"},
        {"event": "load_end", "train_images": 45, "test_images": 10},
        {"event": "train_start", "seed": 3, "epochs": 2, "batch_size": 8, "network": "mlp", "parameters": 7},
        {"event": "epoch_start", "epoch": 1},
        {"event": "first_batch_end", "epoch": 1, "loss": 2.3},
        {"event": "epoch_end", "epoch": 1, "loss": 1.5, "accuracy": 0.5, "images": 40},
        {"event": "epoch_start", "epoch": 2},
        {"event": "epoch_end", "epoch": 2, "loss": 1.0, "accuracy": 0.75, "images": 40},
        {"event": "train_end"},
        {"event": "evaluate_start"},
        {"event": "evaluate_end", "accuracy": 0.7, "hits": 7, "images": 10},
        {"event": "linger_end", "linger_s": 0.5},
        {"event": "end"},
    ]
    return [{**line, "t_unix_ns": 1_700_000_000_000_000_000 + number} for number, line in enumerate(lines)]


def write(folder: Path, lines: Lines) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def fault(path: Path, expected: Expected = WORK) -> EventsError:
    with pytest.raises(EventsError) as caught:
        check_events(path, expected)
    return caught.value


def test_a_complete_file_is_read_whole(tmp_path: Path) -> None:
    events = check_events(write(tmp_path, complete()), WORK)
    assert [event.name for event in events] == [line["event"] for line in complete()]
    assert events[6].fields["accuracy"] == 0.5
    assert (events[6].line, events[6].t_unix_ns) == (7, complete()[6]["t_unix_ns"])


def test_nothing_expected_accepts_any_work(tmp_path: Path) -> None:
    assert len(check_events(write(tmp_path, complete()), Expected())) == 14


@pytest.mark.parametrize("at", [4, 5])
def test_compile_events_may_stand_before_the_first_result(tmp_path: Path, at: int) -> None:
    lines = complete()
    time_ns = lines[at - 1]["t_unix_ns"]
    pair = [{"event": name, "t_unix_ns": time_ns} for name in ("compile_start", "compile_end")]
    assert len(check_events(write(tmp_path, lines[:at] + pair + lines[at:]), WORK)) == 16


@pytest.mark.parametrize(("at", "names"), [
    (2, ["compile_start", "compile_end"]),
    (6, ["compile_start", "compile_end"]),
    (5, ["compile_start"]),
    (5, ["compile_end"]),
    (5, ["compile_end", "compile_start"]),
])  # fmt: skip
def test_compile_events_elsewhere_are_refused(tmp_path: Path, at: int, names: list[str]) -> None:
    lines = complete()
    more = [{"event": name, "t_unix_ns": lines[at - 1]["t_unix_ns"]} for name in names]
    error = fault(write(tmp_path, lines[:at] + more + lines[at:]))
    assert error.reason == "incomplete-events"
    assert "compile_" in str(error)


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
    assert "no events" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"event": "end", "t_unix_', "not a JSON line"),
        ("", "not a JSON line"),
        ("[]", "not of type 'object'"),
        ('{"event": "end"}', "'t_unix_ns' is a required property"),
        ('{"event": "end", "t_unix_ns": -1}', "t_unix_ns"),
        ('{"event": "end", "t_unix_ns": 1.5}', "t_unix_ns"),
        ('{"event": "finish", "t_unix_ns": 1}', "'finish' is not one of"),
        ('{"event": "epoch_start", "t_unix_ns": 1}', "'epoch' is a required property"),
        ('{"event": "first_batch_end", "t_unix_ns": 1, "epoch": 1, "loss": NaN}', "JSON has no NaN"),
        ('{"event": "first_batch_end", "t_unix_ns": 1, "epoch": 1, "loss": "1"}', "loss"),
        ('{"event": "evaluate_end", "t_unix_ns": 1, "accuracy": 1.5, "hits": 1, "images": 1}', "accuracy"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, complete()[:2])
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
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
        (change(2, train_images=44), 3, "train_images is 44, asked was 45"),
        (change(2, test_images=11), 3, "test_images is 11, asked was 10"),
        (change(3, seed=4), 4, "seed is 4, asked was 3"),
        (change(3, batch_size=4), 4, "batch_size is 4, asked was 8"),
        (change(3, network="cnn"), 4, "network is cnn, asked was mlp"),
        (change(3, parameters=8), 4, "parameters is 8, asked was 7"),
        (change(12, linger_s=0.4), 13, "linger_s is 0.4, asked was 0.5"),
        (change(6, images=45), 7, "images is 45, the full batches hold 40"),
        (change(8, loss=None), 9, "loss at 'epoch_end' of epoch 2 is not finite"),
        (change(5, loss=None), 6, "loss at 'first_batch_end' of epoch 1 is not finite"),
        (change(11, images=9), 12, "evaluated on 9 images"),
        (change(11, accuracy=0.71), 12, "not 7 hits of 10"),
        (change(11, hits=11), 12, "not 11 hits of 10"),
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
    assert "epochs is 2, asked was 3" in str(error)


def test_a_loss_too_large_for_a_number_is_not_finite(tmp_path: Path) -> None:
    path = write(tmp_path, complete())
    path.write_text(path.read_text().replace('"loss": 1.0', '"loss": 1e999'))
    assert fault(path).reason == "wrong-work"


def test_a_promise_of_endless_epochs_costs_nothing(tmp_path: Path) -> None:
    lines = complete()
    lines[3]["epochs"] = 10**15
    assert fault(write(tmp_path, lines)).reason == "incomplete-events"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(
    text=st.text()
    | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_no_text_is_anything_but_events_or_a_named_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    if not text.splitlines():
        assert read_events(path) == []
        return
    with pytest.raises(EventsError) as caught:
        read_events(path)
    assert caught.value.reason == "broken-events"


def run_script(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "scripts" / "check_events.py")
    return subprocess.run([sys.executable, script, str(path), *more], capture_output=True, text=True)


def test_the_script_says_what_it_found(tmp_path: Path) -> None:
    path = write(tmp_path, complete())
    good = run_script(path, "--epochs", "2", "--network", "mlp", "--train-images", "45")
    assert (good.returncode, good.stdout) == (0, f"{path}: 14 events, complete and in order\n")
    bad = run_script(path, "--epochs", "3")
    assert bad.returncode == 1
    assert bad.stderr.startswith(f"error: epochs is 2, asked was 3 ({path}, line 4): ")
    assert bad.stderr.count("\n") == 1
