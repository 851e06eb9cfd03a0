"""Which verdicts agree: made ones of known agreement, those of made experiments, and hostile files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import compare as script
from analysis.test_tables import GOLDEN as _ANALYSIS
from analysis.test_tables import compare
from claims.made import CONTRARY, ROOT, THESIS, experiment
from evenground.analysis.files import markdown_table, write_csv
from evenground.analysis.measured import measure
from evenground.claims.agreement import agreement, in_words
from evenground.claims.model import read_claims
from evenground.claims.verdicts import judge_all
from evenground.claims.write import verdicts_of
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.verdicts import Verdicts
from made_bundle import call
from made_records import made_group, made_row, made_verdicts

GOLDEN = _ANALYSIS.parents[1] / "claims/golden"
row, file = made_row, made_verdicts


def found_of(verdicts: dict[str, Verdicts]) -> dict[str, tuple[str, str]]:
    """Claim -> whether its verdicts agree, and why that cannot be said."""
    rows = agreement(verdicts).to_dict("records")
    return {r["claim"]: (r["agree"], r["reason"]) for r in rows}


def test_known_agreement() -> None:
    """The same of all, another of one, one that could not, only one that could, one side alone."""
    gone, few_runs = "cannot be tested here", "too few runs"
    a = file(
        *(row(c, v) for c, v in zip("ABCDE", ["reproduced"] * 4 + ["inconclusive"], strict=True))
    )
    b = file(
        *(
            row(c, v)
            for c, v in zip("ABCD", ["reproduced", "contradicted", gone, few_runs], strict=True)
        )
    )
    c = file(
        *(
            row(c, v)
            for c, v in zip("ABCD", ["reproduced", "reproduced", "reproduced", gone], strict=True)
        )
    )
    few = ("not comparable", "fewer than two sides could judge it")
    expected = {"A": ("yes", ""), "B": ("no", ""), "C": ("yes", ""), "D": few, "E": few}
    assert found_of({"a": a, "b": b, "c": c}) == expected
    found = agreement({"a": a, "b": b, "c": c})
    assert found.columns.tolist()[:7] == [
        *("claim", "part", "instrument", "verdict_a", "verdict_b", "verdict_c", "agree")
    ]
    assert found.loc[4, ["verdict_a", "verdict_b", "verdict_c"]].tolist() == [
        "inconclusive",
        "",
        "",
    ]
    assert in_words(found) == [
        "verdicts: 2 of 3 agree, 2 are not comparable",
        "B, corrected: reproduced (a), contradicted (b), reproduced (c)",
    ]


def test_each_instrument_and_part_is_for_itself() -> None:
    a = file(row("A", "reproduced"), row("A", "contradicted", instrument="as-published"))
    b = file(row("A", "reproduced", part="x"), row("A", "contradicted"))
    found = agreement({"a": a, "b": b})
    assert found[["part", "instrument", "agree"]].to_numpy().tolist() == [
        ["", "corrected", "no"],
        ["", "as-published", "not comparable"],
        ["x", "corrected", "not comparable"],
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"bound": 1.1},
        {"direction": "less"},
        {"published": None},
        {"tolerance": 0.25},
        {"confidence": 0.982},
    ],
)
def test_verdicts_by_another_rule_are_not_compared(change: dict[str, Any]) -> None:
    agree, reason = found_of(
        {"a": file(row("A", "reproduced")), "b": file(row("A", "reproduced", **change))}
    )["A"]
    assert agree == "not comparable" and reason.startswith("judged by other rules")


def test_demonstrations_are_told_and_counted() -> None:
    shown = "jax as elixir; accelerator cpu instead of cuda"
    a = file(
        row("A", "reproduced", demonstration=shown), row("B", "reproduced", demonstration=shown)
    )
    b = file(row("A", "reproduced", demonstration=shown), row("B", "reproduced"))
    found = agreement({"a": a, "b": b, "c": b})
    assert found["demonstration"].tolist() == [shown, f"a: {shown}; b, c: none"]
    assert in_words(found) == ["verdicts: 2 of 2 agree"]


def test_only_verdicts_are_counted_as_verdicts() -> None:
    kinds = {"A": "verdict", "B": "demonstration", "C": "instrument"}
    side = file(*(row(name, "reproduced", kind=kind) for name, kind in kinds.items()))
    found = agreement({"a": side, "b": side})
    assert found["kind"].tolist() == [*kinds.values()]
    assert in_words(found) == [
        "verdicts: 1 of 1 agree; demonstrations and the thesis's instrument: 2 of 2 agree"
    ]


def test_what_is_open_on_all_sides_does_not_agree() -> None:
    a, b = file(row("A", "inconclusive")), file(row("A", "depends on a known cause"))
    found = agreement({"a": a, "b": b})
    assert found["agree"].tolist() == ["all open"]
    assert in_words(found) == ["verdicts: no two can be compared, 1 are open on all sides"]


def test_verdicts_agree_by_what_is_read_and_are_shown_in_their_own_words() -> None:
    """A demonstration and a verdict may read the same, though only one of them is a test of the claim."""
    shown = row(
        "A", "contradicted", verdict="would read: contradicted", demonstration="jax as elixir"
    )
    found = agreement({"a": file(shown), "b": file(row("A", "contradicted"))})
    assert found[["verdict_a", "verdict_b", "agree"]].to_numpy().tolist() == [
        ["would read: contradicted", "contradicted", "yes"]
    ]
    assert in_words(found) == ["verdicts: 1 of 1 agree"]


def contents(index: Path) -> Verdicts:
    read, source = read_index(index), read_claims(ROOT)
    return verdicts_of(read, source, judge_all(read, measure(read), source.claims))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two machines that measured what the thesis published, and one that measured the contrary."""
    made = {"first": THESIS, "second": THESIS, "contrary": CONTRARY}
    to = tmp_path_factory.mktemp("worlds")
    return {
        name: experiment(to / name, world, machine=f"made-{name}-4c-16g-made-card-abc123")
        for name, world in made.items()
    }


