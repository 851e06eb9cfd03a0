"""The page: what it says comes from the files, nothing outside of it is needed, and a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import MadeResults, write_results
from engines.support import interpreter
from evenground.analysis.index import read_index
from evenground.claims.model import read_claims
from evenground.errors import EvengroundError
from evenground.replay import redraw
from evenground.report.page.build import write_page
from evenground.report.page.prose import paragraphs
from evenground.report.page.tables import page_table
from evenground.report.page.verdicts import claims, make_axis, number, summary

ROOT = Path(__file__).parents[2]
LOST = {("digits", "jax", 2): ("failed", "out-of-memory")}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


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


class Seen(HTMLParser):
    """The addresses, pictures and identifiers of a page, and whether its tags close in order."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[name]) for name in ("src", "href") if name in given]
        self.alts += [str(given.get("alt", ""))] if tag == "img" else []
        self.ids += [str(given["id"])] if "id" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A line of an axis: nothing in it."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def seen(html: str) -> Seen:
    found = Seen()
    found.feed(html)
    assert not found.open
    return found


def again(html: str) -> list[str]:
    """The commands under "Do it again"."""
    section = html.split('<section id="again">')[1].split("</section>")[0]
    return [unescape(found) for found in re.findall(r"<td><code>(.*?)</code></td>", section)]


def test_the_command_that_made_it_is_the_one_to_do_it_again(results: Path, tmp_path: Path) -> None:
    command = "snakemake --cores 2 --configfile 'my <odd> file.yaml' --config epochs=5 all"
    write_page(results / "index.json", results, tmp_path / "page.html", command)
    assert again((tmp_path / "page.html").read_text()) == [command, "./evenground replay BUNDLE.zip"]


def test_a_replay_of_runs_whose_command_is_not_recorded_says_its_own(results: Path, tmp_path: Path) -> None:
    replay = "./evenground replay a.zip"
    write_page(results / "index.json", results, tmp_path / "page.html", redrawn_by=replay)
    html = (tmp_path / "page.html").read_text()
    assert again(html) == [replay] and "<td>not recorded</td>" in html


def test_it_needs_nothing_beside_it(html: str) -> None:
    found = seen(html)
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    assert len(found.alts) >= 8 and all(found.alts)
    assert len(set(found.ids)) == len(found.ids)
    targets = {address[1:] for address in found.addresses if address.startswith("#")}
    assert targets <= set(found.ids)


def test_its_numbers_are_those_of_the_files(results: Path, html: str) -> None:
    assert "11 of 12 wanted trainings finished" in html and "1 of 12 did not finish" in html
    assert "out-of-memory" in html and "Made CPU, 2 cores, 8 GiB, no GPU" in html
    rows = [row for row in json.loads((results / "verdicts.json").read_text())["verdicts"] if row["runs"]]
    assert rows
    for row in rows:
        assert all(run["path"] in html for run in row["runs"])
    counted = sum(html.count(f'<span class="verdict {kind}">') for kind in ("reproduced", "contradicted"))
    judged = [row for row in rows if row["verdict"] in ("reproduced", "contradicted")]
    # Once in the summary, once at the claim.
    assert counted == 2 * len(judged) > 0


