"""The extra trainings that explain idle time, for the rules that make them and their table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from evenground.explain.places import explained_file, explained_runs
from evenground.records.plan import Run
from evenground.runs.study import Study


@dataclass(frozen=True)
class Explained:
    """The extra trainings of an invocation, one per engine and dataset of each condition."""

    study: Study | None
    """None in a job on another machine, which makes none."""

    def files(self, wildcards: Any) -> list[str]:
        """The files that the extra trainings leave."""
        if self.study is None:
            return []
        return [str(explained_file(self.study.results, run)) for _, run in self._runs()]

    def options(self, wildcards: Any) -> list[str]:
        """What the table needs to know of each of them, in the same order."""
        return [f"--condition={name}" for name, _ in self._runs()]

    def _runs(self) -> Iterator[tuple[str, Run]]:
        """The name of its condition, and the run, of each: a recorded class is not trained here."""
        for condition in self.study.conditions if self.study else ():
            if condition.plan.trains:
                for run in explained_runs(condition.plan):
                    yield condition.name, run
