"""The overview of made parts: golden tables, what figures show, the page, and faults in one line.

The golden files are made anew with: EVENGROUND_REGENERATE=1 python -m pytest tests/overview
"""

from __future__ import annotations

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.test_tables import compare
from evenground.analysis.files import read_csv
from evenground.files import sha256_file
from evenground.overview.curves import MAX_PANELS, drawings
from evenground.overview.machines import AGREEMENT, ENGINES, RATIOS
from evenground.overview.parts import indexes, read_parts
from evenground.overview.scaling import scaling
from evenground.overview.write import write_all
from evenground.records.index import read_index
from evenground.report.style import fixed_style
from made_overview import RESULTS, A, B, run
from made_parts import copied_part, write_parts

HERE = Path(__file__).parent
TABLES = (
    *("engines_by_machine", "ratios_by_machine", "agreement"),
    "scaling",
    "training_time",
    "time_ratio",
    "accuracy",
    "runs",
    "calibration",
    "lines_of_code",
    "verdicts",
)
FIGURES = [f"scaling_digits_batch_size_{name}" for name in ("time", "memory", "vram")]


@pytest.mark.parametrize("form", ["csv", "md"])
@pytest.mark.parametrize("name", TABLES)
def test_golden_tables(made: Path, name: str, form: str) -> None:
    compare(made.parent / f"tables/{name}.{form}", HERE / f"golden/tables/{name}.{form}")


@pytest.mark.parametrize("name", FIGURES)
def test_golden_data_of_figures(made: Path, name: str) -> None:
    compare(made.parent / f"figures/{name}.csv", HERE / f"golden/figures/{name}.csv")


def test_every_table_of_a_part_is_joined(made: Path) -> None:
    parts = read_parts(made).parts
    names = {path.name for path in (parts[0].folder / "tables").iterdir()}
    joined = {path.name for path in (made.parent / "tables").iterdir()}
    own = {
        f"{name}.{form}"
        for name in ("scaling", ENGINES, RATIOS, AGREEMENT)
        for form in ("csv", "md")
    }
    assert joined == names | own and len(names) > 20


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    write_all(made, tmp_path)
    # The link to a part's report depends on where the page lies.
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "report.html"]
    assert len(files) > 35
    for path in files:
        assert path.read_bytes() == (made.parent / path.relative_to(tmp_path)).read_bytes(), (
            path.name
        )
    before = (made.parent / "report.html").read_bytes()
    write_all(made, made.parent)
    assert (made.parent / "report.html").read_bytes() == before


def scaled(made: Path, **where: object) -> dict[str, Any]:
    """The one row of the table `scaling` with these values."""
    frame = read_csv(made.parent / "tables/scaling.csv")
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (row,) = frame.to_dict("records")
    return row


def test_an_interval_is_students_by_hand(made: Path) -> None:
    row = scaled(made, machine=A, engine="keras", batch_size=16, threads="1", measure="training_s")
    times = [8 * k for k in (0.98, 1.0, 1.02)]
    half = stats.t.ppf(0.975, 2) * 0.16 / math.sqrt(3)
    assert [row[k] for k in ("n", "median", "mean", "min", "max")] == pytest.approx(
        [3, 8, 8, times[0], times[2]]
    )
    assert (row["low_95"], row["high_95"]) == pytest.approx((8 - half, 8 + half))


def test_its_numbers_are_those_of_the_parts_tables(made: Path) -> None:
    frame = read_csv(made.parent / "tables/scaling.csv")
    found = 0
    for part in read_parts(made).parts:
        mine = frame[
            (frame["machine"] == part.machine)
            & (frame["batch_size"] == part.settings["batch_size"])
        ]
        mine = mine[mine["threads"] == str(part.settings["threads"])]
        tables = [
            read_csv(part.folder / f"tables/{name}.csv") for name in ("training_time", "accuracy")
        ]
        theirs = pd.concat(tables)
        for row in theirs[theirs["measure"].isin(mine["measure"])].to_dict("records"):
            same = (mine["measure"] == row["measure"]) & (mine["engine"] == row["engine"])
            (own,) = mine[same].to_dict("records")
            for name in ("n", "n_wanted", "median", "mean", "min", "max"):
                assert own[name] == pytest.approx(row[name], rel=1e-12, nan_ok=True)
                found += 1
    assert found == 8 * 2 * 3 * 6


