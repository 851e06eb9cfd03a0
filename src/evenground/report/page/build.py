"""Everything the page says, gathered from the files of the earlier stages, and the page written from it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from evenground.analysis.captions import HEADINGS
from evenground.analysis.environment import read_environment
from evenground.analysis.index import Index, WantedRun, read_index
from evenground.analysis.runs import Run, read_runs
from evenground.files import read_json, write_text
from evenground.report.page.deviations import deviations
from evenground.report.page.prose import paragraphs
from evenground.report.page.steps import steps
from evenground.report.page.tables import Table, page_table
from evenground.report.page.verdicts import COLUMNS, read_verdicts

PACKAGE, PAGE = "evenground.report.page", "page.html.j2"


@dataclass(frozen=True)
class Picture:
    """A figure with its caption, its SVG and the CSV of what it shows."""

    name: str
    title: str
    caption: str
    svg: str
    csv: str


def write_page(
    where: Path, results: Path, to: Path, command: str | None = None, redrawn_by: str | None = None
) -> None:
    """Write the page of the index file at `where` to the file `to`.

    `results` is the folder with its tables, figures and verdicts; `command` had all of it made, `redrawn_by`
    is that of a replay. Raises EvengroundError when one of them, the index or a run is missing or broken.
    """
    index = read_index(where)
    runs = {run.wanted: run for run in read_runs(index)}
    context: dict[str, Any] = {
        "index": index,
        "verdicts": read_verdicts(results / "verdicts.json"),
        "columns": COLUMNS,
        "tables": _tables(results / "tables"),
        "figures": pictures(results / "figures"),
        "environments": _environments(index, runs),
        "deviations": [paragraphs(line) for line in deviations(index)],
        "steps": steps(index, runs, command, redrawn_by),
    }
    render(PAGE, context, to)


def render(template: str, context: dict[str, Any], to: Path, package: str = PACKAGE) -> None:
    """Write the page of a template of this package, or of another one that takes parts of this one's."""
    html = _environment(package).get_template(template).render(context)
    write_text(to, html)


def _environment(package: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(name, ".") for name in dict.fromkeys((package, PACKAGE))]
        ),
        autoescape=select_autoescape(default=True, default_for_string=True, disabled_extensions=()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"paragraphs": paragraphs, "data_uri": data_uri}
    return environment


def data_uri(text: str, kind: str) -> str:
    """`text` as an address that holds its own content: the page needs no file beside it."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode('ascii')}"


def _tables(folder: Path) -> list[Table]:
    """All tables but that of the verdicts, which are shown by themselves; in the order of the headings."""
    there = {path.stem for path in folder.glob("*.csv")} - {"verdicts"}
    return [
        page_table(folder, name)
        for name in (*HEADINGS, *sorted(there - HEADINGS.keys()))
        if name in there
    ]


def pictures(folder: Path) -> list[Picture]:
    """The figures of `figures.json` whose files are there: a bundle has none with a dataset's images."""
    found = []
    for entry in read_json(folder / "figures.json"):
        svg, csv = (folder / f"{entry['name']}.{form}" for form in ("svg", "csv"))
        if svg.is_file() and csv.is_file():
            texts = (path.read_text(encoding="utf-8") for path in (svg, csv))
            found.append(Picture(entry["name"], entry["title"], entry["caption"], *texts))
    return found


def _environments(index: Index, runs: dict[WantedRun, Run]) -> list[tuple[str, Any, int]]:
    """Per engine: its label, the environment of its first run and how many runs had another one."""
    found = []
    for engine in index.engines:
        mine = [
            read_environment(run) for wanted, run in runs.items() if wanted.engine == engine.name
        ]
        made_with = [(one.libraries, one.git, one.image) for one in mine]
        if mine:
            found.append((engine.label, mine[0], sum(other != made_with[0] for other in made_with)))
    return found