def test_a_page_without_verdicts_says_so(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results/verdicts.json").unlink()
    write_page(results / "index.json", tmp_path / "results", tmp_path / "page.html")
    assert "No claim was judged." in (tmp_path / "page.html").read_text()


def test_engines_that_are_not_installed_are_named_with_the_reason(results: Path, tmp_path: Path) -> None:
    absent = [{"name": name, "label": name.title(), "reason": f"no <{name}>"} for name in ("axon", "torch")]
    shutil.copytree(results.parent, tmp_path / "made")
    where = tmp_path / "made" / results.name / "index.json"
    where.write_text(json.dumps({**json.loads(where.read_text()), "absent": absent}))
    write_page(where, where.parent, tmp_path / "page.html")
    said = "Left out, not installed on this machine: Axon (no &lt;axon&gt;), Torch (no &lt;torch&gt;)."
    html = (tmp_path / "page.html").read_text()
    assert said in html and "Elixir (Axon on EXLA) was not trained." in html
    assert "Left out" not in (results / "report.html").read_text()


@pytest.mark.parametrize("name", ["figures/figures.json", "tables/runs.md"])
def test_a_missing_file_is_named(results: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results" / name).unlink()
    with pytest.raises(EvengroundError, match=re.escape(Path(name).name)):
        write_page(results / "index.json", tmp_path / "results", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_broken_verdicts_are_named(tmp_path: Path) -> None:
    (tmp_path / "verdicts.json").write_text('{"verdicts": [{"id": 3}]}')
    with pytest.raises(EvengroundError, match=r"broken verdicts, verdicts\.0"):
        claims(tmp_path / "verdicts.json")


def test_words_of_others_stay_words() -> None:
    said = paragraphs("<script>alert(1)</script> `<b>` **<i>**\n\nnext")
    assert "<script" not in said and "<b>" not in said and "<i>" not in said
    assert said.count("<p>") == 2 and "<code>&lt;b&gt;</code>" in said and "<strong>" in said


def test_an_axis_puts_twice_and_half_as_far_from_one() -> None:
    axis = make_axis({"published": 2.0, "estimate": 0.5, "low": 0.4, "high": 0.6}, "ratio", 1.0)
    assert axis and axis.published and axis.estimate and axis.null and axis.scale == "log"
    left, right = axis.null.at_pct - axis.estimate.at_pct, axis.published.at_pct - axis.null.at_pct
    assert left == pytest.approx(right, abs=0.02)
    assert axis.words == "published 2, estimate 0.5, 95 % interval 0.4 to 0.6 (ratio)"


def test_an_axis_of_nothing_is_none_and_of_one_value_has_room() -> None:
    assert make_axis({"published": None, "estimate": None}, "1", 0.0) is None
    axis = make_axis({"estimate": -3.0}, "%", None)
    assert axis and axis.estimate and axis.estimate.at_pct == 50 and axis.low_pct is None


def test_demonstrations_are_counted_apart(results: Path) -> None:
    said = summary(claims(results / "verdicts.json"))
    assert "as demonstrations only:" in said
    real = re.search(r"corrected instrument: ([^;.]*)", said)
    assert real and set(re.findall(r"[a-z][a-z ]+", real[1])) == {"not testable here"}


@pytest.fixture(scope="module")
def driven(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a headless browser found."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("screenshots")
    script = Path(__file__).with_name("drive_browser.py")
    command = [interpreter("browser"), str(script), BROWSER, str(results / "report.html"), str(folder), "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert {path.name for path in folder.iterdir()} == {"light.png", "dark.png", "phone.png", "print.png"}
    return found


@pytest.mark.slow
class TestInABrowser:
    """Headless Chromium, off the network."""

    def test_nothing_is_complained_of_or_fetched(self, driven: dict[str, Any]) -> None:
        assert driven["console"] == []
        assert [url.partition(":")[0] for url in driven["requests"] if not url.startswith("data:")] == [
            "file"
        ]
        assert driven["broken"] == 0 and driven["texts"] > 5000

    def test_tables_sort_by_keyboard(self, driven: dict[str, Any]) -> None:
        before, once, twice = (
            [float(text) for text in driven["sorting"][name]] for name in ("before", "once", "twice")
        )
        assert once == sorted(before) and twice == once[::-1] and before not in (once, twice)

    def test_it_can_be_read(self, driven: dict[str, Any]) -> None:
        # WCAG 2.2, 1.4.3: 4.5 to 1.
        assert driven["contrast_light"][0] >= 4.5, driven["contrast_light"]
        assert driven["contrast_dark"][0] >= 4.5, driven["contrast_dark"]
        assert driven["unnamed"] == 0 and all(driven["alt"])
        assert driven["phone_overflow_px"] == 0


def test_counts_are_whole_numbers_and_a_missing_one_is_last(tmp_path: Path) -> None:
    (tmp_path / "lines_of_code.csv").write_text("code,files,lines\na,1,537\nb,,\n")
    (tmp_path / "lines_of_code.md").write_text("# Lines\n\nWhy.\n\n| code |\n")
    first, second = page_table(tmp_path, "lines_of_code").rows
    assert [(cell.text, cell.key, cell.number) for cell in first[1:]] == [
        ("1", "1.0", True),
        ("537", "537.0", True),
    ]
    assert [(cell.text, cell.key, cell.number) for cell in second[1:]] == [("–", "", True)] * 2


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(338.0, 2, "340"), (3100.0, 2, "3100"), (0.4237, 2, "0.42"), (1324.0, 4, "1324"), (1e7, 2, "1.0e+07")],
)
def test_numbers_have_no_exponent_where_people_write_none(value: float, digits: int, words: str) -> None:
    assert number(value, digits) == words
