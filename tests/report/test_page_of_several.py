"""The page of several conditions, of a machine without an engine, of nothing, and of long tables."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import MadeResults, write_results
from evenground.analysis.columns import columns, whole
from evenground.analysis.files import write_csv
from evenground.analysis.table import Table, frame_of, write_table
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.records.index import read_index
from evenground.report.page.build import write_page
from evenground.report.page.tables import MAX_ROWS, page_table
from evenground.report.sheet import Drawing
from report.seen import seen

ROOT = Path(__file__).parents[2]
A, B = "a-cpu-2c-8g-nogpu-aaa111", "b-cpu-4c-16g-nogpu-bbb222"
MADE: dict[str, Any] = {
    "datasets": (("digits", "Digits", "mlp"),),
    "repetitions": 2,
    "stand_ins": {"elixir": "jax", "mnist": "digits"},
}


def save_small(drawing: Drawing, folder: Path) -> None:
    """In place of `sheet.save`: a figure's data and an empty picture, as drawing takes most time."""
    write_csv(drawing.data, folder / f"{drawing.name}.csv")
    for form in ("svg", "png"):
        (folder / f"{drawing.name}.{form}").write_text("<svg/>")


def page(index: Path) -> str:
    """The page of all that is drawn of an index."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evenground.report.draw.save", save_small)
        redraw(read_index(index), index, index.parent, read_claims(ROOT))
    return (index.parent / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of two machines, one of which lacks an engine, with its page beside it."""
    whole_one = MadeResults(machine=A, **MADE)
    lacking = MadeResults(machine=B, engines=("keras",), **MADE | {"stand_ins": {}})
    index = write_results(tmp_path_factory.mktemp("two"), whole_one, lacking)
    content = json.loads(index.read_text())
    absent = {"name": "jax", "label": "JAX", "reason": "no <jax>"}
    content["conditions"][1]["absent"] = [absent]
    index.write_text(json.dumps(content))
    page(index)
    return index


@pytest.fixture(scope="module")
def html(two: Path) -> str:
    return (two.parent / "report.html").read_text(encoding="utf-8")


def section(html: str, name: str) -> str:
    return html.split(f'<section id="{name}">')[1].split("</section>")[0]


def rows(html: str) -> list[list[str]]:
    """The cells of the first table, as text."""
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in body.split("<tr>")[1:]]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in line] for line in lines]


def test_each_condition_has_a_row_with_its_verdicts(html: str) -> None:
    found = seen(html)
    assert found.beside == []
    assert {"conditions", "table-across", "table-agreement"} <= set(found.ids)
    said = (
        "6 of 6 wanted trainings finished, under 2 conditions; nothing is averaged over conditions"
    )
    assert said in html
    (first, second) = rows(section(html, "conditions"))
    assert first[:3] == [A, "4", "4"] and second[:3] == [B, "2", "2"]
    assert "cannot be tested here" in second[3]


def test_machines_and_what_one_of_them_lacks_are_named(html: str) -> None:
    described = "Made CPU, 2 cores, 8 GiB, no GPU"
    machines = f"{described} (<code>{A}</code>); {described} (<code>{B}</code>); native."
    assert f"Machines: {machines}" in html
    assert f"Left out, not installed: JAX on {B} (no &lt;jax&gt;)." in html
    environments = re.findall(r"<summary><h3>(.*?)</h3>", section(html, "environment"))
    assert environments == [f"Keras, {A}", f"JAX, {A}", f"Keras, {B}"]


def test_verdicts_and_claims_are_apart_for_each_condition(two: Path, html: str) -> None:
    heads = re.findall(r"<h3>(.*?)</h3>", section(html, "claims"))
    assert [head for head in heads if head in (A, B)] == [A, B]
    ids = [one for one in seen(html).ids if one.startswith("claim-")]
    first, second = ([one for one in ids if f"-{name}-" in one] for name in (A, B))
    assert first and len(first) == len(second) == len(ids) / 2
    record = json.loads((two.parent / "verdicts.json").read_text())
    paths = [run["path"] for each in record["conditions"] for run in each["runs"]]
    assert {path.split("/")[2] for path in paths} == {A}, "one engine alone decides no claim"
    assert all(path in section(html, "claims") for path in paths)


def test_verdicts_with_a_section_of_their_own_are_no_table_beside_it(html: str) -> None:
    ids = seen(html).ids
    assert "claims" in ids and "table-verdicts" not in ids


