"""Messages in a log: one line each, with time and level, whatever else logs in the same process."""

from __future__ import annotations

import logging
import subprocess
import sys
import time

import pytest

from evenground import logs
from logged import logged


def test_a_message_is_one_line_with_its_time_and_level(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = time.strftime(logs.TIME)
    logs.warning("too few cores:\n  5000 threads, 100 % of 2")
    line = capsys.readouterr().err
    assert before <= line[:19] <= time.strftime(logs.TIME)
    assert line[19:] == " warning: too few cores: 5000 threads, 100 % of 2\n"


def test_each_message_is_written_once_and_by_no_other_handler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    noisy = logging.StreamHandler(sys.stderr)
    root.addHandler(noisy)
    try:
        logs.info("one")
        logs.info("two")
    finally:
        root.removeHandler(noisy)
    err = capsys.readouterr().err
    assert logged(err) == ["info: one", "info: two"] and err.count("\n") == 2


def test_a_script_that_logs_nothing_does_not_import_logging() -> None:
    code = "import sys; from evenground import errors, logs; sys.exit('logging' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"})
