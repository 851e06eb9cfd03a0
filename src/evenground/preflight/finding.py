"""One thing that preflight looked at: whether it is there, what was seen, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "lack"]
MARKS = {"ok": "ok", "warning": "!", "lack": "NO"}


@dataclass(frozen=True)
class Finding:
    """`lack`: the configured experiment cannot run; `warning`: it can, but read this first."""

    what: str
    state: State
    seen: str
    fix: str = ""
    flags_runs: bool = False
    """Whether what was seen will be a finding of every run, so that the gate says it, too."""

    def line(self) -> str:
        """For a terminal."""
        fix = f" -> {self.fix}" if self.fix else ""
        return f"{MARKS[self.state]:>3}  {self.what}: {self.seen}{fix}"


def passed(findings: list[Finding]) -> bool:
    """Whether nothing is lacking."""
    return all(finding.state != "lack" for finding in findings)
