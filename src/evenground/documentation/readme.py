"""The answer of the published runs, as the README shows it."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from evenground.analysis.experiment import alone
from evenground.analysis.sentences import answers
from evenground.analysis.table import Table, read_table, shown_cells
from evenground.errors import EvengroundError
from evenground.records.index import Condition, read_index
from evenground.records.verdicts import Row, Verdicts

BUNDLE = Path("published/amd-epyc-2c-24g-nogpu.zip")
FIGURE = Path("docs/answer.svg")
BEGIN, END = "<!-- answer: written by python scripts/parameters.py -->", "<!-- end of answer -->"
# What the thesis is about, and what of it can be told from its author's files.
CLAIMS = ("T1", "T2", "L1")
# Column of the table `answer` -> its heading; the ends of an interval stand beside their ratio.
HEADINGS = {
    "dataset": "dataset",
    "engine": "engine",
    "training_s": "training time [s]",
    "ratio": "ratio of times (95 % interval)",
    "low_95": "",
    "high_95": "",
    "peak_rss_bytes": "peak memory [MiB]",
    "test_accuracy": "accuracy",
    "idle_share": "idle share",
    "n": "runs",
}
IDLE = (
    "Idle: the share of its training in which an engine's processes computed nothing "
    "([what they waited for](docs/explain-idle.md))."
)
RESULTS = "results/native/"
FILES = ("index.json", "verdicts.json", "tables/answer.csv", "tables/answer.json")
TRAINING_TIME = "figures/training_time.svg"


def with_answer(written: str, bundle: Path) -> str:
    """The README with the answer of a bundle between its two marks, where an older one stood.

    Raises EvengroundError if the marks are missing, or if the bundle has no answer.
    """
    if BEGIN not in written or END not in written:
        fix = "put them back where the answer shall stand"
        raise EvengroundError(f"the lines '{BEGIN}' and '{END}' are missing", "README.md", fix)
    before = written.partition(BEGIN)[0]
    after = written.partition(END)[2]
    return f"{before}{BEGIN}\n\n{answer_block(bundle)}\n\n{END}{after}"


def answer_block(bundle: Path) -> str:
    """What was claimed and found, with a table and the figure, as Markdown."""
    with tempfile.TemporaryDirectory(prefix="evenground-readme-") as scratch:
        with opened(bundle) as archive:
            for name in FILES:
                archive.extract(RESULTS + name, scratch)
        results = Path(scratch, RESULTS)
        index = read_index(results / "index.json")
        table = read_table(results / "tables", "answer")
        (condition,) = Verdicts.read(results / "verdicts.json").conditions
        sentences = answers(alone(index), table.rows)
    said = "\n".join(f"- {sentence}" for sentence in sentences)
    claimed = "\n".join(_claim(row) for row in condition.verdicts if _is_shown(row))
    (machine,) = index.machines
    parts = [
        "| the thesis claims | found |\n| --- | --- |\n" + claimed,
        f"What was measured so far, on {machine.description}, with 95 % intervals:",
        said,
        _rows(table, index.first),
        IDLE,
        f"![Training times of the engines, and their ratios]({FIGURE.as_posix()})",
        f"All of it: `./evenground replay {BUNDLE.as_posix()}` draws it again.",
    ]
    return "\n\n".join(parts)


def figure_of(bundle: Path) -> str:
    """The figure of training times as SVG."""
    with opened(bundle) as archive:
        return archive.read(RESULTS + TRAINING_TIME).decode("utf-8")


def opened(bundle: Path) -> zipfile.ZipFile:
    """The bundle; raises EvengroundError if it does not hold what the README shows."""
    archive = zipfile.ZipFile(bundle)
    names = set(archive.namelist())
    for name in (*FILES, TRAINING_TIME):
        if RESULTS + name not in names:
            fix = "make it anew: ./evenground convert"
            raise EvengroundError(f"there is no {RESULTS}{name} in it", str(bundle), fix)
    return archive


def _is_shown(row: Row) -> bool:
    return row.claim in CLAIMS and row.instrument == "corrected"


def _claim(row: Row) -> str:
    """A claim and what became of it, as a row."""
    found = f"**{row.reading}**: {row.estimate_words} ({row.published_words} published)"
    if row.demonstration:
        found = f"not tested yet: others stood in ({row.demonstration})"
    return f"| {row.statement} | {found} |"


def _rows(table: Table, condition: Condition) -> str:
    """The engines that are compared with each other, with a few columns, as Markdown."""
    main = [engine.name for engine in condition.main]
    rows = table.rows[table.rows["engine"].isin(main)]
    hidden = [column.name for column in table.columns if column.name not in HEADINGS]
    cells = shown_cells(replace(table, rows=rows, hidden=tuple(hidden)))
    headings = [heading for heading in HEADINGS.values() if heading]
    lines = [headings, ["---"] * len(headings)] + cells
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