@pytest.fixture(scope="module")
def verdicts(worlds: dict[str, Path]) -> dict[str, Verdicts]:
    return {name: contents(index) for name, index in worlds.items()}


def test_golden(verdicts: dict[str, Verdicts], tmp_path: Path) -> None:
    write_csv(agreement(verdicts), tmp_path / "agreement.csv")
    compare(tmp_path / "agreement.csv", GOLDEN / "agreement.csv")


def test_the_same_world_agrees_and_the_contrary_does_not(verdicts: dict[str, Verdicts]) -> None:
    same = agreement({name: verdicts[name] for name in ("first", "second")})
    assert (
        set(same["agree"]) == {"yes", "all open", "not comparable"}
        and (same["agree"] == "yes").sum() > 30
    )
    other = agreement({name: verdicts[name] for name in ("first", "contrary")})
    assert (other["agree"] == "no").sum() > 30
    told = in_words(other)
    assert "G1-mnist, corrected: reproduced (first), contradicted (contrary)" in told
    assert len(told) == 1 + (other["agree"] == "no").sum()


def test_compare_takes_recorded_verdicts_and_judges_where_there_are_none(
    worlds: dict[str, Path],
    verdicts: dict[str, Verdicts],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, contrary = worlds["first"], worlds["contrary"]
    recorded = first.with_name("verdicts.json")
    # Recorded ones are taken as they are, even where these runs would now give others.
    verdicts["contrary"].write(recorded)
    assert call(script.main, first.parent, contrary.parent, "--output-dir", tmp_path / "one") == 0
    recorded.unlink()
    said = capsys.readouterr().out
    agree = agreement({"first": verdicts["contrary"], "contrary": verdicts["contrary"]})
    yes = int(((agree["agree"] == "yes") & (agree["kind"] == "verdict")).sum())
    assert f"\nverdicts: {yes} of {yes} agree" in said and said.count("so judged now") == 1
    assert call(script.main, first.parent, contrary.parent, "--output-dir", tmp_path / "two") == 0
    said = capsys.readouterr().out
    assert ", but not:\n- " in said and said.count("so judged now") == 2
    assert (
        "| claim | part | instrument | verdict_first/results | verdict_contrary/results | agree |"
        in (tmp_path / "two/agreement.md").read_text(encoding="utf-8")
    )


HOSTILE: dict[str, dict[str, Any]] = {
    "a verdict of its own": {"reading": "proven"},
    "a number for a verdict": {"reading": 1},
    "words that move the cursor": {"verdict": "\x1b[2J"},
    "an unknown instrument": {"instrument": "mine"},
    "a claim that breaks a line": {"claim": "A\n| B"},
    "a claim without a name": {"claim": ""},
    "an endless name": {"claim": "A" * 10**5},
    "a demonstration that moves the cursor": {"demonstration": "\x1b[2J"},
    "an endless demonstration": {"demonstration": "a" * 10**5},
    "a bound in words": {"bound": "one"},
    "a run that is not listed": {"groups": [made_group(2)]},
    "a run before the first": {"groups": [made_group(-1)]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_verdicts_are_one_line(name: str, tmp_path: Path) -> None:
    content = file(row("A")).content()
    content["verdicts"][0] |= HOSTILE[name]
    refused(content, tmp_path / "verdicts.json", "broken verdicts, ")


def test_a_verdict_given_twice_and_another_version_are_one_line(tmp_path: Path) -> None:
    content = file(row("A"), row("A", instrument="as-published")).content()
    assert Verdicts.parse(content, tmp_path).verdicts[1].instrument == "as-published"
    content["verdicts"][1]["instrument"] = "corrected"
    path = tmp_path / "verdicts.json"
    refused(content, path, "broken verdicts, content: A stands there twice for one instrument")
    refused(content | {"schema": 1}, path, "schema 1, .* reads schema 3 .*evenground convert")


def refused(content: dict[str, Any], path: Path, words: str) -> None:
    path.write_text(json.dumps(content))
    with pytest.raises(EvengroundError, match=words) as caught:
        Verdicts.read(path)
    assert caught.value.where == str(path) and str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "{", '{"schema": 3, "verdicts": 1}', "[" * 100_000])
def test_a_broken_file_ends_the_command_in_one_line(
    text: str, worlds: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = worlds["first"], worlds["second"]
    recorded = second.with_name("verdicts.json")
    recorded.write_text(text)
    assert call(script.main, first.parent, second.parent, "--output-dir", tmp_path / "out") == 1
    recorded.unlink()
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert "verdicts.json" in said.err and not (tmp_path / "out").exists()


def test_markdown_in_a_demonstration_or_a_name_stays_text() -> None:
    evil = "[x](http://made) | <b>"
    found = agreement({evil: file(row("A", "reproduced", demonstration=evil)), "b_median": file()})
    lines = markdown_table(found).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines} == {10}
    assert not any(sign in line.replace("\\[", "") for line in lines for sign in ("[", "<b"))


def test_a_side_may_be_named_as_another_column() -> None:
    found = agreement(
        {"claim": file(row("A", "reproduced")), "agree": file(row("A", "contradicted"))}
    )
    assert found[["claim", "verdict_claim", "verdict_agree", "agree"]].to_numpy().tolist() == [
        ["A", "reproduced", "contradicted", "no"]
    ]
    assert in_words(found)[1] == "A, corrected: reproduced (claim), contradicted (agree)"


def test_no_verdict_at_all_is_told() -> None:
    found = agreement({"a": file(), "b": file()})
    assert isinstance(found, pd.DataFrame) and found.empty
    assert in_words(found) == ["verdicts: no two can be compared"]
