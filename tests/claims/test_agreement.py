"""Which verdicts agree: made ones of known agreement, those of made experiments, and hostile files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.remade import measured_of
from analysis.synthetic import write_results
from analysis.test_tables import FORMS, compare
from analysis.test_tables import GOLDEN as _ANALYSIS
from claims.made import CONTRARY, ROOT, THESIS, experiment, made_results
from evenground.analysis.experiment import Experiment, alone
from evenground.analysis.table import markdown, write_table
from evenground.claims.agreement import KEY, agreement_table, in_words
from evenground.claims.model import read_claims
from evenground.claims.write import judge_experiment
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.records.verdicts import ConditionVerdicts, Verdicts
from made_records import made_group, made_index, made_row, made_run, made_verdicts, made_wanted

GOLDEN = _ANALYSIS.parents[1] / "claims/golden"
row, file = made_row, made_verdicts


def sources(names: Iterable[str]) -> Experiment:
    """A source of each name, with one condition on one class of machine."""
    return Experiment(sources={name: made_index(made_wanted(made_run())) for name in names})


def agreement(verdicts: dict[str, Verdicts]) -> pd.DataFrame:
    """The table; `verdicts` are those of each source."""
    judged = [of_source.conditions[0] for of_source in verdicts.values()]
    return agreement_table(sources(verdicts), judged).rows


def words(verdicts: dict[str, Verdicts]) -> list[str]:
    """What the table says, in words."""
    return in_words(agreement(verdicts), sources(verdicts))


def found_of(verdicts: dict[str, Verdicts]) -> dict[str, tuple[str, str]]:
    """Claim -> whether its verdicts agree, and why that cannot be said."""
    rows = agreement(verdicts).to_dict("records")
    return {r["claim"]: (r["agree"], r["reason"]) for r in rows}


def parts(found: pd.DataFrame) -> pd.DataFrame:
    """One row of each claim part and instrument: what is the same of all sources."""
    return found.drop_duplicates(KEY)


def test_known_agreement() -> None:
    """The same of all, another of one, one that could not, only one that could."""
    gone, few_runs = "cannot be tested here", "too few runs"
    a = file(*(row(c, "reproduced") for c in "ABCD"))
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
    few = ("not comparable", "fewer than two could judge it")
    expected = {"A": ("yes", ""), "B": ("no", ""), "C": ("yes", ""), "D": few}
    assert found_of({"a": a, "b": b, "c": c}) == expected
    assert words({"a": a, "b": b, "c": c}) == [
        "verdicts: 2 of 3 agree, 1 are not comparable",
        "B, corrected: reproduced (a), contradicted (b), reproduced (c)",
    ]


def test_each_instrument_and_part_is_for_itself() -> None:
    def source(first: str, second: str, third: str) -> Verdicts:
        other = row("A", second, instrument="as-published")
        return file(row("A", first), other, row("A", third, part="x"))

    a = source("reproduced", "reproduced", "too few runs")
    b = source("contradicted", "reproduced", "reproduced")
    found = parts(agreement({"a": a, "b": b}))
    assert found[["part", "instrument", "agree"]].to_numpy().tolist() == [
        ["", "corrected", "no"],
        ["", "as-published", "yes"],
        ["x", "corrected", "not comparable"],
    ]


@pytest.mark.parametrize("change", [{"tolerance": 0.25}, {"confidence": 0.982}])
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
    verdicts = {"a": a, "b": b, "c": b}
    found = agreement(verdicts)
    assert found["demonstration"].tolist() == [shown, shown, shown, shown, "", ""]
    assert found["claim"].tolist() == ["A", "A", "A", "B", "B", "B"]
    assert words(verdicts) == ["verdicts: 2 of 2 agree"]


def test_only_verdicts_are_counted_as_verdicts() -> None:
    kinds = {"A": "verdict", "B": "demonstration", "C": "instrument"}
    side = file(*(row(name, "reproduced", kind=kind) for name, kind in kinds.items()))
    found = agreement({"a": side, "b": side})
    assert parts(found)["kind"].tolist() == [*kinds.values()]
    assert words({"a": side, "b": side}) == [
        "verdicts: 1 of 1 agree; demonstrations and the thesis's instrument: 2 of 2 agree"
    ]


def test_what_is_open_everywhere_does_not_agree() -> None:
    a, b = file(row("A", "inconclusive")), file(row("A", "depends on a known cause"))
    assert agreement({"a": a, "b": b})["agree"].tolist() == ["all open"] * 2
    assert words({"a": a, "b": b}) == ["verdicts: no two can be compared, 1 are open everywhere"]


def test_verdicts_agree_by_what_is_read_and_are_shown_in_their_own_words() -> None:
    """A demonstration and a verdict may read the same, though only one of them is a test of the claim."""
    shown = row(
        "A", "contradicted", verdict="would read: contradicted", demonstration="jax as elixir"
    )
    verdicts = {"a": file(shown), "b": file(row("A", "contradicted"))}
    assert agreement(verdicts)[["source", "verdict", "agree"]].to_numpy().tolist() == [
        ["a", "would read: contradicted", "yes"],
        ["b", "contradicted", "yes"],
    ]
    assert words(verdicts) == ["verdicts: 1 of 1 agree"]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two machines that measured what the thesis published, and one that measured the contrary."""
    made = {"first": THESIS, "second": THESIS, "contrary": CONTRARY}
    to = tmp_path_factory.mktemp("worlds")
    return {
        name: experiment(to / name, world, machine=f"made-{name}-4c-16g-made-card-abc123")
        for name, world in made.items()
    }


