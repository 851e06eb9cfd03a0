"""The definitions of the containers: their arguments are the pins, and none is left out or misspelt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evenground.images import base_of, definition
from evenground.pins import load_pins

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = sorted((ROOT / "containers").glob("*.def"))
every_definition = pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)


def section(text: str, name: str) -> str:
    """The lines of a section of a definition."""
    found = re.search(rf"^%{name}\n((?:(?:[ \t].*)?\n)+)", text, re.M)
    assert found, name
    return found[1]


def defaults(text: str) -> dict[str, str]:
    """The arguments of a definition with their default values."""
    parts = (line.strip().partition("=") for line in section(text, "arguments").split("\n") if line.strip())
    return {name: value for name, _, value in parts}


def test_every_pinned_engine_has_one_and_none_is_left_over() -> None:
    used = {definition(ROOT, pinned.lock) for pinned in load_pins(ROOT).engines.values()}
    assert {ROOT / path for path in used} == set(DEFINITIONS)


@every_definition
def test_the_defaults_are_the_pins(path: Path) -> None:
    pins = load_pins(ROOT)
    assert defaults(path.read_text(encoding="utf-8")) == {
        "bootstrap": "docker",
        "base": base_of(ROOT, None).reference,
        "base_id": base_of(ROOT, None).identity,
        "python": pins.base.python,
        "cuda_runtime": pins.cuda_runtime,
        "cudnn": pins.cudnn,
        "nccl": pins.nccl,
        "recipe": "by-hand",
    }


@every_definition
def test_every_argument_is_used_and_every_use_is_an_argument(path: Path) -> None:
    """Whose environment it is, is always said: it has no default."""
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) == {"lock", *defaults(text)}


@every_definition
def test_its_scripts_end_at_the_first_command_that_fails(path: Path) -> None:
    """Apptainer runs `%test` with a plain shell: without it only the last command counts."""
    text = path.read_text(encoding="utf-8")
    for name in ("post", "test"):
        assert section(text, name).lstrip().startswith("set -eu\n"), name


@every_definition
def test_apt_can_work_for_a_user_without_other_users(path: Path) -> None:
    """Its downloads are another user's unless it is told, and in a user namespace there is none."""
    before, update, after = section(path.read_text(encoding="utf-8"), "post").partition("apt-get update")
    assert update and "python3 python3-venv" in after
    assert """echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/90one-user\n""" in before
    assert "rm -f /etc/apt/sources.list.d/cuda*.list\n" in before


@every_definition
def test_the_environments_are_looked_at_when_it_is_built(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "whole.py list" in section(text, "test") and "engine runner" in section(text, "test")
    for kind in ("in", "txt"):
        assert f"    envs/{{{{ lock }}}}.{kind} /opt/evenground/engine.{kind}\n" in section(text, "files")
