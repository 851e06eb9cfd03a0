"""Phase marks: lines from any language, with their times."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenground.sidecar.marks import Lines, MarkFile, Marks, parse_mark

Call = Callable[..., Any]


def marks(folder: Path, stem: str = "samples") -> list[tuple[int, str]]:
    with (folder / f"{stem}.marks.csv").open(newline="") as file:
        return [(int(row["t_unix_ns"]), row["mark"]) for row in csv.DictReader(file)]


def test_a_shell_marks_its_phases_through_the_pipe(measure: Call, tmp_path: Path) -> None:
    text = 'cd /; echo load > "$SIDECAR_MARKS"; sleep 0.3; '
    text += 'echo "epoch 1, \\"quoted\\"" > "$SIDECAR_MARKS"; sleep 0.2'
    got = measure(["sh", "-c", text], "--mark-fifo", str(tmp_path / "marks"))
    (first, load), (second, epoch) = marks(tmp_path)
    assert (load, epoch) == ("load", 'epoch 1, "quoted"')
    assert got.summary["launched_unix_ns"] < first < second < got.summary["exited_unix_ns"]
    assert 0.29e9 < second - first < 0.6e9
    assert got.header["marks"] == 2 and not (tmp_path / "marks").exists()


def test_the_last_words_of_a_command_are_read(measure: Call, tmp_path: Path) -> None:
    text = 'for i in 1 2 3; do echo $i > "$SIDECAR_MARKS"; done; printf end > "$SIDECAR_MARKS"'
    measure(["sh", "-c", text], "--mark-fifo", str(tmp_path / "marks"))
    assert [mark for _, mark in marks(tmp_path)] == ["1", "2", "3", "end"]


def test_events_of_an_engine_keep_their_own_time(measure: Call, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    text = f"""echo '{{"event": "train_start", "t_unix_ns": 123}}' >> {events}; sleep 1.3
    printf '{{"event": "train_end", "t_unix_ns": 456}}' >> {events}"""
    measure(["sh", "-c", text], "--mark-file", str(events))
    assert marks(tmp_path) == [(123, "train_start"), (456, "train_end")]


def test_a_pipe_that_somebody_made_is_used_and_left(measure: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "marks")
    measure(
        ["sh", "-c", f"echo mine > {tmp_path / 'marks'}"], "--mark-fifo", str(tmp_path / "marks")
    )
    assert [mark for _, mark in marks(tmp_path)] == ["mine"]
    assert (tmp_path / "marks").is_fifo()


def test_the_pipe_goes_when_the_command_cannot_start(measure: Call, tmp_path: Path) -> None:
    assert measure(["no-such-program-here"], "--mark-fifo", str(tmp_path / "marks")).status == 127
    assert not (tmp_path / "marks").exists()


def test_what_outlives_the_command_can_still_mark_its_end(measure: Call, tmp_path: Path) -> None:
    text = "trap 'echo told > $SIDECAR_MARKS; exit' TERM; while :; do sleep 0.05; done"
    command = [
        "sh",
        "-c",
        f"setsid sh -c '{text.replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}' & sleep 0.3",
    ]
    got = measure(command, "--mark-fifo", str(tmp_path / "marks"))
    assert got.summary["survivors"] >= 1 and [mark for _, mark in marks(tmp_path)] == ["told"]
    assert not (tmp_path / "marks").exists()


def test_kill_9_of_the_sidecar_takes_the_pipe_along(
    start: Call, tmp_path: Path, wait_for: Call
) -> None:
    running = start(["sleep", "30"], "--mark-fifo", str(tmp_path / "marks"))
    wait_for(lambda: (tmp_path / "marks").exists())
    wait_for(lambda: len((tmp_path / "samples.csv").read_text().splitlines()) > 1)
    running.process.kill()
    wait_for(lambda: not (tmp_path / "marks").exists())


def test_kill_9_of_the_sidecar_leaves_a_pipe_that_somebody_made(
    start: Call, tmp_path: Path, wait_for: Call, alive: Call
) -> None:
    os.mkfifo(tmp_path / "marks")
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 30"]
    running = start(command, "--mark-fifo", str(tmp_path / "marks"))
    wait_for(pid.exists)
    children = (
        Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
    )
    running.process.kill()
    wait_for(lambda: not any(alive(int(child)) for child in children))
    assert len(children) == 2 and (tmp_path / "marks").is_fifo()


def test_a_pipe_that_cannot_be_made_starts_nothing(start: Call, tmp_path: Path) -> None:
    (tmp_path / "marks").touch()
    running = start(["touch", str(tmp_path / "started")], "--mark-fifo", str(tmp_path / "marks"))
    err = running.process.communicate(timeout=20)[1]
    assert running.process.returncode == 125 and "File exists" in err
    assert not (tmp_path / "started").exists()


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
    got = [line for part in parts for line in lines.add(part)] + lines.last()
    assert [line for line in got if line] == [line for line in b"".join(parts).split(b"\n") if line]


def test_an_endless_line_does_not_fill_the_memory() -> None:
    lines = Lines()
    assert [len(line) for _ in range(3) for line in lines.add(b"x" * 50_000)] == [100_000]


def test_what_is_no_text_does_not_end_the_measurement(tmp_path: Path) -> None:
    written = Marks(tmp_path / "samples.marks.csv")
    written.add([b'{"event": "\\ud800", "t_unix_ns": 1}'], 0)
    written.add([b"\xff\xfe"], 2)
    written.close()
    written.add([b"too late"], 3)
    assert marks(tmp_path) == [(1, "\\ud800"), (2, "\ufffd\ufffd")]


def test_a_disk_that_takes_no_marks_is_an_error_at_the_end() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no /dev/full")
    with pytest.raises(OSError, match="No space left"):
        Marks(Path("/dev/full"))


def test_lines_from_before_are_not_this_runs_and_a_file_begun_anew_is_read_from_its_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events"
    path.write_text("old, and longer than what comes\n")
    written = Marks(tmp_path / "samples.marks.csv")
    file = MarkFile(path, written)
    file.poll()
    with path.open("a") as more:
        more.write("new\n")
    file.poll()
    path.write_text("anew\nrest")
    file.stop()
    file.stop()
    written.close()
    assert [mark for _, mark in marks(tmp_path)] == ["new", "anew", "rest"]


def test_a_file_that_does_not_exist_yet_has_no_marks(tmp_path: Path) -> None:
    written = Marks(tmp_path / "samples.marks.csv")
    file = MarkFile(tmp_path / "later", written)
    file.poll()
    before = time.time_ns()
    (tmp_path / "later").write_bytes(b"one\ntw\xff")
    file.poll()
    file.stop()
    written.close()
    assert [mark for _, mark in marks(tmp_path)] == ["one", "tw\ufffd"]
    assert marks(tmp_path)[0][0] >= before and written.count == 2
