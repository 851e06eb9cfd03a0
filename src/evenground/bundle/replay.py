"""Redrawing everything from recorded runs, and comparing it with what was published."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from evenground.analysis.measured import read_measured
from evenground.analysis.normalise import write_normalised
from evenground.analysis.write import write_tables
from evenground.bundle.unpack import blamed_on, unpack
from evenground.claims.model import Source, read_claims
from evenground.claims.write import write_verdicts
from evenground.errors import EvengroundError
from evenground.records.index import Index, read_index
from evenground.report.draw import draw_all
from evenground.report.material import read_report_data
from evenground.report.page.build import write_page

PAGE = "report.html"
REDRAWN = "redrawn"
MAX_NAMES = 5


@dataclass(frozen=True)
class Comparison:
    """Sorted names of files, relative to both folders."""

    same: tuple[str, ...]
    """The same bytes in both."""
    other: tuple[str, ...]
    """Other bytes than published."""
    lost: tuple[str, ...]
    """Published, but not redrawn."""
    new: tuple[str, ...]
    """Redrawn, but not published: an older version did not write them."""

    @property
    def differing(self) -> tuple[str, ...]:
        """All published files that are not the same bytes now."""
        return self.other + self.lost


@dataclass(frozen=True)
class Replayed:
    """What a bundle holds, and what became of it."""

    index: Index
    figures: list[str]
    compared: Comparison


def replay(bundle: Path, to: Path, root: Path, command: str) -> Replayed:
    """Unpack a bundle into the new folder `to`, and redraw it there in `redrawn/`.

    Claims are those of the working copy `root`; the page names the `command`. Raises EvengroundError
    for a bundle that is broken or no bundle, and leaves nothing of it.
    """
    where = unpack(bundle, to)
    redrawn = to / REDRAWN
    try:
        with blamed_on(bundle, to):
            # A file of the bundle must not be taken for one that is drawn here.
            if redrawn.exists():
                what = "it holds files where a replay draws"
                raise EvengroundError(what, str(redrawn), "take another bundle")
            index = read_index(where)
            figures = redraw(index, where, redrawn, read_claims(root), redrawn_by=command)
    except EvengroundError:
        shutil.rmtree(to)
        raise
    compared = compare_tables(where.parent, redrawn)
    return Replayed(index=index, figures=figures, compared=compared)


def refuse_differing(compared: Comparison, bundle: Path, to: Path) -> None:
    """Raises EvengroundError if what was redrawn in `to` is not as the bundle has it."""
    differing = compared.differing
    if not compared.same + differing:
        what = "it holds no table to compare with"
        raise EvengroundError(what, str(bundle), "take the redrawn ones")
    if differing:
        listed = ", ".join(differing[:MAX_NAMES])
        if len(differing) > MAX_NAMES:
            listed += f" and {len(differing) - MAX_NAMES} more"
        what = f"{len(differing)} files are not as published: {listed}"
        fix = (
            "compare results/ with redrawn/ there; other versions of evenground may draw otherwise"
        )
        raise EvengroundError(what, str(to), fix)


def redraw(
    index: Index,
    where: Path,
    to: Path,
    source: Source,
    command: str | None = None,
    redrawn_by: str | None = None,
) -> list[str]:
    """Write everything that follows from the index file at `where` into the folder `to`.

    Normalised frames, tables, metrics, figures, the verdicts on the claims of `source`, and the
    page, which names the `command` that made it, or the replay `redrawn_by`. Returns the names of
    the figures. Raises EvengroundError if a run cannot be read.
    """
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    measured = read_measured(index, to / "normalised", to / "tables" / "quality.csv")
    write_verdicts(index, measured, source, to / "tables", to / "verdicts.json")
    data = read_report_data(where, to / "normalised", to / "tables")
    names = draw_all(data, to / "figures")
    write_page(where, to, to / PAGE, command, redrawn_by)
    return names


def compare_tables(published: Path, redrawn: Path) -> Comparison:
    """Compare every table, metrics, verdicts and the data behind every figure, byte by byte."""
    before, after = _names(published), _names(redrawn)
    both = before & after
    same = {
        name for name in both if (published / name).read_bytes() == (redrawn / name).read_bytes()
    }
    return Comparison(
        same=tuple(sorted(same)),
        other=tuple(sorted(both - same)),
        lost=tuple(sorted(before - after)),
        new=tuple(sorted(after - before)),
    )


def _names(folder: Path) -> set[str]:
    names = set()
    for pattern in ("tables/*", "metrics.json", "verdicts.json", "figures/*.csv"):
        for file in folder.glob(pattern):
            names.add(file.relative_to(folder).as_posix())
    return names
