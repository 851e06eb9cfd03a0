"""What a short command prints, and how it ends."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from evenground.commands import exit_code, output_of


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("echo ' a'; echo b; echo c >&2", "a\nb"),
        ("true", ""),
        ("echo a; exit 3", None),
        ("sleep 60", None),
    ],
)
def test_a_command_that_fails_or_hangs_has_no_output(script: str, printed: str | None) -> None:
    assert output_of(["sh", "-c", script], timeout_s=0.5) == printed


def test_one_that_is_not_there_has_none() -> None:
    assert output_of(["no-such-program-here"]) is None


def test_one_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    script = f"(sleep 1.5; touch {tmp_path}/late) & echo $HOME; exec sleep 60"
    with tempfile.TemporaryFile() as out:
        began_s = time.monotonic()
        env = {"PATH": "/usr/bin:/bin", "HOME": "here"}
        assert exit_code(["sh", "-c", script], env, out, limit_s=0.5) is None
        assert time.monotonic() - began_s < 5
        out.seek(0)
        assert out.read() == b"here\n", "with no other variables"
        assert exit_code(["sh", "-c", "exit 7"], env, out) == 7
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()
