"""A run's events beside its samples: clocks that are set meanwhile, engines with other times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.remade import set_clock_of
from analysis.synthetic import BOOT_NS, HEADER, T0_NS, Made, write_run
from evenground.records.events import Expected
from evenground.records.faults import RecordError
from evenground.records.times import RunTimes, read_folder

START_NS = T0_NS + 60 * 10**9
RUN = {"machine": "m", "dataset": "d", "engine": "e", "key": "k", "repetition": 1}
# Seconds after the start of training: the run is launched at -2 and gone at 4.5.
MADE = Made(load_s=2.0, first_batch_s=0.5, steady_s=2.5, evaluate_s=0.3, linger_s=1.0)
WHEN_S = {"at the start": -1.999, "while loading": -1.3, "in the middle": 1.7, "at the end": 4.35}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path, MADE, START_NS, RUN)
    return tmp_path


def set_clock(run: Path, when_s: float, by_s: float) -> None:
    """Let the clock be set by `by_s` at `when_s` of the training."""
    set_clock_of(run, START_NS + round(when_s * 1e9), by_s)


def read_lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def write_lines(run: Path, events: list[dict[str, Any]]) -> None:
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def read(run: Path) -> RunTimes:
    return read_folder(run, Expected())


@pytest.mark.parametrize("when", WHEN_S)
@pytest.mark.parametrize("by_s", [0.2, -0.2, 5.0, -5.0, 3600.0, -3600.0])
@pytest.mark.parametrize("reads_both", [False, True])
def test_a_clock_set_during_the_run_changes_no_time(
    run: Path, when: str, by_s: float, reads_both: bool
) -> None:
    """The process is gone 0.2 s after its last event: set back by as much then, the clock shows it twice."""
    if reads_both:
        write_lines(run, [{**e, "t_mono_ns": e["t_unix_ns"] - BOOT_NS} for e in read_lines(run)])
    before = read(run)
    set_clock(run, WHEN_S[when], by_s)
    if (when, by_s, reads_both) == ("at the end", -0.2, False):
        with pytest.raises(RecordError, match="cannot be told"):
            read(run)
        return
    after = read(run)
    assert after.clock.set_by_s == pytest.approx(abs(by_s), abs=1e-3)
    assert after.moments == before.moments
    assert after.process == before.process
    assert before.clock.set_by_s == 0


def test_a_clock_set_back_a_little_just_after_an_event_leaves_it_without_a_time(run: Path) -> None:
    """The end of an epoch 50 ms before the clock is set back by 0.2 s."""
    (second,) = [
        e["t_unix_ns"] for e in read_lines(run) if e["event"] == "epoch_end" and e["epoch"] == 2
    ]
    set_clock(run, (second - START_NS) / 1e9 + 0.05, -0.2)
    with pytest.raises(RecordError, match=r"clock was set by -0\.2 s during the run") as caught:
        read(run)
    assert caught.value.reason == "clock-set"


def test_samples_of_a_run_whose_clock_was_set_are_on_the_steady_scale(run: Path) -> None:
    from evenground.analysis.runs import parse_samples

    content, where = (run / "samples.csv").read_bytes(), run / "samples.csv"
    before = parse_samples(content, where, read(run).clock.anchor_ns)
    set_clock(run, 1.7, 3600)
    after = parse_samples((run / "samples.csv").read_bytes(), where, read(run).clock.anchor_ns)
    assert after.t_ns.tolist() == before.t_ns.tolist()


ODD: dict[str, Callable[[int, int], object]] = {
    "milliseconds": lambda t_ns, _: t_ns // 10**6,
    "microseconds": lambda t_ns, _: t_ns // 1000,
    "since boot": lambda t_ns, _: t_ns - BOOT_NS,
    "float": lambda t_ns, _: float(t_ns),
    "an hour ahead": lambda t_ns, _: t_ns + 3600 * 10**9,
    "an hour behind": lambda t_ns, _: t_ns - 3600 * 10**9,
    "jumps ahead": lambda t_ns, line: t_ns + (60 * 10**9 if line > 5 else 0),
    "goes back": lambda t_ns, line: t_ns - (10**9 if line > 5 else 0),
}


@pytest.mark.parametrize("odd", ODD)
def test_times_of_another_unit_clock_or_hour_are_broken_events(run: Path, odd: str) -> None:
    events = read_lines(run)
    for line, event in enumerate(events, start=1):
        event["t_unix_ns"] = ODD[odd](event["t_unix_ns"], line)
    write_lines(run, events)
    with pytest.raises(RecordError) as caught:
        read(run)
    assert caught.value.reason == "broken-events"
    assert str(run) not in caught.value.short and "\n" not in caught.value.short


@pytest.mark.parametrize("name", ["events.jsonl", "samples.csv", "samples.json"])
def test_a_file_that_is_not_there_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(RecordError, match=f"missing .*{name}") as caught:
        read(run)
    assert caught.value.reason == (
        "incomplete-events" if name == "events.jsonl" else "broken-samples"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "columns do not begin"),
        (b"t_unix_ns,cpu_s\n1,2\n", "columns do not begin"),
        (b"t_unix_ns,t_mono_ns,cpu_s\n1,1,2\n", "not those that samples.json describes"),
        (b"%b\n1,,2\n", "a row without its times .*line 2"),
        (b"%b\n1_0,5,2\n", "a row without its times"),
        (b"%b\n1\n", "a row without its times"),
    ],
)
def test_samples_without_clocks_are_broken(run: Path, content: bytes, words: str) -> None:
    (run / "samples.csv").write_bytes(content.replace(b"%b", HEADER.encode()))
    with pytest.raises(RecordError, match=words) as caught:
        read(run)
    assert caught.value.reason == "broken-samples"


def test_another_schema_names_both(run: Path) -> None:
    info = json.loads((run / "samples.json").read_text())
    (run / "samples.json").write_text(json.dumps({**info, "schema": 1}))
    with pytest.raises(RecordError, match=r"schema 1, .* reads 2 "):
        read(run)
