"""Drawing everything anew from recorded runs, and what came out otherwise than it was published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenground.analysis.index import Index
from evenground.analysis.write import write_normalised, write_tables
from evenground.report.draw import draw_all
from evenground.report.material import read_material


@dataclass(frozen=True)
class Comparison:
    """Names of files, relative to both folders: the same bytes in both, other bytes, only one has it."""

    same: tuple[str, ...]
    other: tuple[str, ...]
    lone: tuple[str, ...]

    @property
    def differing(self) -> tuple[str, ...]:
        """All that is not the same bytes in both."""
        return self.other + self.lone


def redraw(index: Index, where: Path, to: Path) -> list[str]:
    """Write normalised frames, tables, metrics and figures of the index file at `where` into the folder `to`.

    Returns the names of the figures. Raises EvengroundError when a run cannot be read.
    """
    write_normalised(index, to / "normalised")
    write_tables(index, to / "normalised", to / "tables", to / "metrics.json")
    return draw_all(read_material(where, to / "normalised", to / "tables"), to / "figures")


def compare_tables(published: Path, redrawn: Path) -> Comparison:
    """Every table, the metrics and the data behind every figure, byte by byte.

    Figures of a dataset's images have no such file in a bundle: they are not compared.
    """
    names = {*_names(published), *_names(redrawn)}
    names = {name for name in names if not name.startswith("figures/samples_")}
    lone = {name for name in names if not ((published / name).is_file() and (redrawn / name).is_file())}
    same = {n for n in names - lone if (published / n).read_bytes() == (redrawn / n).read_bytes()}
    return Comparison(tuple(sorted(same)), tuple(sorted(names - lone - same)), tuple(sorted(lone)))


def _names(folder: Path) -> set[str]:
    files = [*folder.glob("tables/*"), *folder.glob("metrics.json"), *folder.glob("figures/*.csv")]
    return {file.relative_to(folder).as_posix() for file in files}
