"""A training's CPUs, read before it and after it."""

from __future__ import annotations

from pathlib import Path

from evenground.cpus.choice import Choice
from evenground.cpus.frequency import read_settings
from evenground.cpus.heat import heat_between, read_heat
from evenground.cpus.quota import read_quota, read_waits, waits_between
from evenground.cpus.sysfs import SYSTEM
from evenground.records.cpus import CpuRecord
from evenground.sidecar.cpus import list_text


class Watch:
    """Readings at the begin of a training, for comparison with those at its end."""

    def __init__(self, choice: Choice, system: Path = SYSTEM) -> None:
        self._choice, self._system = choice, system
        self._heat = read_heat(choice, system)
        self._settings, self._no_settings = read_settings(choice.chosen, system)
        self._waits = read_waits(system)

    def end(self) -> CpuRecord:
        """Read everything again and return the complete record."""
        choice, system = self._choice, self._system
        heat, no_heat = heat_between(choice, self._heat, read_heat(choice, system))
        settings, no_settings = read_settings(choice.chosen, system)
        periods, seconds, no_waits = waits_between(self._waits, read_waits(system))
        quota, no_quota = read_quota(system)
        missing = {**choice.missing, **no_heat, **self._no_settings, **no_settings}
        missing |= {"waited": no_waits, "quota": no_quota}
        return CpuRecord(
            threads_asked=choice.asked,
            n_usable=len(choice.usable),
            chosen=list_text(choice.chosen),
            n_chosen=len(choice.chosen),
            cores=choice.differ_in("core"),
            packages=choice.differ_in("package"),
            nodes=choice.differ_in("node"),
            kinds=_kinds(choice),
            shared=choice.n_shared,
            slower=choice.n_slower,
            quota=quota,
            heat=heat,
            waited_periods=periods,
            waited_s=seconds,
            settings_before=self._settings,
            settings_after=settings,
            missing={name: reason for name, reason in missing.items() if reason},
        )


def _kinds(choice: Choice) -> int | None:
    if "kinds" in choice.missing:
        return None
    return choice.differ_in("kind")
