"""An engine's own check: what it says goes into one line, and what it does not do is said for it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from evenground.config import EngineChoice
from evenground.engines import load_engines
from evenground.runs import installed
from evenground.runs.installed import failed_checks, failure_of, one_line


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 0", ""),
        ("echo all is well", ""),
        ("echo 'no Elixir: install it'; exit 1", "no Elixir: install it"),
        ("echo first; echo second; echo third >&2; exit 1", "first"),
        ("echo; echo 'after a blank'; exit 1", "after a blank"),
        ("echo 'only an error' >&2; exit 1", "only an error"),
        ("exit 7", "its check ends with exit code 7 and does not say why"),
        ("printf ' \\033[31mred\\033[0m\\ttab\\007 \\n'; exit 1", "red tab"),
        ("printf '\\377 odd\\n'; exit 1", "\N{REPLACEMENT CHARACTER} odd"),
        ("kill -9 $$", "its check ends with exit code -9 and does not say why"),
        ("yes | head -c 9000000; exit 1", "y"),
        ("echo $PWD/bin; exit 1", "./bin"),
        ("sleep 60 & exit 0", ""),
    ],
)
def test_a_check_gives_one_line_or_passes(tmp_path: Path, script: str, reason: str) -> None:
    assert failure_of(("sh", "-c", script), tmp_path) == reason


def test_a_check_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    (tmp_path / "check.sh").touch()
    said = failure_of(("no-such-program-here",), tmp_path)
    assert said == "its check cannot be started: no-such-program-here: No such file or directory"
    said = failure_of((str(tmp_path / "check.sh"),), tmp_path)
    assert said == "its check cannot be started: ./check.sh: Permission denied"


def test_a_check_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "LIMIT_S", 0.5)
    began_s = time.monotonic()
    said = failure_of(("sh", "-c", "(sleep 1.5; touch late) & sleep 60"), tmp_path)
    assert said.startswith("its check does not end within") and time.monotonic() - began_s < 5
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()


def test_it_sees_what_a_training_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIX_ARCHIVES", "here")
    assert failure_of(
        ("sh", "-c", 'echo "${MIX_ARCHIVES:-nothing} ${PATH:+path}"; cat; exit 1'), tmp_path
    ) == ("nothing path")


def test_no_path_of_this_machine_and_no_more_than_a_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, root = tmp_path / "ana", tmp_path / "ana" / "work"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    assert (
        one_line(f"-I{root}/deps {home}/.mix, {home}. {home}-2\nmore", root)
        == f"-I./deps ~/.mix, ~. {home}-2"
    )
    assert one_line("x" * 999, root) == "x" * 300
    assert one_line(" \n\x00\n", root) == ""
    monkeypatch.setenv("HOME", "/")
    assert one_line("/usr/bin is there", root) == "/usr/bin is there"


def test_arms_of_one_folder_ask_once(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    check = "sh, -c, 'echo asked >> asked.log; echo \"{python}\" gone; exit 1'"
    (tmp_path / "odd/engine.yaml").write_text(f"{{label: Odd, command: [odd], check: [{check}]}}")
    (tmp_path / "fine").mkdir()
    (tmp_path / "fine/engine.yaml").write_text("{label: Fine, command: [fine]}")
    named = {"odd": "./odd", "arm": "./odd", "fine": "./fine"}
    choices = [EngineChoice(name=name, folder=folder) for name, folder in named.items()]
    found = failed_checks([(engine, "cpu") for engine in load_engines(choices, tmp_path)], tmp_path)
    assert found.keys() == {"odd", "arm"} and Path(sys.executable).name in found["odd"]
    assert (tmp_path / "asked.log").read_text() == "asked\n"
