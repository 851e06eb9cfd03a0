"""`profiles/quick` replaces the default profile, so what both must say is held equal here."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def profile(name: str) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    return content


def test_quick_says_all_that_the_default_says() -> None:
    quick = profile("quick")
    assert quick.pop("configfile") == "profiles/quick/params.yaml"
    assert quick == profile("default")
