"""A table is data: what is written comes back by bits and kinds, and Markdown is never read."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.synthetic import MadeResults, write_results
from claims.made import ROOT, THESIS, experiment
from evenground.analysis.captions import TITLES
from evenground.analysis.columns import (
    FLAGGED,
    UNIT,
    Columns,
    columns,
    names_of,
    number,
    spread,
    text,
    whole,
)
from evenground.analysis.experiment import alone
from evenground.analysis.files import DTYPES, read_rows, typed, write_csv
from evenground.analysis.normalise import FRAMES, normalise_all, write_normalised
from evenground.analysis.shown import EMPTY, rounded, shown_columns
from evenground.analysis.table import (
    Table,
    frame_of,
    markdown,
    read_table,
    shown_cells,
    write_table,
)
from evenground.analysis.tables import TABLES, columns_of, make_tables
from evenground.analysis.write import write_tables
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.documentation.tables import OTHERS
from evenground.errors import EvengroundError
from evenground.records.index import read_index

MADE = columns(
    text("name", "A name."),
    text("empty", "Nothing."),
    whole("n", "A count."),
    number("x", "s", "A number."),
)
ROWS = [
    {"name": "007", "n": 3, "x": 0.1 + 0.2},
    {"name": "nan", "x": 3.0},
    {"name": "", "n": 2**60 + 1, "x": 1e-300},
]
DECLARED = [*FRAMES.items(), *TABLES.items(), *OTHERS.items()]


def made(columns: Columns = MADE, rows: list[dict[str, Any]] = ROWS) -> Table:
    frame = frame_of(rows, columns)
    return Table(name="t", title="T", columns=columns, rows=frame, notes=("One.", "Two."))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything drawn of an experiment; the folder of results."""
    where = experiment(tmp_path_factory.mktemp("drawn"), THESIS)
    redraw(read_index(where), where, where.parent, read_claims(ROOT))
    return where.parent


def test_a_table_comes_back_by_every_bit_and_kind(tmp_path: Path) -> None:
    write_table(made(), tmp_path)
    back = read_table(tmp_path, "t")
    same(back.rows, made().rows)
    assert (back.title, back.columns, back.notes) == ("T", MADE, ("One.", "Two."))
    assert back.rows["name"].tolist() == ["007", "nan", ""]
    assert back.rows["empty"].tolist() == ["", "", ""]
    assert back.rows["n"].fillna(0).tolist() == [3, 0, 2**60 + 1]
    assert back.rows["x"].tolist() == [0.1 + 0.2, 3.0, 1e-300]


def test_every_frame_and_table_of_runs_comes_back(drawn: Path, tmp_path: Path) -> None:
    index = read_index(drawn / "index.json")
    experiment = alone(index)
    frames = normalise_all(experiment)
    for name, frame in vars(frames).items():
        declared = experiment.columns(FRAMES[name])
        same(read_rows(drawn / f"normalised/{name}.csv", declared), frame)
    tables = make_tables(experiment, frames)
    assert tables.keys() == TABLES.keys() == TITLES.keys()
    for name, rows in tables.items():
        found = read_table(drawn / "tables", name)
        same(found.rows, rows)
        assert found.columns == columns_of(experiment, name)
    for path in (drawn / "tables").glob("*.csv"):
        table = read_table(path.parent, path.stem)
        write_csv(table.rows, tmp_path / path.name)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("name", "declared"), DECLARED, ids=[name for name, _ in DECLARED])
def test_every_column_is_declared_once_with_a_meaning(name: str, declared: Columns) -> None:
    names = names_of(declared)
    assert len(set(names)) == len(names)
    for column in declared:
        assert column.meaning.endswith("."), column.name
        assert column.unit_in is None or column.unit_in in names
        assert column.kind == "number" or not (column.unit or column.unit_in or column.spread)