def test_what_did_not_finish_or_was_not_measured_has_no_number(made: Path) -> None:
    row = scaled(made, machine=A, engine="jax", batch_size=16, threads="all", measure="training_s")
    assert (
        (row["n"], row["n_wanted"]) == (0, 3)
        and math.isnan(row["mean"])
        and math.isnan(row["low_95"])
    )
    frame = read_csv(made.parent / "tables/scaling.csv")
    assert set(frame[frame["measure"] == "peak_vram_used_bytes"]["machine"]) == {B}
    resources = frame[frame["measure"].isin(["cpu_s", "peak_rss_bytes"])]
    assert resources[["mean", "low_95", "high_95"]].isna().all(axis=None)


def captions(made: Path) -> dict[str, str]:
    listed = json.loads((made.parent / "figures/figures.json").read_text())
    assert all(set(entry) == {"name", "title", "caption", "thesis_figures"} for entry in listed)
    return {entry["name"]: entry["caption"] for entry in listed}


def test_figures_say_what_they_show(made: Path) -> None:
    said = captions(made)
    # `threads` has one number only: no curve against it.
    assert list(said) == FIGURES
    time_said, memory, vram = said.values()
    assert "its 95 % interval by Student's t" in time_said and "n = 0 to 3" in time_said
    assert "smallest to largest run" in memory and "from zero" in memory
    assert (
        "upright axis is logarithmic" in time_said
        and "that of batch size is logarithmic" in time_said
    )
    assert "the whole card's" in vram
    for caption in said.values():
        assert f"{A} is Made CPU, 2 cores, 8 GiB, no GPU; {B} is" in caption
    svg = (made.parent / f"figures/{FIGURES[0]}.svg").read_text()
    drawn = " ".join(re.findall(r"<!-- (.*?) -->", svg))
    assert "threads all" in drawn and "16" in drawn and "64" in drawn


def test_a_line_breaks_where_nothing_finished(made: Path) -> None:
    data = read_csv(made.parent / f"figures/{FIGURES[0]}.csv")
    lost = data[data["mean"].isna()]
    assert lost[["machine", "engine", "batch_size", "threads"]].values.tolist() == [
        [A, "jax", 16, "all"]
    ]


@pytest.mark.slow
def test_the_first_panels_show_every_machine_and_the_rest_is_told(tmp_path: Path) -> None:
    where = write_parts(
        tmp_path, [A, B], [{"batch_size": 16, "epochs": 1}], run, repetitions=1, **RESULTS
    )
    content = json.loads(where.read_text())
    others = [
        {"batch_size": size, "epochs": epochs} for size in (16, 32) for epochs in range(1, 6)
    ][1:]
    content["parts"] += [
        copied_part(where, part, **values) for part in content["parts"] for values in others
    ]
    where.write_text(json.dumps(content))
    parts = read_parts(where)
    with fixed_style():
        drawn = {one.name: one for one in drawings(parts, scaling(parts))}
    assert len(drawn) == 6
    one = drawn["scaling_digits_batch_size_time"]
    shown = one.data[["machine", "epochs"]].drop_duplicates().values.tolist()
    assert shown == [[machine, epochs] for epochs in range(1, 5) for machine in (A, B)]
    assert f"Only the first {MAX_PANELS} of 10 panels are drawn" in one.caption
    # One run has no interval, and no warning.
    assert one.data["low_95"].isna().all() and "n = 1" in one.caption


def test_a_value_of_a_parameter_is_not_rounded(tmp_path: Path) -> None:
    rates = [{"batch_size": 16, "learning_rate": rate} for rate in (0.000012345, 0.1)]
    where = write_parts(tmp_path, [A], rates, run, repetitions=1, **RESULTS)
    write_all(where, where.parent)
    texts = [(where.parent / name).read_text() for name in ("tables/time_ratio.md", "report.html")]
    assert "| 16 | 1.2345e-05 | digits |" in texts[0] and "| 16 | 0.1 | digits |" in texts[0]
    cell = '<td class="number" data-key="1.2345e-05">1.2345e-05</td>'
    # The table of parts, the times, their ratios and the table of scaling.
    assert texts[1].count(cell) == 1 + 14 + 6 + 10


