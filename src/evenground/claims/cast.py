"""Who plays the roles of a claim in an experiment, and what that lacks to judge it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from evenground.analysis.index import Index
from evenground.claims.estimators import Arguments
from evenground.claims.model import Claim, Claims
from evenground.errors import EvengroundError
from evenground.validation import did_you_mean

# The parameter that is not taken by what was asked for: engines say what they computed on.
ACCELERATOR = "accelerator"


@dataclass(frozen=True)
class Cast:
    """The engines and datasets of an index in the roles and as the datasets of the claims."""

    index: Index
    claims: Claims

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Role or dataset of a claim -> the engine or dataset that plays it."""
        return self.index.report.stand_ins

    def engine(self, role: str) -> str:
        """The engine that plays a role."""
        return self.stand_ins.get(role, self.claims.roles[role])

    def dataset(self, name: str) -> str:
        """The dataset of the index that stands for one of the claims."""
        return self.stand_ins.get(name, name)

    def demonstration(self, given: Arguments, computed_on: Collection[str]) -> str:
        """What makes a verdict a demonstration: stand-ins, and another protocol than the claimed one.

        So do options that are not an engine's usual ones; of an arm they are what it is for. `computed_on`:
        kinds of devices of the runs behind it, but for arms without a GPU by design.
        """
        usual = {role: self.claims.roles[role] for role in given.roles} | {
            n: n for n in given.datasets
        }
        acting = {name: self.stand_ins.get(name, own) for name, own in usual.items()}
        words = [f"{player} as {name}" for name, player in acting.items() if player != usual[name]]
        changed = [
            f"{engine.name} with {name} {value}"
            for engine in self.index.main
            if engine.name in acting.values()
            for name, value in engine.options.items()
        ]
        return "; ".join([*words, *changed, *self._other_protocol(computed_on)])

    def _other_protocol(self, computed_on: Collection[str]) -> list[str]:
        claimed, asked = self.claims.protocol, self.index.parameters
        words = [
            f"{name} {asked[name]} instead of {value}"
            for name, value in claimed.items()
            if name != ACCELERATOR and name in asked and asked[name] != value
        ]
        if ACCELERATOR in claimed and set(computed_on) - {claimed[ACCELERATOR]}:
            devices = " and ".join(sorted(computed_on))
            words.append(f"{ACCELERATOR} {devices} instead of {claimed[ACCELERATOR]}")
        return words

    def lacks(self, claim: Claim) -> str:
        """Why the experiment cannot judge the claim, before any run is read; empty where it may."""
        if claim.arguments is None:
            return f"column not measured: {claim.untestable}"
        return self._absent(claim.arguments, claim.needs.arm)

    def _absent(self, given: Arguments, arm: str | None) -> str:
        engines = {engine.name for engine in self.index.engines}
        datasets = {dataset.name for dataset in self.index.datasets}
        left_out = {engine.name: engine.reason for engine in self.index.absent}
        for role in given.roles:
            player = self.engine(role)
            if player in left_out:
                return f"engine {player} not installed: {left_out[player]}"
            if player not in engines:
                return f"{'arm' if role == arm else 'engine'} absent: {player}"
        for name in given.datasets:
            if self.dataset(name) not in datasets:
                return f"no finished runs: {self.dataset(name)} is no dataset of the experiment"
        return ""


def make_cast(index: Index, claims: Claims) -> Cast:
    """Raises EvengroundError for a stand-in of an unknown role or dataset, or by an unknown one."""
    # One that is not installed here is known all the same: its claims say so.
    engines = [engine.name for engine in index.engines] + [engine.name for engine in index.absent]
    datasets = [dataset.name for dataset in index.datasets]
    for name, player in index.report.stand_ins.items():
        known = [*claims.roles, *claims.datasets]
        if name not in known:
            hint = did_you_mean(name, known)
            raise EvengroundError(f"unknown role or dataset '{name}'", "stand_ins", hint)
        players = engines if name in claims.roles else datasets
        if player not in players:
            what = f"'{player}' cannot stand in for '{name}'"
            raise EvengroundError(what, "stand_ins", f"the experiment has: {', '.join(players)}")
    return Cast(index, claims)
