"""A training's CPUs, looked at before it and after it."""

from __future__ import annotations

from pathlib import Path

from evenground.cpus.choice import Choice
from evenground.cpus.frequency import read_settings
from evenground.cpus.heat import Counts, heat_between, read_heat
from evenground.cpus.quota import (
    Groups,
    WaitCounts,
    find_groups,
    read_quota,
    read_waits,
    waits_between,
)
from evenground.cpus.record import CpuRecord
from evenground.cpus.sysfs import SYSTEM, Unknown, list_text


class Watch:
    """Readings at the beginning of a training, to be compared with those at its end."""

    def __init__(self, choice: Choice, system: Path = SYSTEM) -> None:
        self._choice, self._system = choice, system
        self._heat: Counts = read_heat(choice, system)
        self._settings, self._no_settings = read_settings(choice.chosen, system)
        self._waits, self._no_waits = _read_waits(system)

    def end(self) -> CpuRecord:
        """Read everything again; the whole record."""
        choice, system = self._choice, self._system
        heat, no_heat = heat_between(choice, self._heat, read_heat(choice, system), system)
        settings, no_settings = read_settings(choice.chosen, system)
        waits, no_waits = _read_waits(system)
        waited, no_waited = waits_between(self._waits, waits)
        quota, no_quota = _quota(system)
        missing = {
            **choice.missing,
            **no_heat,
            **self._no_settings,
            **no_settings,
            "waited": self._no_waits or no_waits or no_waited,
            "quota": no_quota,
        }
        return CpuRecord(
            threads_asked=choice.asked,
            n_usable=len(choice.usable),
            chosen=list_text(choice.chosen),
            n_chosen=len(choice.chosen),
            cores=choice.differ_in(lambda place: place.core),
            packages=choice.differ_in(lambda place: place.package),
            nodes=choice.differ_in(lambda place: place.node),
            kinds=None if "kinds" in choice.missing else choice.differ_in(lambda place: place.kind),
            shared=choice.n_shared,
            slower=choice.n_slower,
            quota=quota,
            heat=heat,
            waited_periods=waited.periods if waited else None,
            waited_s=waited.seconds if waited else None,
            settings_before=self._settings,
            settings_after=settings,
            missing={name: reason for name, reason in missing.items() if reason},
        )


def _groups(system: Path) -> Groups | str:
    try:
        return find_groups(system)
    except Unknown as error:
        return str(error)


def _read_waits(system: Path) -> tuple[WaitCounts, str]:
    groups = _groups(system)
    return (WaitCounts({}, groups), groups) if isinstance(groups, str) else (read_waits(groups), "")


def _quota(system: Path) -> tuple[float | None, str]:
    groups = _groups(system)
    return (None, groups) if isinstance(groups, str) else read_quota(groups)