@pytest.mark.slow
def test_machines_alone_need_no_parameter(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parents[2], tmp_path / "copy")
    where = tmp_path / "copy/results/native/parts.json"
    content = json.loads(where.read_text())
    content |= {"swept": [], "parts": [{**content["parts"][k], "settings": {}} for k in (0, 4)]}
    where.write_text(json.dumps(content))
    (where.parent / "tables/of_before.csv").write_text("left by another experiment")
    write_all(where, where.parent)
    table = read_csv(where.parent / "tables/training_time.csv")
    assert list(table.columns)[:2] == ["machine", "dataset"] and set(table["machine"]) == {A, B}
    assert not (where.parent / "tables/of_before.csv").exists()
    (figure,) = json.loads((where.parent / "figures/figures.json").read_text())
    assert figure["name"] == RATIOS and (where.parent / f"figures/{RATIOS}.svg").is_file()
    assert (
        "Each row is of one machine class. Nothing is averaged"
        in (where.parent / "tables/training_time.md").read_text()
    )


def test_what_is_the_same_in_all_parts_stands_once(made: Path) -> None:
    lines = read_csv(made.parent / "tables/lines_of_code.csv")
    assert "machine" not in lines and len(lines) == 6
    calibration = read_csv(made.parent / "tables/calibration.csv")
    assert (
        set(calibration["machine"]) == {A}
        and "batch_size" not in calibration
        and len(calibration) == 4
    )


def test_records_are_those_of_the_parts(made: Path) -> None:
    verdicts, metrics = (
        json.loads((made.parent / f"{name}.json").read_text()) for name in ("verdicts", "metrics")
    )
    parts, index = read_parts(made), indexes(read_parts(made))
    assert verdicts["schema"] == 1
    for part, listed in zip(parts.parts, index.parts, strict=True):
        assert verdicts["parts"][part.name] == json.loads(
            (part.folder / "verdicts.json").read_text()
        )
        assert metrics[part.name] == json.loads((part.folder / "metrics.json").read_text())
        assert (listed.name, listed.machine) == (part.name, part.machine)
        assert listed.settings == part.settings
        file = made.parents[2] / listed.index
        assert read_index(file).machine.class_name == part.machine
        assert listed.sha256 == sha256_file(file)


class Seen(HTMLParser):
    """The addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]


def test_the_page_links_parts_and_needs_nothing_else(made: Path) -> None:
    html = (made.parent / "report.html").read_text()
    seen = Seen()
    seen.feed(html)
    beside = [a for a in seen.addresses if not a.startswith(("data:", "#"))]
    assert all((made.parent / address).is_file() for address in beside)
    reports = [address for address in beside if address.endswith("report.html")]
    assert reports == [f"parts/{part.name}/report.html" for part in read_parts(made).parts]
    assert html.count("<img ") == len(FIGURES) and "44 of 48 wanted trainings finished" in html
    assert "<dd>16, 64</dd>" in html and "<dd>1, all</dd>" in html
    assert '<details id="table-scaling"><summary>' in html, "a long table is folded"


def test_a_demonstration_is_no_verdict_of_a_part(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.parents[2], tmp_path / "copy")
    where = tmp_path / "copy/results/native/parts.json"
    record = read_parts(where).parts[0].file("verdicts.json")
    content = json.loads(record.read_text())
    first, second, *others = [
        one for one in content["verdicts"] if one["instrument"] == "corrected"
    ]
    first |= {"kind": "verdict", "reading": "size refuted", "verdict": "size refuted"}
    second |= {
        "kind": "demonstration",
        "reading": "contradicted",
        "verdict": "would read: contradicted",
    }
    record.write_text(json.dumps(content))
    write_all(where, where.parent)
    real = sum(one["kind"] == "verdict" for one in others)
    shown = len(others) - real + 1
    html = (where.parent / "report.html").read_text()
    cells = f'>1 size refuted, {real} cannot be tested here</td>\n<td class="number" data-key="{shown}">'
    assert cells in html and "1 contradicted" not in html
    assert "would read: contradicted" in (where.parent / "tables/verdicts.md").read_text()
