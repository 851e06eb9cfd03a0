"""The page: what it says comes from the files, nothing outside of it is needed, and a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from analysis.synthetic import MadeResults, write_results
from engines.support import interpreter
from evenground.analysis.columns import spread, text, whole
from evenground.analysis.table import Table, frame_of, write_table
from evenground.bundle.replay import redraw
from evenground.claims.judge import NOT_JUDGED, VERDICTS
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.records.index import read_index
from evenground.report.page import verdicts as shown
from evenground.report.page.axis import Axis
from evenground.report.page.build import write_page
from evenground.report.page.prose import paragraphs
from evenground.report.page.tables import page_table
from evenground.report.page.verdicts import COLOURS, read_verdicts
from made_records import made_group, made_row, made_verdicts
from report.seen import seen

ROOT = Path(__file__).parents[2]
LOST = {("digits", "jax", 2): ("failed", "out-of-memory")}
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything redrawn from made results, one run lost; `report.html` is the page."""
    stand_ins = {"elixir": "jax", "mnist": "digits", "cifar10": "shapes"}
    made = MadeResults(lost=LOST, stand_ins=stand_ins)
    where = write_results(tmp_path_factory.mktemp("page"), made)
    redraw(read_index(where), where, where.parent, read_claims(ROOT))
    return where.parent


@pytest.fixture(scope="module")
def html(results: Path) -> str:
    return (results / "report.html").read_text(encoding="utf-8")


def again(html: str) -> list[str]:
    """The commands under "Do it again"."""
    section = html.split('<section id="again">')[1].split("</section>")[0]
    return [unescape(found) for found in re.findall(r"<td><code>(.*?)</code></td>", section)]


def test_the_command_that_made_it_is_the_one_to_do_it_again(results: Path, tmp_path: Path) -> None:
    command = "snakemake --cores 2 --configfile 'my <odd> file.yaml' --config epochs=5 all"
    write_page(results / "index.json", results, tmp_path / "page.html", command)
    assert again((tmp_path / "page.html").read_text()) == [
        command,
        "./evenground replay BUNDLE.zip",
    ]


def test_a_replay_of_runs_whose_command_is_not_recorded_says_its_own(
    results: Path, tmp_path: Path
) -> None:
    replay = "./evenground replay a.zip"
    write_page(results / "index.json", results, tmp_path / "page.html", redrawn_by=replay)
    html = (tmp_path / "page.html").read_text()
    assert again(html) == [replay] and "<td>not recorded</td>" in html


def test_it_needs_nothing_beside_it(html: str) -> None:
    found = seen(html)
    assert found.beside == [] and len(found.alts) >= 8 and all(found.alts)
    assert 'id="conditions"' not in html and "Nothing is averaged over" not in html
    assert not {"table-across", "table-agreement"} & set(found.ids)


def test_pictures_and_data_in_it_are_those_of_the_files(results: Path, html: str) -> None:
    held = [one.partition(",") for one in seen(html).addresses if one.startswith("data:")]
    data = [unquote(text) for kind, _, text in held if kind == "data:text/csv"]
    files = [*(results / "figures").glob("*.csv"), *(results / "tables").glob("*.csv")]
    apart = {"verdicts", "across", "agreement"}
    assert sorted(data) == sorted(one.read_text() for one in files if one.stem not in apart)
    pictures = [unquote(text) for kind, _, text in held if kind == "data:image/svg+xml"]
    drawn = [one.read_text() for one in (results / "figures").glob("*.svg")]
    assert sorted(pictures) == sorted(" ".join(one.split()) for one in drawn)
    assert all(ElementTree.fromstring(one).tag.endswith("svg") for one in pictures)


def test_its_numbers_are_those_of_the_files(results: Path, html: str) -> None:
    assert "11 of 12 wanted trainings finished" in html and "1 of 12 did not finish" in html
    assert "out-of-memory" in html and "Made CPU, 2 cores, 8 GiB, no GPU" in html
    record = json.loads((results / "verdicts.json").read_text())
    (of_condition,) = record["conditions"]
    rows, paths = of_condition["verdicts"], [run["path"] for run in of_condition["runs"]]
    assert paths and all(path in html for path in paths)
    for row in rows:
        # Once in the table, once at the claim.
        times = 2 * sum(other["verdict"] == row["verdict"] for other in rows)
        assert (
            len(re.findall(f'<span class="verdict [a-z -]+">{row["verdict"]}</span>', html))
            == times
        )


