"""The answer in the README: it is that of the published bundle, and nothing else of the page changes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from evenground.documentation.readme import BEGIN, BUNDLE, END, figure_of, with_answer
from evenground.errors import EvengroundError

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 120


def test_what_stands_around_the_answer_stays() -> None:
    written = f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    text = with_answer(written, ROOT / BUNDLE)
    assert text.startswith(f"# Title\n\n{BEGIN}\n\n| the thesis claims | found |\n")
    assert text.endswith(f"draws it again.\n\n{END}\n\nafter\n") and "old" not in text
    assert with_answer(text, ROOT / BUNDLE) == text


def test_each_number_of_the_answer_is_one_of_the_bundle() -> None:
    with zipfile.ZipFile(ROOT / BUNDLE) as archive:
        table = archive.read("results/native/tables/answer.md").decode()
    text = with_answer(f"{BEGIN}{END}", ROOT / BUNDLE)
    for line in text.splitlines():
        if line.startswith("- **"):
            assert line.removeprefix("- ") in table
        if line.startswith("| mnist |"):
            cells = line.strip("| ").split(" | ")
            start = f"| mnist | {cells[1]} |"
            (row,) = [row for row in table.splitlines() if row.startswith(start)]
            assert all(cell in row for cell in cells)


def test_a_readme_without_a_place_for_it_is_one_line() -> None:
    with pytest.raises(EvengroundError, match=r"the lines .* are missing") as refused:
        with_answer("# Title\n", ROOT / BUNDLE)
    assert "\n" not in str(refused.value)


def test_a_bundle_without_an_answer_is_one_line(tmp_path: Path) -> None:
    bundle = tmp_path / "old.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("results/native/index.json", "{}")
    with pytest.raises(EvengroundError, match=r"there is no results/native/verdicts\.json in it"):
        figure_of(bundle)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_LINES
