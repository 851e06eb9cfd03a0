"""Bundles broken at random: each is unpacked and read or ends as an error of one line, with no other file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import replay as script
from evenground.analysis.runs import all_runs
from evenground.records.index import Index
from made_bundle import Files, call, fixed, write_zip

ROUNDS = 100


def test_broken_bundles(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is drawn of what could be read takes most of a replay.
    monkeypatch.setattr("evenground.bundle.replay.redraw", only_read)
    bundle = tmp_path / "bundle.zip"
    honest = write_zip(files, bundle).read_bytes()
    replayed = 0
    for number in range(ROUNDS):
        chance = random.Random(number)
        if number % 2:
            bundle.write_bytes(flipped(honest, chance))
        else:
            name = chance.choice([name for name, content in files.items() if content])
            write_zip(fixed({**files, name: flipped(files[name], chance)}), bundle)
        replayed += was_replayed(bundle, capsys, f"round {number}")
    assert 0 < replayed < ROUNDS / 2


def only_read(index: Index, *_: Any, **__: Any) -> list[str]:
    """In place of `redraw`: no figure."""
    for run in all_runs(index):
        run.samples()
    return []


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut out or put in."""
    new = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(new))
        length = chance.choice((0, 1, 1, 1, 4, 50))
        new[place : place + length] = chance.randbytes(chance.choice((0, 1, 1, 1, 4)))
    return bytes(new or b"0")


def was_replayed(bundle: Path, capsys: pytest.CaptureFixture[str], which: str) -> bool:
    """Whether the bundle was replayed; a traceback, a second line or a stray file fails the test."""
    to = bundle.parent / "out"
    code = call(script.main, bundle, "--output-dir", to)
    said = capsys.readouterr().err
    assert code in {0, 1} and said.count("\n") == code and len(said) < 2000, which
    done = code == 0 or "no table to compare with" in said
    assert to.exists() == done, which
    shutil.rmtree(to, ignore_errors=True)
    assert list(bundle.parent.iterdir()) == [bundle], which
    return done