Judged = tuple[Experiment, list[ConditionVerdicts]]


@pytest.fixture(scope="module")
def judged(worlds: dict[str, Path]) -> Judged:
    """The three as sources of one experiment, judged."""
    experiment = Experiment(sources={name: read_index(path) for name, path in worlds.items()})
    return experiment, judge_experiment(experiment, measured_of(experiment), read_claims(ROOT))


@pytest.mark.parametrize("form", FORMS)
def test_golden(judged: Judged, tmp_path: Path, form: str) -> None:
    write_table(agreement_table(*judged), tmp_path)
    compare(tmp_path / f"agreement.{form}", GOLDEN / f"agreement.{form}")


def of_two(judged: Judged, first: str, second: str) -> tuple[pd.DataFrame, list[str]]:
    """The agreement of two of the sources, and what it says in words."""
    experiment, verdicts = judged
    by_name = dict(zip(experiment.sources, verdicts, strict=True))
    two = Experiment(sources={name: experiment.sources[name] for name in (first, second)})
    found = agreement_table(two, [by_name[first], by_name[second]]).rows
    return found, in_words(found, two)


def test_the_same_world_agrees_and_the_contrary_does_not(judged: Judged) -> None:
    found, _ = of_two(judged, "first", "second")
    same = parts(found)
    assert (
        set(same["agree"]) == {"yes", "all open", "not comparable"}
        and (same["agree"] == "yes").sum() > 30
    )
    other, said = of_two(judged, "first", "contrary")
    differing = int((parts(other)["agree"] == "no").sum())
    assert "G1-mnist, corrected: reproduced (first), contradicted (contrary)" in said
    assert len(said) == 1 + differing and differing > 30


def test_two_machines_of_one_experiment_agree_as_two_sources_do(
    judged: Judged, tmp_path: Path
) -> None:
    """One index of both machines: each is judged by its own runs alone."""
    names = ("first", "contrary")
    worlds = {"first": THESIS, "contrary": CONTRARY}
    machines = {name: f"made-{name}-4c-16g-made-card-abc123" for name in names}
    made = [made_results(worlds[name], machine=machines[name]) for name in names]
    experiment = alone(read_index(write_results(tmp_path, *made)))
    verdicts = judge_experiment(experiment, measured_of(experiment), read_claims(ROOT))
    found = agreement_table(experiment, verdicts).rows
    apart, said = of_two(judged, "first", "contrary")
    assert found.equals(apart.drop(columns="source"))
    for name in names:
        said = [line.replace(f"({name})", f"({machines[name]})") for line in said]
    assert in_words(found, experiment) == said


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
    content["conditions"][0]["verdicts"][0] |= HOSTILE[name]
    refused(content, tmp_path / "verdicts.json", "broken verdicts, ")


def test_a_verdict_given_twice_and_another_version_are_one_line(tmp_path: Path) -> None:
    content = file(row("A"), row("A", instrument="as-published")).content()
    (condition,) = content["conditions"]
    (parsed,) = Verdicts.parse(content, tmp_path).conditions
    assert parsed.verdicts[1].instrument == "as-published"
    condition["verdicts"][1]["instrument"] = "corrected"
    path = tmp_path / "verdicts.json"
    refused(content, path, "broken verdicts, conditions.0: A stands there twice for one instrument")
    refused(content | {"schema": 1}, path, "schema 1, .* reads 4 ")


def refused(content: dict[str, Any], path: Path, words: str) -> None:
    path.write_text(json.dumps(content))
    with pytest.raises(EvengroundError, match=words) as caught:
        Verdicts.read(path)
    assert caught.value.where == str(path) and str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_markdown_in_a_demonstration_or_a_name_stays_text() -> None:
    evil = "[x](http://made) | <b>"
    verdicts = {
        evil: file(row("A", "reproduced", demonstration=evil)),
        "b_median": file(row("A", "reproduced")),
    }
    judged = [of_source.conditions[0] for of_source in verdicts.values()]
    table = agreement_table(sources(verdicts), judged)
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {10} and len(lines) == 4
    assert not any(sign in line.replace("\\[", "") for line in lines for sign in ("[", "<b"))


def test_a_source_may_be_named_as_a_column() -> None:
    sides = {"claim": row("A", "reproduced"), "agree": row("A", "contradicted")}
    verdicts = {name: file(one) for name, one in sides.items()}
    found = agreement(verdicts)
    assert found[["claim", "source", "verdict", "agree"]].to_numpy().tolist() == [
        ["A", "claim", "reproduced", "no"],
        ["A", "agree", "contradicted", "no"],
    ]
    assert words(verdicts)[1] == "A, corrected: reproduced (claim), contradicted (agree)"


def test_no_verdict_at_all_is_told() -> None:
    assert agreement({"a": file(), "b": file()}).empty
    assert words({"a": file(), "b": file()}) == ["verdicts: no two can be compared"]
