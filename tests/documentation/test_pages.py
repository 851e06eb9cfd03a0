"""What is generated of docs/ is what is in there."""

from __future__ import annotations

from pathlib import Path

from evenground.documentation.pages import pages

ROOT = Path(__file__).resolve().parents[2]


def test_every_generated_page_is_up_to_date() -> None:
    for page, text in pages(ROOT).items():
        assert (ROOT / page).read_text(encoding="utf-8") == text, "python scripts/parameters.py"
