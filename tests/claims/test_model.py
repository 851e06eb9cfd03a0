"""`claims.yaml` and the published numbers: what is refused, in one line, and the pages made from them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from claims.made import ROOT
from evenground.analysis import measures
from evenground.claims import estimators
from evenground.claims.judge import VERDICTS
from evenground.claims.model import CLAIMS, PUBLISHED, Claim, read_claims
from evenground.claims.published import read_published
from evenground.errors import EvengroundError
from evenground.records.verdicts import Needs

GIVEN = yaml.safe_load((ROOT / CLAIMS).read_text())
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the published numbers, where a test writes its claims."""
    (tmp_path / PUBLISHED).parent.mkdir(parents=True)
    shutil.copy(ROOT / PUBLISHED, tmp_path / PUBLISHED)
    return tmp_path


def first(**fields: Any) -> Change:
    return lambda content: content["claims"][0].update(fields)


def argument(**fields: Any) -> Change:
    return lambda content: content["claims"][0]["arguments"].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (first(direktion="greater"), r"unknown key 'claims\.0\.direktion'"),
        (argument(measures="rise"), r"unknown key 'claims\.0\.arguments\.measures'"),
        (first(needs={"gpus": 1}), r"unknown key 'claims\.0\.needs\.gpus'"),
        (lambda content: content.update(claim=[]), r"unknown key 'claim'"),
        (first(estimator="ratios"), r"unknown estimator 'ratios': did you mean 'ratio'\?"),
        (argument(of="elixr"), r"T1: role 'elixr': did you mean 'elixir'\?"),
        (first(needs={"arm": "exla"}), r"T1: role 'exla'"),
        (
            argument(measure="peek", resource="ram"),
            r"unknown measure 'peek': did you mean 'peak'\?",
        ),
        (argument(measure="peak"), r"measure 'peak' needs a resource"),
        (argument(resource="ram"), r"measure 'training_s' takes no resource"),
        (argument(measure="peak", resource="disk"), r"unknown resource 'disk'"),
        (argument(over="elixir"), r"duplicate role 'elixir'"),
        (argument(over=None), r"'ratio' takes 2 roles and 1 datasets"),
        (argument(datasets=["mnist", "cifar10"]), r"'ratio' takes 2 roles and 1 datasets"),
        (first(id="T2"), r"duplicate claim 'T2'"),
        (first(id="t 1"), r"claims\.0\.id: String should match pattern"),
        (
            first(follows_from=["time-mnist-elixir", "time-mnist-pyhton"]),
            r"T1: unknown published number 'time-mn",
        ),
        (first(follows_from=["time-mnist-elixir"]), r"T1: 1 published numbers for 2 groups"),
        (first(follows_from=[]), r"'published' and 'follows_from' go together"),
        (first(published=0.9), r"the published value 0\.9 lies on the other side of the bound"),
        (first(direction="at_most"), r"the published value 1\.3421 lies outside its own margin"),
        (
            first(direction="alike", bound=1.2),
            r"the published value 1\.3421 lies outside its own margin",
        ),
        (first(tolerance=None), r"a published size needs a 'tolerance'"),
        (first(tolerance=1.5), r"claims\.0\.tolerance: Input should be less than 1"),
        (first(tolerance=0.3), r"'tolerance_elsewhere' is at least 'tolerance'"),
        (
            first(published=None, follows_from=[]),
            r"'tolerance' is of a published size, and none is given",
        ),
        (first(family="time"), r"unknown key 'claims\.0\.family'"),
        (first(published=1.35), r"T1: its published numbers give 1\.342, not 1\.35"),
        (first(direction="alike"), r"the bound of 'alike' is a factor above 1"),
        (first(direction="more"), r"claims\.0\.direction: Input should be 'greater', 'less'"),
        (first(estimator=None), r"an estimator and its arguments, or .* the reason"),
        (
            first(code={"of": "axon", "over": "plain-nx"}),
            r"an estimator and its arguments, or 'code', or",
        ),
        (first(untestable="never"), r"an estimator and its arguments, or .* the reason"),
        (lambda content: content.update(schema=1), r"schema: Input should be 2"),
    ],
)
def test_refused_in_one_line(root: Path, change: Change, message: str) -> None:
    content = copy.deepcopy(GIVEN)
    change(content)
    (root / CLAIMS).write_text(yaml.safe_dump(content))
    with pytest.raises(EvengroundError, match=message) as caught:
        read_claims(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["schema: 2001-99-99", "[" * 3000, "\0"])
