"""Made parts of an experiment, each with its runs and all that the pipeline draws of them."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.synthetic import Made, MadeResults, write_results
from evenground.analysis.measured import read_measured
from evenground.analysis.write import write_normalised, write_tables
from evenground.bundle.replay import redraw
from evenground.claims.model import read_claims
from evenground.claims.write import write_verdicts
from evenground.records.index import read_index
from evenground.report.page.build import write_page

ROOT = Path(__file__).parents[1]
# Machine and settings of a part, dataset, engine, repetition -> the run.
Make = Callable[[str, Mapping[str, Any], str, str, int], Made]
Lost = dict[tuple[str, str, int], tuple[str, str | None]]


def write_parts(
    root: Path,
    machines: Sequence[str],
    settings: Sequence[Mapping[str, Any]],
    make: Make,
    lost: Mapping[str, Lost] | None = None,
    figures: bool = False,
    **made: Any,
) -> Path:
    """Write every machine with every setting as a part below `root`; the path of parts.json.

    `lost` maps the name of a part to what did not finish in it, `figures`: whether those of parts are drawn,
    `made` are further fields of `MadeResults`.
    """
    planned = []
    for machine in machines:
        for values in settings:
            name = "_".join([machine, *(f"{key}-{value}" for key, value in values.items())])
            folder = f"results/native/parts/{name}"
            results = MadeResults(
                folder=folder,
                machine=machine,
                gpu="-nogpu-" not in machine,
                parameters=dict(values),
                make=functools.partial(_run, make, machine, values),
                lost=(lost or {}).get(name, {}),
                **made,
            )
            draw(write_results(root, results), figures)
            planned.append(
                {"name": name, "folder": folder, "machine": machine, "settings": dict(values)}
            )
    swept = list(settings[0])
    content = {
        "schema": 1,
        "deployment": "native",
        "swept": swept,
        "machines": list(machines),
        "parts": planned,
    }
    where = root / "results/native/parts.json"
    where.write_text(json.dumps(content))
    return where


def _run(
    make: Make,
    machine: str,
    values: Mapping[str, Any],
    dataset: str,
    engine: str,
    repetition: int,
    gpu: bool,
) -> Made:
    return make(machine, values, dataset, engine, repetition)


def draw(where: Path, figures: bool) -> None:
    """All that the pipeline draws of one index, beside it; figures, which take longest, where asked for."""
    index, to, source = read_index(where), where.parent, read_claims(ROOT)
    if figures:
        redraw(index, where, to, source)
        return
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    measured = read_measured(index, to / "normalised", to / "tables/quality.csv")
    write_verdicts(index, measured, source, tables=to / "tables", record=to / "verdicts.json")
    (to / "figures").mkdir()
    (to / "figures/figures.json").write_text("[]")
    write_page(where, to, to / "report.html")


def copied_part(where: Path, part: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """A copy of a part that says other settings of itself, to be named in parts.json."""
    root, name = where.parents[2], "_".join(f"{key}-{value}" for key, value in settings.items())
    folder = f"results/native/parts/{part['machine']}_{name}"
    shutil.copytree(root / part["folder"], root / folder)
    index = json.loads((root / folder / "index.json").read_text())
    index["parameters"] |= settings
    (root / folder / "index.json").write_text(json.dumps(index))
    return {**part, "folder": folder, "name": Path(folder).name, "settings": settings}
