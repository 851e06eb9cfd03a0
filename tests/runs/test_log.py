"""A log that is kept small: afterwards, and when what keeps it small is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evenground.runs import log
from evenground.runs.log import HEAD_BYTES, TAIL_BYTES, cut, last_line
from working_copy import wait_until


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    path, content = tmp_path / "log", os.urandom(HEAD_BYTES + TAIL_BYTES)
    path.write_bytes(content)
    cut(path)
    assert path.read_bytes() == content


def test_of_a_long_one_head_and_tail_stay(tmp_path: Path) -> None:
    path, content = tmp_path / "log", os.urandom(HEAD_BYTES + TAIL_BYTES + 1234)
    path.write_bytes(content)
    cut(path)
    kept = path.read_bytes()
    assert kept.startswith(content[:HEAD_BYTES]) and kept.endswith(content[-TAIL_BYTES:])
    assert b"\n[evenground: 1,234 of 263,378 bytes are cut out here; " in kept
    assert [found.name for found in tmp_path.iterdir()] == ["log"]


WRITER = """
import os, time
for number in range(100):
    os.write(1, b"x" * 10000)
    time.sleep(0.01)
open("whole", "w").close()
"""
HARNESS = f"""
import subprocess, sys
from pathlib import Path
from evenground.runs.log import bounded
with bounded(Path("log")) as stream:
    subprocess.run([sys.executable, "-c", {WRITER!r}], stdout=stream)
"""


def test_a_killed_harness_breaks_nothing_of_the_engines(tmp_path: Path) -> None:
    source = str(Path(log.__file__).parents[2])
    harness = subprocess.Popen(
        [sys.executable, "-c", HARNESS], cwd=tmp_path, env={**os.environ, "PYTHONPATH": source}
    )
    assert wait_until((tmp_path / "log").is_file, 20.0)
    harness.send_signal(signal.SIGKILL)
    assert harness.wait() == -signal.SIGKILL
    assert wait_until((tmp_path / "whole").is_file, 20.0), "it wrote on to its end"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "nothing"),
        (b"\n \n", "nothing"),
        (b"one\ntwo\n\n", "two"),
        (b"10 %\r20 %\r30 %\r", "30 %"),
        (b"\x1b[31mred\x1b[0m\x07\n", "red"),
        (b"a\xffb\tc\n", "a\ufffdb c"),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_the_last_line_is_printable_and_short(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "log").write_bytes(content)
    assert last_line(tmp_path / "log") == line


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert last_line(tmp_path / "log") == "nothing"
