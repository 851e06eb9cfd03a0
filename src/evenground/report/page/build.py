"""The page: what it shows is gathered from the files of the earlier stages."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from evenground.analysis.environment import card_of, read_environment
from evenground.analysis.experiment import Experiment, alone, name_of
from evenground.analysis.runs import all_runs, read_runs
from evenground.analysis.sentences import answers
from evenground.analysis.table import read_table
from evenground.analysis.tables import TABLES
from evenground.files import read_bytes, read_json, write_text
from evenground.records.environment import Environment as Recorded
from evenground.records.index import Condition, Index, read_index
from evenground.report.draw import MAX_DETAILED
from evenground.report.page.deviations import deviations
from evenground.report.page.prose import inline, paragraphs
from evenground.report.page.steps import steps
from evenground.report.page.tables import PageTable, page_table
from evenground.report.page.verdicts import COLUMNS, Verdicts, read_verdicts

PACKAGE, PAGE = "evenground.report.page", "page.html.j2"
# Signs that a data URI and an attribute hold as they are.
PLAIN = " !$()*+,-./:;=?@_"
ANSWER = "answer"
SECTIONS = {
    "answer": "Answer",
    "conditions": "Conditions",
    "timelines": "Over time",
    "claims": "Claims",
    "tables": "Tables",
    "figures": "Figures",
    "runs": "Runs",
    "environment": "Environment",
    "deviations": "Deviations",
    "again": "Do it again",
}
# Empty where no condition has one to be compared with.
OF_PEERS = {"across", "agreement"}


@dataclass(frozen=True)
class Section:
    """A condition on the page."""

    name: str
    """What tells it from others, in links; empty for a single one."""
    lead: list[str]
    """The same for readers, the values of what differs."""
    condition: Condition
    verdicts: Verdicts


def write_page(
    where: Path, results: Path, to: Path, command: str | None = None, redrawn_by: str | None = None
) -> None:
    """Write the page of the index file at `where` to the file `to`.

    `results` is the folder with its tables, figures and verdicts. `command` made them; `redrawn_by`
    is the command of a replay. Raises EvengroundError if the index, a run or a file in `results` is
    missing or broken.
    """
    index = read_index(where)
    experiment = alone(index)
    runs = {run.wanted: run for run in all_runs(index)}
    sections = _sections(experiment, read_verdicts(results / "verdicts.json"))
    detailed = sections if len(sections) <= MAX_DETAILED else []
    left_out = set() if experiment.peers else OF_PEERS
    if detailed:
        # They have a section of their own.
        left_out = left_out | {"verdicts"}
    answer = read_table(results / "tables", ANSWER)
    tables = _tables(results / "tables", left_out)
    drawn = pictures(results / "figures")
    timelines = [picture for picture in drawn if picture["place"] == "timelines"]
    context: dict[str, Any] = {
        "answers": answers(experiment, answer.rows),
        "answer": next(table for table in tables if table.name == ANSWER),
        "index": index,
        "main": [engine for engine in index.engines if engine.arm_of is None],
        "absent": _absent(index),
        "differing": experiment.differing,
        "sections": sections,
        "detailed": detailed,
        "columns": COLUMNS,
        "parameters": _parameters(index),
        "tables": [table for table in tables if table.name != ANSWER],
        "figures": drawn,
        "timelines": timelines,
        "links": _links(experiment, bool(timelines), bool(detailed)),
        "environments": _environments(index),
        "deviations": [paragraphs(line) for line in deviations(index)],
        "steps": steps(runs, command, redrawn_by),
    }
    write_text(to, _environment().get_template(PAGE).render(context))


def _links(experiment: Experiment, timelines: bool, detailed: bool) -> list[tuple[str, str]]:
    """Id and name of the sections that the page has, in their order."""
    wanted = {
        "conditions": len(experiment.conditions) > 1,
        "timelines": timelines,
        "claims": detailed,
    }
    return [(id_, name) for id_, name in SECTIONS.items() if wanted.get(id_, True)]


def _sections(experiment: Experiment, verdicts: Sequence[Verdicts]) -> list[Section]:
    sections = []
    for placed, of_condition in zip(experiment.conditions, verdicts, strict=True):
        section = Section(
            name=name_of(placed, experiment),
            lead=[str(placed.lead[name]) for name in experiment.differing],
            condition=placed.condition,
            verdicts=of_condition,
        )
        sections.append(section)
    return sections


def _absent(index: Index) -> list[tuple[str, str]]:
    """Label and reason of the engines that are not installed on a machine, each once."""
    absent = []
    for condition in index.conditions:
        for engine in condition.absent:
            label = engine.label
            if len(index.machines) > 1:
                label += f" on {condition.machine.class_name}"
            absent.append((label, engine.reason))
    return list(dict.fromkeys(absent))


def _parameters(index: Index) -> dict[str, str]:
    """Parameter -> its value, or all of its values."""
    values: dict[str, list[str]] = {}
    for condition in index.conditions:
        for name, value in condition.parameters:
            values.setdefault(name, []).append(str(value))
    return {name: ", ".join(dict.fromkeys(of_name)) for name, of_name in values.items()}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(PACKAGE, "."),
        # Labels and reasons may come from another's bundle: every value is escaped.
        autoescape=select_autoescape(default=True, default_for_string=True, disabled_extensions=()),
        # A misspelt name in a template is an error, not an empty text.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"paragraphs": paragraphs, "inline": inline, "data_uri": data_uri}
    return environment


def data_uri(text: str, kind: str) -> str:
    """`text` as a data URI of the MIME type `kind`: the page needs no file beside it."""
    # Shorter than base64: most signs of numbers and outlines stand for themselves.
    return f"data:{kind},{quote(text, safe=PLAIN)}"


def _tables(folder: Path, left_out: Set[str]) -> list[PageTable]:
    """All tables but those left out, those of the analysis in their order."""
    names = {path.stem for path in folder.glob("*.csv")} - left_out
    others = sorted(names - TABLES.keys())
    return [page_table(folder, name) for name in list(TABLES) + others if name in names]


def pictures(folder: Path) -> list[dict[str, str]]:
    """The entries of `figures.json`, each with its `svg` and its data as `csv`.

    Raises EvengroundError for a file that is missing.
    """
    figures = []
    for entry in read_json(folder / "figures.json"):
        svg = read_bytes(folder / f"{entry['name']}.svg").decode()
        csv = read_bytes(folder / f"{entry['name']}.csv").decode()
        # A line's end would need three signs.
        figures.append(entry | {"svg": " ".join(svg.split()), "csv": csv})
    return figures


def _environments(index: Index) -> list[tuple[str, Any, dict[str, str], int]]:
    """Per engine and machine: label, environment and card of its first run, and other runs.

    The last is how many of its runs had other libraries, code or another image than the first.
    """
    recorded: dict[tuple[str, str], list[Recorded]] = {}
    labels = {engine.name: engine.label for engine in index.engines}
    for condition in index.conditions:
        for run in read_runs(condition):
            key = labels[run.wanted.engine], condition.machine.class_name
            recorded.setdefault(key, []).append(read_environment(run))
    environments = []
    for (label, machine), of_engine in recorded.items():
        if len(index.machines) > 1:
            label = f"{label}, {machine}"
        made_with = [(each.libraries, each.git, each.image) for each in of_engine]
        others = sum(other != made_with[0] for other in made_with)
        environments.append((label, of_engine[0], card_of(of_engine[0]), others))
    return environments