def test_a_file_that_is_no_yaml_is_told(root: Path, text: str) -> None:
    (root / CLAIMS).write_text(text)
    with pytest.raises(EvengroundError, match="cannot read it"):
        read_claims(root)


def test_a_dataset_named_twice_is_refused(root: Path) -> None:
    content = copy.deepcopy(GIVEN)
    level = next(claim for claim in content["claims"] if claim.get("estimator") == "level")
    level["arguments"] = {**level["arguments"], "datasets": ["mnist", "mnist"]}
    (root / CLAIMS).write_text(yaml.safe_dump(content))
    with pytest.raises(EvengroundError, match="duplicate dataset 'mnist'"):
        read_claims(root)


def test_no_claims_file_is_told(root: Path) -> None:
    with pytest.raises(EvengroundError, match="cannot read it"):
        read_claims(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("runs,again,both,both,5,runs,,here,", "line 69: duplicate id 'runs'"),
        ("x,what,both,both,many,runs,5,here,", "broken line 69, value: "),
        ("x,what,both,both,nan,runs,,here,", "broken line 69, value: "),
        ("x,what,both,both,1,,,here,", "broken line 69, unit: "),
        ("x,what,both,both,1,runs,0,here,", "broken line 69, runs: "),
        ("x,what", "broken line 69, "),
    ],
)
def test_broken_published_numbers_are_refused(root: Path, line: str, message: str) -> None:
    with (root / PUBLISHED).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(EvengroundError, match=message):
        read_published(root / PUBLISHED)


def test_every_claim_of_the_notes_is_there() -> None:
    names = {claim.id.split("-")[0] for claim in read_claims(ROOT).claims.claims}
    assert names == {
        *("T1", "T2", "T3", "X1", "L1", "C1", "R1", "R2"),
        *("G1", "G2", "G3", "G4", "V1", "V2", "V3"),
    }


def test_table_1_and_the_notes_numbers_are_there() -> None:
    numbers = read_published(ROOT / PUBLISHED)
    assert {
        float(n.value) for n in numbers.values() if n.id.startswith("time-") and n.value < 100
    } == {*(20.4, 15.2, 28.5, 23.0)}
    notes = "34.21 23.91 22.39 1350 27000 204 102 50 1.65 0.76 1.59 0.91 11.92 18.71 12.52 23.95 5 28 80 19 25"
    notes += " 3.4 6 1.5 9.8 16 11 12 13 10.3 11.2 6.4 8.8 15.3 16.6 13.42 38.85 11.49 2.3 3 5.7 728 66000 90 0.5"
    assert {float(word) for word in notes.split()} <= {float(n.value) for n in numbers.values()}


def test_every_estimator_and_every_measure_is_described() -> None:
    assert all(found.__doc__ for found in estimators.ESTIMATORS.values())
    assert all(found.__doc__ for found in measures.MEASURES.values())
    assert estimators.ESTIMATORS.keys() == estimators.SHAPES.keys()


def test_the_page_names_every_verdict_key_and_estimator() -> None:
    page = (ROOT / "docs/claims.md").read_text()
    names = [
        *Claim.model_fields,
        *estimators.Arguments.model_fields,
        *Needs.model_fields,
        *estimators.ESTIMATORS,
    ]
    assert all(f"`{name}`" in page for name in names)
    assert all(f"\n| {verdict} |" in page for verdict in VERDICTS)