def test_what_is_declared_is_made(
    drawn: Path,
    index_path: Path,
    blocks_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every declared column is given by a row of the made runs; none else can be (`typed`)."""
    given: dict[Columns, set[str]] = defaultdict(set)

    def noted(frame: pd.DataFrame, declared: Columns) -> pd.DataFrame:
        given[declared] |= set(frame.columns)
        return typed(frame, declared)

    for module in ("normalise", "table", "tables"):
        monkeypatch.setattr(f"evenground.analysis.{module}.typed", noted)
    machines = [MadeResults(machine=f"made-{name}-nogpu-1", repetitions=1) for name in "ab"]
    several = write_results(tmp_path / "several", *machines)
    for place, where in enumerate((drawn / "index.json", index_path, blocks_path, several)):
        index, to = read_index(where), tmp_path / str(place)
        write_normalised(index, to / "normalised")
        write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    for name, declared in [*FRAMES.items(), *TABLES.items()]:
        assert given[declared] == set(names_of(declared)), name


def test_rows_with_other_columns_than_declared_are_refused() -> None:
    with pytest.raises(ValueError, match="columns that are not declared: y"):
        frame_of([{"name": "a", "y": 1}], MADE)
    with pytest.raises(ValueError, match="the columns of t are"):
        Table(name="t", title="T", columns=MADE, rows=pd.DataFrame({"name": ["a"]}))
    swapped = made().rows[["n", "name", "empty", "x"]]
    with pytest.raises(ValueError, match="the columns of t are"):
        Table(name="t", title="T", columns=MADE, rows=swapped)


def test_a_table_without_a_row_keeps_its_kinds(tmp_path: Path) -> None:
    write_table(made(rows=[]), tmp_path)
    back = read_table(tmp_path, "t").rows
    same(back, made(rows=[]).rows)
    assert [str(kind) for kind in back.dtypes] == ["object", "object", "Int64", "float64"]
    assert set(DTYPES) == {"text", "whole", "number"}


DAMAGES: dict[str, tuple[str, Callable[[str], str | None], str]] = {
    "no CSV": ("csv", lambda _: None, "the file is missing"),
    "no JSON": ("json", lambda _: None, "No such file|is missing"),
    "an empty CSV": ("csv", lambda _: "", "broken table"),
    "half a JSON": ("json", lambda content: content[:40], "broken table, not valid JSON"),
    "words for a number": ("csv", lambda content: content.replace("3.0", "much"), "broken table"),
    "half a count": ("csv", lambda content: content.replace(",3,", ",3.5,"), "broken table"),
    "no column": ("csv", lambda content: content.replace(",x", ",y", 1), "no column x"),
    "a wider row": ("csv", lambda content: f"{content}a,,1,1.0,2\n", "broken table"),
    "bytes": ("csv", lambda content: f"{content}\udcff", "broken table"),
    "an unknown kind": ("json", lambda content: content.replace('"whole"', '"odd"'), "kind"),
    "another schema": ("json", lambda content: content.replace(": 1,", ": 9,", 1), "schema 9"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_table_is_one_line_with_its_file(tmp_path: Path, name: str) -> None:
    form, damage, words = DAMAGES[name]
    write_table(made(), tmp_path)
    path = tmp_path / f"t.{form}"
    content = damage(path.read_text())
    path.unlink()
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(EvengroundError, match=words) as refused:
        read_table(tmp_path, "t")
    assert refused.value.where == str(path)


def test_the_json_says_what_the_csv_holds(tmp_path: Path) -> None:
    write_table(made(), tmp_path)
    content = json.loads((tmp_path / "t.json").read_text())
    described = [column["name"] for column in content["columns"]]
    assert described == (tmp_path / "t.csv").read_text().splitlines()[0].split(",")


def test_markdown_is_rounded_in_readable_units_with_dashes() -> None:
    used = columns(UNIT, whole("n", "Runs."), spread("peak", UNIT, "Peak"))
    mib = 2.0**20
    rows: list[dict[str, Any]] = [
        {"unit": "bytes", "n": 2, "peak_median": 3 * mib, "peak_min": mib, "peak_max": 4 * mib},
        {"unit": "W", "n": 0},
    ]
    lines = markdown(made(used, rows)).splitlines()
    assert lines[:6] == ["# T", "", "One.", "", "Two.", ""]
    assert [line for line in lines if line.startswith("|")] == [
        "| unit | n | peak median (min to max) |",
        "| --- | ---: | ---: |",
        "| MiB | 2 | 3.000 (1.000 to 4.000) |",
        "| W | 0 | – |",
    ]
    assert lines[-1] == (
        "- `peak_median`, `peak_min`, `peak_max` (as in `unit`): "
        "Peak: median, smallest and largest over the runs."
    )


def test_only_a_column_of_units_has_its_units_replaced() -> None:
    table = made((text("name", "A name."), number("x", "s", "X.")), [{"name": "bytes", "x": 1.0}])
    assert shown_cells(table) == [["bytes", "1.000"]]
    fixed = made((number("x_bytes", "bytes", "X."),), [{"x_bytes": 2.0**20}])
    assert shown_cells(fixed) == [["1.000"]]
    assert [column.unit for column in shown_columns(fixed.columns)] == ["MiB"]


def test_a_parameter_is_shown_with_every_digit() -> None:
    rate = number("rate", "", "A parameter.").model_copy(update={"digits": None})
    assert shown_cells(made((rate,), [{"rate": 0.00123456}])) == [["0.00123456"]]


def test_a_very_small_p_is_said_to_be_small_and_never_zero() -> None:
    p = columns(column for column in TABLES["blocks"] if column.name == "p")
    assert shown_cells(made(p, [{"p": 1e-18}, {"p": 0.0214}])) == [["< 0.0001"], ["0.02140"]]
    assert "| &lt; 0.0001 |" in markdown(made(p, [{"p": 1e-18}]))


def test_a_count_stays_whole_beside_a_missing_one() -> None:
    rows = [{"n": 3, "x": 3.0}, {"x": 1.5}]
    shown = shown_cells(made(MADE[2:], rows))
    assert shown == [["3", "3.000"], [EMPTY, "1.500"]]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (20.4, "20.40"),
        (123456.7, "123457"),
        (0.00012346, "0.0001235"),
        (-2.5, "-2.500"),
        (math.inf, "inf"),
    ],
)
def test_rounding_keeps_four_digits_and_no_exponent(value: float, words: str) -> None:
    assert rounded(value) == words


def test_shared_columns_are_the_same_in_all_tables() -> None:
    for declared in TABLES.values():
        flagged = [column for column in declared if column.name in names_of(FLAGGED)]
        assert flagged in ([], list(FLAGGED))


OPENED: list[str] = []


def note_opened(event: str, arguments: tuple[Any, ...]) -> None:
    """A hook of the interpreter: whatever is opened for reading, by whatever function."""
    if event == "open" and isinstance(arguments[0], str) and "r" in str(arguments[1] or "r"):
        OPENED.append(arguments[0])


def test_no_markdown_is_read_to_draw_everything(tmp_path: Path) -> None:
    sys.addaudithook(note_opened)
    where = write_results(tmp_path, MadeResults(repetitions=1))
    redraw(read_index(where), where, where.parent, read_claims(ROOT))
    OPENED.clear()
    redraw(read_index(where), where, where.parent, read_claims(ROOT))
    assert str(where.parent / "tables/runs.json") in OPENED, "the hook sees what is read"
    assert not [name for name in OPENED if name.endswith(".md")]
