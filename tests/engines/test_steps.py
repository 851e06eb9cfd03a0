"""Where an engine leaves the reference: said by step, statistic and example, by one command."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

import parity
from evenground.errors import EvengroundError
from evenground.protocol.parity import Tolerance
from evenground.protocol.steps import departures

ALLOWED = Tolerance(loss=1e-6, statistics=1e-3, logits=1e-5)
RESULT: dict[str, Any] = {
    "losses": [2.0, 1.5, 1.25],
    "statistics": {"norm_1.moving_mean": [0.5, 0.25]},
    "logits": [[1.0, 2.0], [3.0, 4.0]],
}
# Prints nothing, takes any options, and trains three steps to these losses.
PROGRAM = """
import json, pathlib, sys
words = sys.argv[1:]
given = {name: value for name, value in zip(words, words[1:]) if name.startswith("--")}
if "--export-weights" in given:
    pathlib.Path(given["--export-weights"]).mkdir()
    losses = [2.0, 1.5, 1.25]
else:
    assert pathlib.Path(given["--weights"]).is_dir()
    losses = [2.0, 1.5, %s]
result = {"losses": losses, "statistics": {}, "logits": [[1.0, 2.0]]}
pathlib.Path(given["--output"]).write_text(json.dumps(result))
"""


def test_the_same_numbers_agree_line_by_line() -> None:
    assert departures(RESULT, RESULT, ALLOWED) == [
        "ok  losses: largest difference 0, allowed 1e-06",
        "ok  norm_1.moving_mean: largest difference 0, allowed 0.001",
        "ok  logits: largest difference 0, allowed 1e-05",
    ]


def test_the_first_place_beyond_the_tolerance_is_named() -> None:
    other = {
        "losses": [2.0, 1.51, 1.75],
        "statistics": {"norm_1.moving_mean": [0.5, 0.375]},
        "logits": [[1.0, 2.0], [3.0, 4.5]],
    }
    assert departures(RESULT, other, ALLOWED) == [
        "NO  losses: largest difference 0.5, allowed 1e-06; first beyond it at step 2 of 3: 1.51, "
        "the reference has 1.5",
        "NO  norm_1.moving_mean: largest difference 0.125, allowed 0.001; first beyond it at channel "
        "2 of 2: 0.375, the reference has 0.25",
        "NO  logits: largest difference 0.5, allowed 1e-05; first beyond it at example 2 of 2: 3, "
        "4.5, the reference has 3, 4",
    ]


def test_what_is_missing_of_another_shape_or_no_number_is_no_agreement() -> None:
    other = {"losses": [2.0, math.nan, 1.25], "statistics": {"x": [1.0]}, "logits": [[1.0, 2.0]]}
    lines = departures(RESULT, other, ALLOWED)
    assert lines[0].startswith("NO  losses: largest difference inf, ") and "step 2" in lines[0]
    assert lines[1] == "NO  norm_1.moving_mean: only one of the two has it"
    assert lines[3] == "NO  logits: shape [1, 2], the reference has [2, 2]"


def engine(folder: Path, loss: str = "1.25", **more: str) -> Path:
    """An engine whose last loss is this."""
    folder.mkdir()
    (folder / "parity.py").write_text(PROGRAM % loss)
    lines = [f"label: {folder.name}", "command: ['true']", *(f"{k}: {v}" for k, v in more.items())]
    if not more:
        lines.append(f"parity_command: ['{sys.executable}', '{{folder}}/parity.py']")
    (folder / "engine.yaml").write_text("\n".join(lines))
    return folder


def call(monkeypatch: pytest.MonkeyPatch, reference: Path, *arguments: str) -> int:
    """Run the script in this process; its exit status."""
    monkeypatch.setattr(parity, "REFERENCE", str(reference))
    monkeypatch.setattr(sys, "argv", ["parity.py", *arguments])
    try:
        parity.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_command_says_where_an_engine_leaves_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = engine(tmp_path / "reference_engine")
    alike, other = engine(tmp_path / "alike"), engine(tmp_path / "other", "1.5")
    assert call(monkeypatch, reference, str(alike), "--case", "mlp") == 0
    said = capsys.readouterr().out
    assert said.startswith("mlp: mlp, 40 steps of 32 examples\n  ok  losses: ")
    assert call(monkeypatch, reference, str(other), "--case", "odd") == 1
    assert "first beyond it at step 3 of 3: 1.5, the reference has 1.25" in capsys.readouterr().out


def test_what_cannot_be_compared_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = engine(tmp_path / "reference_engine")
    without = engine(tmp_path / "without", colour="'#000000'")
    with pytest.raises(EvengroundError, match="it has no parity_command"):
        call(monkeypatch, reference, str(without), "--case", "mlp")
    broken = engine(tmp_path / "broken", "undefined_name")
    with pytest.raises(EvengroundError, match="failed with status 1: NameError: "):
        call(monkeypatch, reference, str(broken), "--case", "mlp")
