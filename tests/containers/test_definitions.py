"""The definitions of the containers: their arguments are the pins, and none is left out or misspelt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evenground.images import base_of
from evenground.pins import load_pins

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = sorted((ROOT / "containers").glob("*.def"))


def defaults(text: str) -> dict[str, str]:
    """The arguments of a definition with their default values."""
    section = re.search(r"^%arguments\n((?:[ \t].*\n)+)", text, re.M)
    assert section
    parts = (line.strip().partition("=") for line in section[1].splitlines())
    return {name: value for name, _, value in parts}


def test_every_pinned_engine_has_one() -> None:
    assert {path.stem for path in DEFINITIONS} == load_pins(ROOT).engines.keys()


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_the_defaults_are_the_pins(path: Path) -> None:
    pins = load_pins(ROOT)
    assert defaults(path.read_text(encoding="utf-8")) == {
        "bootstrap": "docker",
        "base": base_of(ROOT, None).reference,
        "base_id": base_of(ROOT, None).identity,
        "python": pins.base.python,
        "lock": pins.engines[path.stem].lock,
        "cuda_runtime": pins.cuda_runtime,
        "cudnn": pins.cudnn,
        "nccl": pins.nccl,
        "recipe": "by-hand",
    }


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_every_argument_is_used_and_every_use_is_an_argument(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) == defaults(text).keys()
