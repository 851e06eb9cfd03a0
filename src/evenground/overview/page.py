"""The overview's page: what was swept, the curves, every part with a link to its own report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evenground.overview.parts import Part, Parts, Value
from evenground.records.verdicts import Verdicts
from evenground.report.page.build import pictures, render
from evenground.report.page.tables import page_table
from evenground.report.page.verdicts import COLOURS

PAGE, TEMPLATE = "report.html", "overview.html.j2"
# In the page itself; what is longer than this is folded. The other tables are linked.
SHOWN = (
    "engines_by_machine",
    "ratios_by_machine",
    "agreement",
    "scaling",
    "training_time",
    "time_ratio",
)
MAX_ROWS = 40


@dataclass(frozen=True)
class Row:
    """One part in the page's table of parts.

    `verdicts`: verdict -> how many, of the corrected instrument. `demonstrations` are none of them.
    """

    lead: tuple[Value, ...]
    finished: int
    wanted: int
    verdicts: tuple[tuple[str, int], ...]
    demonstrations: int
    link: str


def write_overview(parts: Parts, tables: Sequence[str], to: Path) -> None:
    """Write `report.html` into the folder `to`, which holds the overview's tables and figures.

    `tables` names all of them. Raises EvengroundError when one of its files, or a part's report, is missing.
    """
    context = {
        "parts": parts,
        "values": _values(parts),
        "heads": (*parts.leading, "finished", "wanted", "verdicts", "demonstrations", "report"),
        "rows": [_row(parts, part, to) for part in parts.parts],
        "figures": pictures(to / "figures"),
        "tables": [
            page_table(to / "tables", name, parts.leading) for name in SHOWN if name in tables
        ],
        "others": [name for name in tables if name not in SHOWN],
        "most_rows": MAX_ROWS,
    }
    render(TEMPLATE, context, to / PAGE, "evenground.overview")


def _values(parts: Parts) -> list[tuple[str, list[Value]]]:
    """The swept parameters with their values, in the order of the plan."""
    return [
        (name, list(dict.fromkeys(part.settings[name] for part in parts.parts)))
        for name in parts.swept
    ]


def _row(parts: Parts, part: Part, to: Path) -> Row:
    rows = Verdicts.read(part.file("verdicts.json")).verdicts
    counts = Counter(row.reading for row in rows if row.kind == "verdict")
    return Row(
        lead=tuple(parts.lead(part).values()),
        finished=len(part.index.finished),
        wanted=len(part.index.runs),
        verdicts=tuple((verdict, counts[verdict]) for verdict in COLOURS if counts[verdict]),
        demonstrations=sum(row.kind == "demonstration" for row in rows),
        link=Path(os.path.relpath(part.file(PAGE), to)).as_posix(),
    )
