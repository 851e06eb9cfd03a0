"""The result of one preflight check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error"]
# The marks that preflight prints.
MARKS = {"ok": "ok", "warning": "!", "error": "NO"}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    `error`: the configured experiment cannot run; `warning`: it can, but read this first.
    """

    what: str
    """Name of the check, e.g. `GPU memory`."""
    state: State
    seen: str
    fix: str = ""
    flags_runs: bool = False
    """Whether every run will be flagged for this, so that the gate prints it, too."""

    def line(self) -> str:
        """Return the finding as one line for a terminal."""
        fix = ""
        if self.fix:
            fix = f" -> {self.fix}"
        return f"{MARKS[self.state]:>3}  {self.what}: {self.seen}{fix}"


def ok(what: str, seen: str) -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding(what=what, state="ok", seen=seen)


def warning(what: str, seen: str, fix: str, flags_runs: bool = False) -> Finding:
    """Return a finding that does not keep the experiment from running."""
    return Finding(what=what, state="warning", seen=seen, fix=fix, flags_runs=flags_runs)


def error(what: str, seen: str, fix: str) -> Finding:
    """Return a finding with which the experiment cannot run."""
    return Finding(what=what, state="error", seen=seen, fix=fix)


def passed(findings: Iterable[Finding]) -> bool:
    """Return whether no finding is an error."""
    return all(finding.state != "error" for finding in findings)
