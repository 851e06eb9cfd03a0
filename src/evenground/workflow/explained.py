"""The extra trainings that explain idle time, for the rules that make them and their table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evenground.explain.places import FOLDER, explained_file, explained_runs
from evenground.runs.study import Part, Study


@dataclass(frozen=True)
class Explained:
    """The extra trainings of an invocation, one per engine and dataset of each part."""

    study: Study | None
    """None in a job on another machine, which makes none."""

    @property
    def parts(self) -> list[Part]:
        """The parts on this class of machine: a recorded class is not trained here."""
        parts = self.study.parts if self.study else ()
        return [part for part in parts if part.plan.trains]

    def of_part(self, wildcards: Any) -> list[str]:
        """The files that the extra trainings of a part leave."""
        return [file for part in self.parts if part.name == wildcards.part for file in _files(part)]

    def all(self, wildcards: Any) -> list[str]:
        """Those of all parts."""
        return [file for part in self.parts for file in _files(part)]

    def tables(self, wildcards: Any) -> list[str]:
        """The table of each part."""
        return [str(part.results / FOLDER / "idle_causes.md") for part in self.parts]


def _files(part: Part) -> list[str]:
    return [str(explained_file(part.results, run)) for run in explained_runs(part.plan)]
