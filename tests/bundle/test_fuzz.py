"""Bundles broken at random: each ends as a replay or as an error of one line, and with no other file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import replay as script
from made_bundle import Files, call, fixed, save_data, write_zip

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        5,
        0.5,
        -0.0,
        1e308,
        -1e308,
        1e-308,
        10**30,
        -(10**30),
        10**400,
        2**62,
        2**63,
    ),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        " ",
        "x",
        "../..",
        "/etc/passwd",
        "a\nb",
        "\0",
        "\ud800",
    ),
    *(
        "$\\frac",
        "<b>",
        "|",
        "1e999",
        "x" * 3000,
        [],
        {},
        [[]],
        [1, 2],
        {"a": 1},
        {"": None},
        [None] * 50,
    ),
)
CELLS = (
    b"",
    b"x",
    b"-1",
    b"1e308",
    b"-1e308",
    b"inf",
    b"nan",
    b"9" * 40,
    b'"',
    b",",
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
)


def replayed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the bundle was replayed; a traceback, a second line or a stray file fails the test."""
    to = bundle.parent / "out"
    code = call(script.main, bundle, "--output-dir", to)
    said = capsys.readouterr().err
    assert code in {0, 1} and said.count("\n") == code and len(said) < 2000
    done = not code or "no table to compare with" in said
    assert {path.name for path in bundle.parent.iterdir()} == (
        {"bundle.zip", "out"} if done else {"bundle.zip"}
    )
    if done:
        to.rename(to.with_name("done"))
        _remove(to.with_name("done"))
    return done


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, cut out or put in."""
    new = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(new))
        length = chance.choice((0, 1, 1, 1, 4, 50))
        new[place : place + length] = chance.randbytes(chance.choice((0, 1, 1, 1, 4)))
    return bytes(new or b"0")


def odd_json(content: Any, chance: random.Random) -> Any:
    """The content with one value anywhere in it replaced, removed or doubled."""
    holders = [content]
    for holder in holders:
        inside = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in inside if isinstance(value, dict | list) and value]
    holder = chance.choice(holders)
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.2:
        del holder[key]
    elif isinstance(holder, list) and chance.random() < 0.2:
        holder.append(holder[key])
    else:
        holder[key] = chance.choice(ODD)
    return content


def odd_file(name: str, old: bytes, chance: random.Random) -> bytes:
    """The file broken in a way that fits its kind, or anyhow."""
    if chance.random() < 0.1:
        return flipped(old, chance) if old else b"x"
    if name.endswith(".json"):
        return json.dumps(odd_json(json.loads(old), chance)).encode()
    lines = old.splitlines()
    place = chance.randrange(len(lines)) if lines else 0
    if name.endswith(".jsonl"):
        lines[place] = json.dumps(odd_json(json.loads(lines[place]), chance)).encode()
    elif name.endswith(".csv"):
        cells = lines[place].split(b",")
        cells[chance.randrange(len(cells))] = chance.choice(CELLS)
        lines[place] = b",".join(cells)
    if chance.random() < 0.1:
        chance.shuffle(lines)
    return b"\n".join([*lines, b""])


def fuzz(
    files: Files, folder: Path, capsys: pytest.CaptureFixture[str], seed: int, rounds: int
) -> list[bool]:
    """Whether each of the bundles was replayed; half of them broken as a whole, half of them in one file."""
    read = [
        name
        for name in files
        if not name.endswith((".log", ".sha256", "outcome.json", "environment.json"))
    ]
    honest = write_zip(files, folder / "bundle.zip").read_bytes()
    done = []
    for number in range(seed, seed + rounds):
        chance = random.Random(number)
        if number % 2:
            (folder / "bundle.zip").write_bytes(flipped(honest, chance))
        else:
            name = chance.choice(read)
            write_zip(
                fixed({**files, name: odd_file(name, files[name], chance)}), folder / "bundle.zip"
            )
        try:
            done.append(replayed(folder / "bundle.zip", capsys))
        except BaseException:
            print(f"round {number}")
            raise
    return done


def test_a_few_broken_bundles(
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.replay.draw_all", lambda material, folder: [])
    monkeypatch.setattr("evenground.replay.write_page", lambda *_: None)
    done = fuzz(files, tmp_path, capsys, seed=0, rounds=40)
    assert 0 < sum(done) < 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1000])
def test_many_broken_bundles(
    seed: int,
    files: Files,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evenground.report.draw.save", save_data)
    assert 0 < sum(fuzz(files, tmp_path, capsys, seed, rounds=100)) < 50
