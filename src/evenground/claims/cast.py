"""Which engines and datasets of an experiment play the roles of a claim, and which are missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from evenground.claims.estimators import Arguments
from evenground.claims.model import Claim, Claims
from evenground.errors import EvengroundError
from evenground.records.index import Condition
from evenground.validation import did_you_mean

ACCELERATOR = "accelerator"


@dataclass(frozen=True)
class Cast:
    """The engines and datasets of a condition in the roles and as the datasets of the claims."""

    condition: Condition
    claims: Claims

    def engine(self, role: str) -> str:
        """Return the engine that plays a role."""
        return self.condition.report.stand_ins.get(role, self.claims.roles[role])

    def dataset(self, name: str) -> str:
        """Return the dataset of the condition that stands for one of the claims."""
        return self.condition.report.stand_ins.get(name, name)

    def demonstration(self, arguments: Arguments, computed_on: Collection[str]) -> str:
        """Describe what makes a verdict a demonstration; empty if it is none.

        These are stand-ins, engines with other options than their usual ones, and parameters other
        than the claimed ones. `computed_on`: kinds of devices of the runs behind the verdict,
        without those of arms that have no GPU by design.
        """
        causes = []
        players = set()
        for role in arguments.roles:
            players.add(self.engine(role))
            if self.engine(role) != self.claims.roles[role]:
                causes.append(f"{self.engine(role)} as {role}")
        for name in arguments.datasets:
            if self.dataset(name) != name:
                causes.append(f"{self.dataset(name)} as {name}")
        # Only of main engines: options are what an arm is for.
        for engine in self.condition.main:
            if engine.name in players:
                for name, value in engine.options.items():
                    causes.append(f"{engine.name} with {name} {value}")
        causes.extend(self._other_parameters(computed_on))
        return "; ".join(causes)

    def _other_parameters(self, computed_on: Collection[str]) -> Iterator[str]:
        """Yield every parameter with another value than that of the claimed experiment."""
        parameters = dict(self.condition.parameters)
        for name, claimed in self.claims.protocol.items():
            value = parameters[name]
            if name == ACCELERATOR:
                # Not the parameter, which may be `auto`: engines report what they computed on.
                value = " and ".join(sorted(computed_on)) or claimed
            if value != claimed:
                yield f"{name} {value} instead of {claimed}"

    def missing(self, claim: Claim) -> str:
        """Return why the experiment cannot judge the claim, whatever its runs; empty if it can."""
        arguments = claim.arguments
        if arguments is None:
            return f"column not measured: {claim.untestable}"
        engines = {engine.name for engine in self.condition.engines}
        not_installed = {engine.name: engine.reason for engine in self.condition.absent}
        for role in arguments.roles:
            player = self.engine(role)
            if player in not_installed:
                return f"engine {player} not installed: {not_installed[player]}"
            if player not in engines:
                kind = "arm" if role == claim.needs.arm else "engine"
                return f"{kind} absent: {player}"
        datasets = {dataset.name for dataset in self.condition.datasets}
        for name in arguments.datasets:
            if self.dataset(name) not in datasets:
                return f"no finished runs: {self.dataset(name)} is no dataset of the experiment"
        return ""


def make_cast(condition: Condition, claims: Claims) -> Cast:
    """Raises EvengroundError for a stand-in of an unknown role or dataset, or by an unknown one."""
    datasets = [dataset.name for dataset in condition.datasets]
    # Engines that are not installed are known: the verdicts on their claims report it.
    engines = [engine.name for engine in condition.engines + condition.absent]
    known = list(claims.roles) + claims.datasets
    for name, player in condition.report.stand_ins.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise EvengroundError(f"unknown role or dataset '{name}'", "stand_ins", hint)
        players = engines if name in claims.roles else datasets
        if player not in players:
            what = f"'{player}' cannot stand in for '{name}'"
            raise EvengroundError(what, "stand_ins", f"the experiment has: {', '.join(players)}")
    return Cast(condition=condition, claims=claims)
