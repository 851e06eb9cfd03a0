"""Lines of code: counted by a well-kept counter, the thesis's own only from the files it counted."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest

from evenground.errors import EvengroundError
from evenground.records.plan import Engine, PlanFile
from evenground.runs.lines import AT_HAND, THESIS_CODE, count_lines, thesis_files
from made_records import made_planned, plan_of

ROOT = Path(__file__).resolve().parents[2]
ELIXIR = "# why\ndefmodule A do\n\n  def run, do: 1\nend\n"
PYTHON = '"""What."""\n\nx = 1  # why\n# alone\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A working copy with one engine of two languages, and a list of two files of the thesis."""
    for name, text in (
        ("train.py", PYTHON),
        ("engine.yaml", "label: A\n"),
        ("core.ex", ELIXIR),
        ("a.bin", "\0"),
    ):
        (tmp_path / "engines/a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "engines/a" / name).write_text(text)
    (tmp_path / THESIS_CODE).parent.mkdir(parents=True)
    digest = hashlib.sha256(ELIXIR.encode()).hexdigest()
    rows = [
        ["corrected", "axon", "lib/a.ex", 5, digest, "-"],
        ["corrected", "plain-nx", "lib/b.ex", 5, digest, "-"],
    ]
    with (tmp_path / THESIS_CODE).open("w", newline="") as file:
        csv.writer(file).writerows(
            [["instrument", "code", "path", "lines", "sha256", "source"], *rows]
        )
    return tmp_path


def engines(*sources: str, arm_of: str | None = None) -> PlanFile:
    """A plan with one engine of these sources."""
    engine = Engine(name="a", label="A", colour="#000000", arm_of=arm_of)
    return plan_of(made_planned(engines=(engine,)), sources={"a": sources})


def test_lines_of_each_language_the_most_code_first(root: Path) -> None:
    found = count_lines(engines("engines/a", "engines/a/train.py"), root).engines
    shown = {
        line.language: (line.files, line.lines, line.code_lines, line.comment_lines)
        for line in found
    }
    assert shown == {"Elixir": (1, 5, 3, 1), "Python": (1, 4, 1, 2), "YAML": (1, 1, 1, 0)}
    assert list(shown) == ["Elixir", "Python", "YAML"]


def test_an_engines_own_tests_and_builds_are_not_its_code(root: Path) -> None:
    before = count_lines(engines("engines/a"), root).engines
    for folder in ("test", "_build/lib", "deps/nx"):
        (root / "engines/a" / folder).mkdir(parents=True)
        (root / "engines/a" / folder / "more.ex").write_text(ELIXIR)
    assert count_lines(engines("engines/a"), root).engines == before


def test_an_arm_has_the_code_of_its_engine(root: Path) -> None:
    assert count_lines(engines("engines/a", arm_of="b"), root).engines == ()


def test_engines_of_several_conditions_are_counted_once(root: Path) -> None:
    first, second = (Engine(name=name, label=name, colour="#000000") for name in "ab")
    conditions = (
        made_planned(engines=(first,), values={"epochs": 1}),
        made_planned(engines=(first, second), values={"epochs": 2}),
    )
    plan = plan_of(*conditions, sources={"a": ("engines/a",), "b": ("engines/a",)})
    languages = ["Elixir", "Python", "YAML"]
    found = [(line.engine, line.language) for line in count_lines(plan, root).engines]
    assert found == [(engine, language) for engine in "ab" for language in languages]


def test_a_missing_source_is_told(root: Path) -> None:
    with pytest.raises(EvengroundError, match="a source that decides results is missing"):
        count_lines(engines("engines/b"), root)


def test_the_thesis_is_counted_from_its_own_files_only(root: Path) -> None:
    assert thesis_files(root) == []
    (root / AT_HAND / "lib").mkdir(parents=True)
    (root / AT_HAND / "lib/a.ex").write_text(ELIXIR)
    (root / AT_HAND / "lib/b.ex").write_text(ELIXIR + "# more\n")
    axon, plain = count_lines(engines(), root).thesis
    assert (axon.lines, axon.code_lines, axon.comment_lines) == (5, 3, 1)
    assert plain.lines == 0
    assert "its sha256 differs: data/thesis-code/lib/b.ex" in str(plain.absent)
    assert thesis_files(root) == [AT_HAND / "lib/a.ex", AT_HAND / "lib/b.ex"]


def test_a_broken_list_is_told(root: Path) -> None:
    (root / THESIS_CODE).write_bytes(b"\xff")
    with pytest.raises(EvengroundError, match="the list of counted files cannot be read"):
        count_lines(engines(), root)


def test_the_listed_files_give_the_published_numbers() -> None:
    """204 lines in plain Nx and 102 with Axon (section 3.1.2), from the sums of the listed files."""
    with (ROOT / THESIS_CODE).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["instrument"] == "as-published"]
    sums = {
        code: sum(int(row["lines"]) for row in rows if row["code"] == code)
        for code in ("axon", "plain-nx")
    }
    assert sums == {"axon": 102, "plain-nx": 204}


@pytest.mark.skipif(
    not (ROOT / AT_HAND).is_dir(), reason="the author's files are not in data/thesis-code"
)
def test_the_files_at_hand_have_the_listed_lines() -> None:
    found = {(one.instrument, one.code): one.lines for one in count_lines(engines(), ROOT).thesis}
    assert found == {
        ("corrected", "axon"): 52,
        ("corrected", "plain-nx"): 228,
        ("as-published", "axon"): 102,
        ("as-published", "plain-nx"): 204,
    }