SAID = {"verdict": "", "demonstration": "would read: ", "instrument": "the instrument shows: "}


def row(reading: str = "contradicted", kind: str = "verdict", **more: Any) -> dict[str, Any]:
    """A row of verdicts.json: training took 0.18 times as long, published are 1.34."""
    words = reading if reading in NOT_JUDGED else f"{SAID[kind]}{reading}"
    return made_row("T1", reading) | {
        "statement": "It takes longer.",
        "instrument": "as-published" if kind == "instrument" else "corrected",
        "verdict": words,
        "kind": kind,
        "groups": [made_group(0)],
        "same_size": [1.3421 / 1.25, 1.3421 * 1.25],
        "effect": "jax takes 82 % less time than keras (79 to 84) on mnist",
        "scale": "logarithms",
        "estimate": 0.1793,
        "low": 0.1561,
        "high": 0.2059,
        "published": 1.3421,
        "in_prediction": "no",
        "pairs": 5,
        "n_a": 5,
        "idle_a": 0.0,
        "idle_b": 0.19,
        "n_invalid": 1,
        "n_warned": 5,
        "reason": "the interval lies beyond the bound; left out: repetition 3: no finished run of jax",
        "published_words": "1.3421 (1.334 to 1.35 by rounding, n = 5)",
        "estimate_words": "0.179 (0.156 to 0.206)",
        "runs_words": "5 pairs",
        "CV_words": "11 % and 20 %",
        "idle_words": "0 % and 19 %",
        "flagged_words": "1 invalid, 5 warned",
        **more,
    }


def save_rows(to: Path, *rows: dict[str, Any], **more: Any) -> Path:
    """A file of such rows on one condition; `more` are other fields of it."""
    summary = ["**Verdicts**: 1 contradicted.", "**Looks**: plan `looks` first."]
    path = to / "verdicts.json"
    content = made_verdicts().content()
    content["conditions"][0] |= {"summary": summary, "verdicts": rows, **more}
    path.write_text(json.dumps(content))
    return path


def first_part(verdicts: Path) -> shown.Part:
    """The first part of the first claim in a file of one condition."""
    (condition,) = read_verdicts(verdicts)
    return condition.claims[0].parts[0]


def every_row() -> list[dict[str, Any]]:
    """Each verdict as what it is, as a demonstration and under the thesis's instrument."""
    return [
        row(reading, kind, id=f"T{k}-{place}", claim=f"T{k}")
        for k, reading in enumerate(VERDICTS)
        for place, kinds in (("claim", ("verdict", "instrument")), ("shown", ("demonstration",)))
        for kind in kinds
    ]


