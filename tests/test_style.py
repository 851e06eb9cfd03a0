"""How the code is written, as far as a test can hold it (docs/architecture.md)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", [("format", "--check"), ("check",)])
def test_ruff_has_nothing_to_say(command: tuple[str, ...]) -> None:
    args = [sys.executable, "-m", "ruff", *command, "--quiet", "--no-cache", str(ROOT)]
    result = subprocess.run(args, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
