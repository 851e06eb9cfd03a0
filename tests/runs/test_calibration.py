"""The sampler's calibration as a step: on its machine only, and with a record whatever becomes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evenground.errors import EvengroundError
from evenground.files import read_json
from evenground.gpus.choice import AUTO
from evenground.runs import calibration
from evenground.runs.machine import this_machine


def test_it_is_refused_on_a_machine_of_another_class(tmp_path: Path) -> None:
    with pytest.raises(EvengroundError, match="'other' cannot be calibrated on another machine"):
        calibration.calibrate(tmp_path / "c.json", "other", AUTO)


@pytest.mark.parametrize(("status", "text"), [(0, "{}"), (1, "{}"), (1, ""), (125, "{}")])
def test_one_that_fails_has_a_record_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, text: str
) -> None:
    made = tmp_path / "machine/c.json"
    program = "import sys; sys.argv[2] and open(sys.argv[1], 'w').write(sys.argv[2]); "
    program += f"sys.exit({status})"
    command = [sys.executable, "-c", program, str(made), text]
    monkeypatch.setattr(calibration, "sidecar_command", lambda args: command)
    assert calibration.calibrate(made, this_machine(AUTO).name, AUTO) == (status == 0)
    if status < 2 and text:
        assert read_json(made) == {}
    else:
        why = read_json(made)["figures"]["calibration"]["reason"]
        assert why.startswith(f"it ended with status {status}: ")