@pytest.fixture(scope="module")
def with_every_verdict(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with each verdict in each of the three ways."""
    to = tmp_path_factory.mktemp("every") / "results"
    shutil.copytree(results, to)
    save_rows(to, *every_row())
    write_page(results / "index.json", to, to / "report.html")
    return to / "report.html"


def judged(to: Path, *rows: dict[str, Any]) -> shown.Row:
    """The first row as it is shown."""
    return first_part(save_rows(to, *rows)).rows[0]


def test_the_page_knows_every_verdict_in_the_order_of_the_rule() -> None:
    assert tuple(COLOURS) == VERDICTS and shown.NOT_JUDGED == NOT_JUDGED


def test_what_is_no_verdict_on_the_claim_looks_otherwise(with_every_verdict: Path) -> None:
    html = with_every_verdict.read_text()
    seen(html)
    for reading in set(VERDICTS) - set(NOT_JUDGED):
        for kind, look in (
            ("verdict", "filled"),
            ("demonstration", "dashed"),
            ("instrument", "dotted"),
        ):
            words = f"{SAID[kind]}{reading}"
            assert (
                html.count(f'<span class="verdict {COLOURS[reading]} {look}">{words}</span>') == 2
            )
    for reading in NOT_JUDGED:
        assert html.count(f'<span class="verdict untestable plain">{reading}</span>') == 2 * 3


def test_the_answer_comes_first(html: str) -> None:
    main = html.split('<main id="main">')[1]
    assert main.lstrip().startswith('<section id="answer">')
    answer = main.split("</section>")[0]
    assert "<strong>Digits</strong>: JAX takes 0.667 times Keras&#39;s time" in answer
    assert 'id="figure-training_time"' in answer and "answer.csv" in answer
    order = [one for one in seen(html).ids if one in ("answer", "timelines", "claims", "tables")]
    assert order == ["answer", "timelines", "claims", "tables"]


def test_claims_without_an_answer_are_folded_with_their_reasons_counted(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "results")
    none = {"estimate": None, "low": None, "high": None, "estimate_words": ""}
    lacking = [
        row("cannot be tested here", id=f"G{k}", claim=f"G{k}", reason=f"no {what}", **none)
        for k, what in enumerate(("GPU", "GPU", "Elixir", "second <card>", "fourth thing"))
    ]
    save_rows(tmp_path / "results", row(), *lacking)
    write_page(results / "index.json", tmp_path / "results", tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    summary = (
        "<summary>5 statements cannot be judged here: 2 for “no GPU”; 1 for “no Elixir”; "
        "1 for “no second &lt;card&gt;”; the rest for 1 other reasons</summary>"
    )
    before, folded = html.split(summary)
    assert 'id="claim-T1"' in before and 'id="claim-G4"' in folded and 'id="claim-G' not in before


def test_the_summary_is_that_of_the_file(with_every_verdict: Path) -> None:
    html = with_every_verdict.read_text()
    assert "<p><strong>Verdicts</strong>: 1 contradicted.</p>" in html
    assert "<p><strong>Looks</strong>: plan <code>looks</code> first.</p>" in html


def test_a_verdict_is_told_with_its_numbers_and_its_reason(tmp_path: Path) -> None:
    stand_in = row(kind="demonstration", demonstration="jax as elixir")
    assert judged(tmp_path, stand_in).remarks == [
        "jax takes 82 % less time than keras (79 to 84) on mnist.",
        "Here 0.179 (0.156 to 0.206), 95 % interval; published 1.3421 (1.334 to 1.35 by rounding, n = 5); "
        "5 pairs; CV 11 % and 20 %; idle 0 % and 19 % of the training; flagged 1 invalid, 5 warned.",
        "Why: the interval lies beyond the bound; left out: repetition 3: no finished run of jax.",
        "A repetition of the thesis's own experiment would not be expected to give this.",
        "Demonstration: jax as elixir.",
    ]


@pytest.mark.parametrize("given", ["yes", ""])
def test_only_a_surprising_result_is_called_so(tmp_path: Path, given: str) -> None:
    assert not any(
        "repetition of the thesis" in line
        for line in judged(tmp_path, row(in_prediction=given)).remarks
    )


def test_the_interval_of_a_planned_look_has_its_own_level(tmp_path: Path) -> None:
    assert ", 98.18 % interval;" in judged(tmp_path, row(confidence=0.9818)).remarks[1]


def test_what_could_not_be_judged_has_a_reason_and_no_axis(tmp_path: Path) -> None:
    absent = (
        "estimate",
        "low",
        "high",
        "confidence",
        "pairs",
        "idle_a",
        "idle_b",
        "n_invalid",
        "n_warned",
    )
    empty = ("effect", "in_prediction", "estimate_words", "CV_words", "idle_words", "flagged_words")
    given = {**dict.fromkeys(absent), **dict.fromkeys(empty, ""), "runs_words": "0 and 0", "n_a": 0}
    lacking = row("cannot be tested here", "demonstration", **given, demonstration="jax as elixir")
    one = judged(tmp_path, lacking | {"reason": "no GPU"})
    assert one.axis is None and one.classes == "untestable plain"
    assert one.remarks == ["Published 1.3421 (1.334 to 1.35 by rounding, n = 5).", "Why: no GPU."]
    cells = first_part(tmp_path / "verdicts.json").cells
    assert [cell.text for cell in cells[1:]] == ["–"] * 5


def test_the_table_shows_words_and_sorts_by_values(tmp_path: Path) -> None:
    part = first_part(save_rows(tmp_path, row(), row(kind="instrument", estimate=7.0)))
    assert [(cell.text, cell.key) for cell in part.cells] == [
        ("1.3421 (1.334 to 1.35 by rounding, n = 5)", "1.3421"),
        ("0.179 (0.156 to 0.206)", "0.1793"),
        ("jax takes 82 % less time than keras (79 to 84) on mnist",) * 2,
        ("5 pairs", "5.0"),
        ("0 % and 19 %", "0.19"),
        ("1 invalid, 5 warned", "6.0"),
    ]
    assert [one.rank for one in part.rows] == [VERDICTS.index("contradicted")] * 2


def test_a_level_has_its_unit_and_is_told_once(tmp_path: Path) -> None:
    level = row(
        unit="s", scale="as measured", effect="0.179 (0.156 to 0.206) s", pairs=None, runs_words="5"
    )
    one = judged(tmp_path, level)
    assert one.remarks[0].startswith("Here 0.179 (0.156 to 0.206) s, 95 % interval; ")
    assert "; 5 runs; " in one.remarks[0]


def test_a_claim_of_the_thesis_instrument_alone_has_no_number_of_ours(tmp_path: Path) -> None:
    part = first_part(save_rows(tmp_path, row(kind="instrument")))
    assert part.corrected is None and [cell.text for cell in part.cells[1:]] == ["–"] * 5


def test_engines_that_are_not_installed_are_named_with_the_reason(
    results: Path, tmp_path: Path
) -> None:
    absent = [
        {"name": name, "label": name.title(), "reason": f"no <{name}>"}
        for name in ("axon", "torch")
    ]
    shutil.copytree(results.parent, tmp_path / "made")
    where = tmp_path / "made" / results.name / "index.json"
    content = json.loads(where.read_text())
    content["conditions"][0]["absent"] = absent
    where.write_text(json.dumps(content))
    write_page(where, where.parent, tmp_path / "page.html")
    said = "Left out, not installed: Axon (no &lt;axon&gt;), Torch (no &lt;torch&gt;)."
    html = (tmp_path / "page.html").read_text()
    assert said in html and "Elixir (Axon on EXLA) was not trained." in html
    assert "Left out" not in (results / "report.html").read_text()


@pytest.mark.parametrize(
    "name",
    ["figures/figures.json", "figures/training_time.svg", "tables/runs.json", "verdicts.json"],
)
def test_a_missing_file_is_named(results: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results" / name).unlink()
    with pytest.raises(EvengroundError, match=re.escape(Path(name).name)):
        write_page(results / "index.json", tmp_path / "results", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verdicts": [{"id": 3}]}, r"broken verdicts, conditions\.0\.verdicts\.0"),
        (
            {"verdicts": [row() | {"reading": "proven"}]},
            r"conditions\.0\.verdicts\.0\.reading: Input should be 'reproduced', ",
        ),
        ({"verdicts": [row()], "runs": []}, "broken verdicts, .* names a run that is not listed"),
    ],
)
def test_broken_verdicts_are_named(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(EvengroundError, match=said):
        read_verdicts(save_rows(tmp_path, **more))


def test_verdicts_of_another_schema_are_refused(tmp_path: Path) -> None:
    path = save_rows(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 3}))
    with pytest.raises(
        EvengroundError, match="verdicts has schema 3, this version of evenground reads"
    ):
        read_verdicts(path)


def test_words_of_others_stay_words() -> None:
    said = paragraphs("<script>alert(1)</script> `<b>` **<i>**\n\nnext")
    assert "<script" not in said and "<b>" not in said and "<i>" not in said
    assert said.count("<p>") == 2 and "<code>&lt;b&gt;</code>" in said and "<strong>" in said


def test_an_axis_puts_twice_and_half_as_far_from_one() -> None:
    axis = Axis(label="", ratio=True, estimate=0.5, interval=(0.4, 0.6), published=2.0)
    one = axis.place(1.0)
    assert one - axis.place(0.5) == pytest.approx(axis.place(2.0) - one, abs=0.02)
    assert 0 < axis.place(0.4) < axis.place(0.5) < axis.place(0.6) < axis.place(2.0) < 100


def test_an_axis_of_one_value_has_room() -> None:
    axis = Axis(label="", ratio=False, estimate=-3.0)
    assert axis.place(-3.0) == 50
    assert axis.ticks == [(0, "-3.5"), (25, "-3.2"), (50, "-3.0"), (75, "-2.8"), (100, "-2.5")]


def test_ticks_have_digits_enough_to_be_told_apart() -> None:
    axis = Axis(label="", ratio=False, estimate=1.00213, interval=(1.00149, 1.00276))
    texts = [text for _, text in axis.ticks]
    assert texts == ["1.0013", "1.0017", "1.0021", "1.0025", "1.0029"]


def test_what_counts_as_the_same_size_is_on_the_axis_and_in_its_words(tmp_path: Path) -> None:
    axis = judged(tmp_path, row()).axis
    assert axis and axis.same_size and axis.published
    # As far to the left as to the right: the region is a factor, and so is the axis.
    low, high = map(axis.place, axis.same_size)
    assert (low + high) / 2 == pytest.approx(axis.place(axis.published), abs=0.02)
    assert axis.label == (
        "here 0.179 (0.156 to 0.206), published 1.3421 (1.334 to 1.35 by rounding, n = 5), "
        "the same size from 1.07 to 1.68"
    )
    margin = judged(tmp_path, row(region=[0.8, 1.25], same_size=None)).axis
    assert margin and margin.same_size is None and "the same size" not in margin.label
    assert len(margin.bounds) == 2


@pytest.fixture(scope="module")
def driven(with_every_verdict: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a headless browser found."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("screenshots")
    script = Path(__file__).with_name("drive_browser.py")
    command = [
        interpreter("browser"),
        str(script),
        BROWSER,
        str(with_every_verdict),
        str(folder),
        "4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {path.name for path in folder.iterdir()} == {
        "light.png",
        "dark.png",
        "phone.png",
        "print.png",
        "silent.png",
        "page.pdf",
    }
    return found


@pytest.mark.slow
class TestInABrowser:
    """Headless Chromium, off the network."""

    def test_nothing_is_complained_of_or_fetched(self, driven: dict[str, Any]) -> None:
        assert driven["console"] == []
        assert [
            url.partition(":")[0] for url in driven["requests"] if not url.startswith("data:")
        ] == ["file"]
        assert driven["broken"] == 0 and driven["texts"] > 5000

    def test_the_answer_is_on_the_first_screen_and_needs_no_script(
        self, driven: dict[str, Any]
    ) -> None:
        wide_px, phone_px = driven["answer_ends_px"]
        assert 0 < wide_px < 800 and 0 < phone_px < 844
        assert "Digits: JAX takes 0.667 times Keras's time" in driven["silent"]

    def test_no_table_is_cut_in_print(self, driven: dict[str, Any]) -> None:
        assert driven["cut_in_print"] == []

    def test_tables_sort_by_keyboard(self, driven: dict[str, Any]) -> None:
        before, once, twice = (
            [float(text) for text in driven["sorting"][name]]
            for name in ("before", "once", "twice")
        )
        assert once == sorted(before) and twice == once[::-1] and before not in (once, twice)

    def test_it_can_be_read(self, driven: dict[str, Any]) -> None:
        # WCAG 2.2, 1.4.3: 4.5 to 1.
        assert driven["contrast_light"][0] >= 4.5, driven["contrast_light"]
        assert driven["contrast_dark"][0] >= 4.5, driven["contrast_dark"]
        assert driven["unnamed"] == 0 and all(driven["alt"])
        assert driven["phone_overflow_px"] == 0


def test_cells_are_sorted_by_their_kind_and_a_missing_one_is_last(tmp_path: Path) -> None:
    columns = (text("code", "Code."), whole("files", "Files."), *spread("used", "s", "Seconds"))
    rows = [
        {"code": "7", "files": 1, "used_median": 2.0, "used_min": 1.5, "used_max": 3.0},
        {"code": "a|<b>"},
    ]
    made = Table(name="t", title="T", columns=columns, rows=frame_of(rows, columns), notes=("N.",))
    write_table(made, tmp_path)
    for path in tmp_path.glob("*.md"):
        path.unlink()
    table = page_table(tmp_path, "t")
    assert (table.title, table.notes) == ("T", ("N.",))
    assert [column.heading for column in table.columns] == [
        "code",
        "files",
        "used median (min to max)",
    ]
    first, second = table.rows
    assert [(cell.text, cell.key, cell.number) for cell in first] == [
        ("7", "7", False),
        ("1", "1.0", True),
        ("2.000 (1.500 to 3.000)", "2.0", True),
    ]
    assert [(cell.text, cell.key, cell.number) for cell in second] == [
        ("a|<b>", "a|<b>", False),
        ("–", "", True),
        ("–", "", True),
    ]


def test_the_page_tells_what_each_column_holds(html: str) -> None:
    assert "<li><code>df_blocks</code>: Degrees of freedom of the blocks.</li>" in html
    assert "<li><code>start_min</code> (min): " in html
    assert "(as in <code>unit</code>): " in html
