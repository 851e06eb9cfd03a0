"""The page: what it shows is gathered from the files of the earlier stages."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

from evenground.analysis.captions import HEADINGS
from evenground.analysis.environment import card_of, read_environment
from evenground.analysis.runs import Run, read_runs
from evenground.files import read_json, write_text
from evenground.records.index import Index, WantedRun, read_index
from evenground.report.page.deviations import deviations
from evenground.report.page.prose import paragraphs
from evenground.report.page.steps import steps
from evenground.report.page.tables import Table, page_table
from evenground.report.page.verdicts import COLUMNS, read_verdicts

PACKAGE, PAGE = "evenground.report.page", "page.html.j2"


@dataclass(frozen=True)
class Picture:
    """A figure with its caption, its SVG and its data as CSV."""

    name: str
    title: str
    caption: str
    svg: str
    csv: str


def write_page(
    where: Path, results: Path, to: Path, command: str | None = None, redrawn_by: str | None = None
) -> None:
    """Write the page of the index file at `where` to the file `to`.

    `results` is the folder with its tables, figures and verdicts. `command` made them; `redrawn_by`
    is the command of a replay. Raises EvengroundError if the index, a run or a file in `results` is
    missing or broken.
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
    """Write the page of a template of this package, or of one that includes its templates."""
    html = _environment(package).get_template(template).render(context)
    write_text(to, html)


def _environment(package: str) -> Environment:
    own, shared = PackageLoader(package, "."), PackageLoader(PACKAGE, ".")
    environment = Environment(
        loader=ChoiceLoader([own, shared]),
        # Labels and reasons may come from another's bundle: every value is escaped.
        autoescape=select_autoescape(default=True, default_for_string=True, disabled_extensions=()),
        # A misspelt name in a template is an error, not an empty text.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"paragraphs": paragraphs, "data_uri": data_uri}
    return environment


def data_uri(text: str, kind: str) -> str:
    """`text` as a data URI of the MIME type `kind`: the page needs no file beside it."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode('ascii')}"


def _tables(folder: Path) -> list[Table]:
    """All tables in the order of the headings; the verdicts have a section of their own."""
    names = {path.stem for path in folder.glob("*.csv")} - {"verdicts"}
    others = sorted(names - HEADINGS.keys())
    return [page_table(folder, name) for name in list(HEADINGS) + others if name in names]


def pictures(folder: Path) -> list[Picture]:
    """The figures of `figures.json` whose files exist: a bundle leaves out a dataset's images."""
    figures = []
    for entry in read_json(folder / "figures.json"):
        svg = folder / f"{entry['name']}.svg"
        csv = folder / f"{entry['name']}.csv"
        if svg.is_file() and csv.is_file():
            picture = Picture(
                name=entry["name"],
                title=entry["title"],
                caption=entry["caption"],
                svg=svg.read_text(encoding="utf-8"),
                csv=csv.read_text(encoding="utf-8"),
            )
            figures.append(picture)
    return figures


def _environments(
    index: Index, runs: dict[WantedRun, Run]
) -> list[tuple[str, Any, dict[str, str], int]]:
    """Per engine: label, environment and card of its first run, and how many runs had another."""
    environments = []
    for engine in index.engines:
        recorded = [
            read_environment(run) for wanted, run in runs.items() if wanted.engine == engine.name
        ]
        if recorded:
            made_with = [(each.libraries, each.git, each.image) for each in recorded]
            others = sum(other != made_with[0] for other in made_with)
            environments.append((engine.label, recorded[0], card_of(recorded[0]), others))
    return environments
