"""Drawing everything anew from recorded runs, and what came out otherwise than it was published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenground.analysis.index import Index, read_index
from evenground.analysis.measured import read_measured
from evenground.analysis.runs import unreadable_runs
from evenground.analysis.write import write_normalised, write_tables
from evenground.claims.model import Source
from evenground.claims.write import write_verdicts
from evenground.files import read_json, write_json
from evenground.records.faults import unreadable
from evenground.report.draw import draw_all
from evenground.report.material import read_material
from evenground.report.page.build import write_page

PAGE = "report.html"


@dataclass(frozen=True)
class Comparison:
    """Names of files, relative to both folders: the same bytes in both, other bytes, in one of them only."""

    same: tuple[str, ...]
    other: tuple[str, ...]
    lost: tuple[str, ...]
    """Published, and not redrawn."""
    new: tuple[str, ...]
    """Redrawn, and not published: an older version did not know them."""

    @property
    def differing(self) -> tuple[str, ...]:
        """All that was published and is not the same bytes now."""
        return self.other + self.lost


def redraw(
    index: Index,
    where: Path,
    to: Path,
    source: Source,
    command: str | None = None,
    redrawn_by: str | None = None,
) -> list[str]:
    """Write all that follows from the index file at `where` into the folder `to`.

    Normalised frames, tables, metrics, figures, the verdicts on the claims of `source`, and the page with all
    of it, which says that `command` had it made, or the replay `redrawn_by`. Returns the names of the
    figures. Raises EvengroundError when a run cannot be read.
    """
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    measured = read_measured(index, to / "normalised", to / "tables" / "quality.csv")
    write_verdicts(index, measured, source, to / "tables", to / "verdicts.json")
    names = draw_all(read_material(where, to / "normalised", to / "tables"), to / "figures")
    write_page(where, to, to / PAGE, command, redrawn_by)
    return names


def set_unreadable_aside(where: Path) -> list[str]:
    """Let the index file at `where` call runs that cannot be read failed, and say which in words.

    One such run never hides the others. Raises RecordError where no run can be read.
    """
    index = read_index(where)
    errors = unreadable_runs(index)
    if errors and len(errors) == len(index.finished):
        raise next(iter(errors.values()))
    reasons = {
        (run.dataset, run.engine, run.repetition): unreadable(error)
        for run, error in errors.items()
    }
    content = read_json(where)
    for run in content["runs"]:
        reason = reasons.get((run["dataset"], run["engine"], run["repetition"]))
        if reason:
            run |= {"status": "failed", "reason": reason, "path": None, "manifest_sha256": None}
    if errors:
        write_json(where, content)
    return [f"{run.name} is drawn as failed: {unreadable(error)}" for run, error in errors.items()]


def compare_tables(published: Path, redrawn: Path) -> Comparison:
    """Every table, metrics, verdicts and the data behind every figure, byte by byte.

    Figures of a dataset's images have no such file in a bundle: they are not compared.
    """
    names = {*_names(published), *_names(redrawn)}
    names = {name for name in names if not name.startswith("figures/samples_")}
    lost = {name for name in names if not (redrawn / name).is_file()}
    new = {name for name in names if not (published / name).is_file()}
    both = names - lost - new
    same = {
        name for name in both if (published / name).read_bytes() == (redrawn / name).read_bytes()
    }
    return Comparison(*(tuple(sorted(part)) for part in (same, both - same, lost, new)))


def _names(folder: Path) -> set[str]:
    files = [
        *folder.glob("tables/*"),
        *folder.glob("metrics.json"),
        *folder.glob("verdicts.json"),
        *folder.glob("figures/*.csv"),
    ]
    return {file.relative_to(folder).as_posix() for file in files}