def test_tables_and_figures_say_of_which_machine_they_are(html: str) -> None:
    heads = re.findall(r"<button[^>]*>(.*?)</button>", section(html, "tables"))
    assert "machine" in heads and "deployment" not in heads
    captions = re.findall(r"<figcaption>(.*?)\. <a", section(html, "figures"))
    assert f"Training time ({A})" in captions and f"Training time ({B})" in captions
    assert len(set(captions)) == len(captions)


def test_deviations_stand_once(two: Path, html: str) -> None:
    lines = re.findall(r"<li>(.*?)</li>", section(html, "deviations"))
    assert len(set(lines)) == len(lines)
    assert "<p><code>repetitions</code> is 2; 5 in the thesis.</p>" in lines


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of three values on two machines, where nothing finished of one condition."""
    lost = {("digits", name, k): ("failed", "crashed") for name in ("keras", "jax") for k in (1, 2)}
    conditions = []
    for machine in (A, B):
        for size in (16, 32, 64):
            gone = lost if (machine, size) == (B, 64) else {}
            values = {"batch_size": size}
            conditions.append(MadeResults(machine=machine, values=values, lost=gone, **MADE))
    return page(write_results(tmp_path_factory.mktemp("six"), *conditions))


def test_of_many_conditions_no_claims_are_shown_but_how_many_verdicts(six: str) -> None:
    ids = seen(six).ids
    assert "conditions" in ids and "claims" not in ids
    # They stand in a table like others.
    assert "table-verdicts" in ids
    assert "Figures and claims of a single condition: set its values alone" in six
    found = rows(section(six, "conditions"))
    assert [line[:4] for line in found[3:]] == [
        [B, "16", "4", "4"],
        [B, "32", "4", "4"],
        [B, "64", "0", "4"],
    ]
    assert len(found) == 6 and all("cannot be tested here" in line[4] for line in found)


def test_of_many_conditions_only_figures_over_all_are_shown(six: str) -> None:
    figures = [one for one in seen(six).ids if one.startswith("figure-")]
    assert figures == [
        "figure-scaling_digits_batch_size_time",
        "figure-scaling_digits_batch_size_memory",
        "figure-side_by_side",
        "figure-samples_digits",
    ]
    curves = section(six, "answer")
    assert (
        "JAX takes 0.6" in curves and "lie between." in curves and "figure-side_by_side" in curves
    )
    parameters = section(six, "environment")
    assert "<dt>batch_size</dt><dd>16, 32, 64</dd>" in parameters
    line = "<li><p><code>batch_size</code> is 16, 32, 64; 32 in the thesis.</p></li>"
    assert line in section(six, "deviations")
    assert "4 of 24 did not finish" in section(six, "runs")


def test_a_long_table_is_folded_and_a_short_one_open(six: str) -> None:
    tables = section(six, "tables")
    assert '<details id="table-summary"><summary>' in tables
    assert '<details id="table-ratios" open><summary>' in tables


def test_nothing_finished_is_a_page(tmp_path: Path) -> None:
    lost = {("digits", name, k): ("missing", None) for name in ("keras", "jax") for k in (1, 2)}
    conditions = [MadeResults(machine=machine, lost=lost, **MADE) for machine in (A, B)]
    html = page(write_results(tmp_path, *conditions))
    assert seen(html).beside == []
    assert "0 of 8 wanted trainings finished, under 2 conditions" in html
    assert "8 of 8 did not finish" in section(html, "runs")


def long_table(folder: Path, n: int) -> None:
    numbers = columns((whole("place", "Its place."),))
    made = frame_of([{"place": 7000 + k} for k in range(n)], numbers)
    write_table(Table(name="long", title="Long", columns=numbers, rows=made), folder)


@pytest.mark.parametrize(("n", "shown"), [(MAX_ROWS, MAX_ROWS), (MAX_ROWS + 1, 0)])
def test_a_table_with_too_many_rows_is_linked(
    two: Path, tmp_path: Path, n: int, shown: int
) -> None:
    results = tmp_path / "results"
    shutil.copytree(two.parent, results)
    long_table(results / "tables", n)
    assert len(page_table(results / "tables", "long").rows) == shown
    write_page(results / "index.json", results, results / "report.html")
    html = (results / "report.html").read_text(encoding="utf-8")
    found = seen(html)
    assert (">7000</td>" in html) == bool(shown)
    assert found.beside == ([] if shown else ["tables/long.md", "tables/long.csv"])
    assert all((results / name).is_file() for name in found.beside)
    assert (f"{n} rows are too many for a page" in html) != bool(shown)
    assert "<code>place</code>: Its place." in html, "what a column holds is there in any case"
