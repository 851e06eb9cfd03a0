"""Phase marks: lines from any language, with their times."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenground.sidecar.marks import Lines, Marks, parse_mark

Call = Callable[..., Any]


def marks(folder: Path, stem: str = "samples") -> list[tuple[int, str]]:
    with (folder / f"{stem}.marks.csv").open(newline="") as file:
        return [(int(row["t_unix_ns"]), row["mark"]) for row in csv.DictReader(file)]


def test_a_shell_marks_its_phases(measure: Call, tmp_path: Path) -> None:
    text = 'echo load >> "$0"; sleep 1.3; echo "epoch 1, \\"quoted\\"" >> "$0"; sleep 0.2'
    got = measure(["sh", "-c", text, str(tmp_path / "said")], "--mark-file", str(tmp_path / "said"))
    (first, load), (second, epoch) = marks(tmp_path)
    assert (load, epoch) == ("load", 'epoch 1, "quoted"')
    assert got.summary["launched_unix_ns"] < first < second < time.time_ns()
    assert got.header["marks"] == 2


def test_the_last_words_of_a_command_are_read(measure: Call, tmp_path: Path) -> None:
    text = 'for i in 1 2 3; do echo $i >> "$0"; done; printf end >> "$0"'
    measure(["sh", "-c", text, str(tmp_path / "said")], "--mark-file", str(tmp_path / "said"))
    assert [mark for _, mark in marks(tmp_path)] == ["1", "2", "3", "end"]


def test_events_of_an_engine_keep_their_own_time(measure: Call, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    text = f"""echo '{{"event": "train_start", "t_unix_ns": 123}}' >> {events}; sleep 1.3
    printf '{{"event": "train_end", "t_unix_ns": 456}}' >> {events}"""
    measure(["sh", "-c", text], "--mark-file", str(events))
    assert marks(tmp_path) == [(123, "train_start"), (456, "train_end")]


def test_what_outlives_the_command_can_still_mark_its_end(measure: Call, tmp_path: Path) -> None:
    said = tmp_path / "said"
    text = f"trap 'echo told >> {said}; exit' TERM; while :; do sleep 0.05; done"
    command = [
        "sh",
        "-c",
        f"setsid sh -c '{text.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}' & sleep 0.3",
    ]
    got = measure(command, "--mark-file", str(said))
    assert got.summary["survivors"] >= 1 and [mark for _, mark in marks(tmp_path)] == ["told"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epoch 1", (99, "epoch 1")),
        ('{"event": "load", "t_unix_ns": 7}', (7, "load")),
        ('{"mark": "load"}', (99, "load")),
        ('{"t_unix_ns": true, "event": 3}', (99, '{"t_unix_ns": true, "event": 3}')),
        ('{"event": "x", "t_unix_ns": "soon"}', (99, "x")),
        ("[1, 2]", (99, "[1, 2]")),
        ("17", (99, "17")),
        ("[" * 100_000, (99, "[" * 100_000)),
    ],
)
def test_what_a_line_means(line: str, expected: tuple[int, str]) -> None:
    assert parse_mark(line, 99) == expected


@given(st.lists(st.binary(max_size=20)))
def test_lines_are_whole_however_they_arrive(parts: list[bytes]) -> None:
    lines = Lines()
    got = [line for part in parts for line in lines.add(part)] + [lines.rest]
    assert [line for line in got if line] == [line for line in b"".join(parts).split(b"\n") if line]


def test_an_endless_line_does_not_fill_the_memory() -> None:
    lines = Lines()
    assert [len(line) for _ in range(3) for line in lines.add(b"x" * 50_000)] == [100_000]


def test_what_is_no_text_does_not_end_the_measurement(tmp_path: Path) -> None:
    written = Marks(tmp_path / "said", tmp_path / "samples.marks.csv")
    (tmp_path / "said").write_bytes(b'{"event": "\\ud800", "t_unix_ns": 1}\n\xff\xfe\n')
    written.close()
    assert [mark for _, mark in marks(tmp_path)] == ["\\ud800", "\ufffd\ufffd"]


def test_a_disk_that_takes_no_marks_is_an_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        Marks(tmp_path / "said", Path("/dev/full"))


def test_lines_from_before_are_not_this_runs_and_a_file_begun_anew_is_read_from_its_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events"
    path.write_text("old, and longer than what comes\n")
    written = Marks(path, tmp_path / "samples.marks.csv")
    written.poll()
    with path.open("a") as more:
        more.write("new\n")
    written.poll()
    path.write_text("anew\nrest")
    written.close()
    assert [mark for _, mark in marks(tmp_path)] == ["new", "anew", "rest"]


def test_a_file_that_does_not_exist_yet_has_no_marks(tmp_path: Path) -> None:
    written = Marks(tmp_path / "later", tmp_path / "samples.marks.csv")
    written.poll()
    before = time.time_ns()
    (tmp_path / "later").write_bytes(b"one\ntw\xff")
    written.poll()
    written.close()
    assert [mark for _, mark in marks(tmp_path)] == ["one", "tw\ufffd"]
    assert marks(tmp_path)[0][0] >= before and written.count == 2
