"""What a short command prints."""

from __future__ import annotations

import pytest

from evenground.commands import output_of


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
