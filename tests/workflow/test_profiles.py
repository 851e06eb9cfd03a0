"""A profile replaces the default one, so what all must say is held equal here, and all they name is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).resolve().parents[2]
OTHERS = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
OTHERS.remove("default")
RULES = set(
    re.findall(
        r"^ *rule (\w+):", "".join(p.read_text() for p in (ROOT / "rules").glob("*.smk")), re.M
    )
)


def profile(name: str) -> dict[str, Any]:
    text = (ROOT / "profiles" / name / "config.yaml").read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_quick_says_all_that_the_default_says() -> None:
    quick = profile("quick")
    assert quick.pop("configfile") == "profiles/quick/params.yaml"
    assert quick == profile("default")


def test_a_lost_training_is_not_made_again_by_slurm() -> None:
    slurm = profile("slurm")
    assert slurm["executor"] == "slurm" and slurm["slurm-no-requeue"] is True


@pytest.mark.parametrize("name", OTHERS)
def test_every_profile_says_what_the_default_says(name: str) -> None:
    shared, other = profile("default"), profile(name)
    if "executor" in other:
        # With jobs on other machines it would limit what each asks for.
        assert shared.pop("cores") and "cores" not in other and "jobs" in other
    assert {key: other.get(key) for key in shared} == shared


@pytest.mark.parametrize("name", OTHERS)
def test_every_key_is_an_option_and_every_rule_is_there(name: str) -> None:
    options, content = get_argument_parser()._option_string_actions, profile(name)
    # A plugin's options begin with its name; whether it knows them is seen in a dry run.
    unknown = [key for key in content if f"--{key}" not in options]
    assert all(key.startswith(f"{content.get('executor')}-") for key in unknown), unknown
    named = {item.split("=")[0] for item in content.get("groups", [])}
    assert named <= RULES
