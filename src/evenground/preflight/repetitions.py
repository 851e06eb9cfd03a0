"""Checks whether the planned repetitions can decide the claims, from recorded training times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import variance

from evenground.analysis.planning import (
    MAX_RUNS,
    MIN_PRECISE,
    level_of_each,
    runs_for_width,
)
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS
from evenground.claims.advice import runs_for_its_size, runs_to_decide
from evenground.claims.inference import percent
from evenground.claims.model import Claim, Claims, read_claims
from evenground.config import PRECISION
from evenground.judged import first
from evenground.preflight.finding import Finding, ok, warning
from evenground.records.events import TrainEnd, TrainStart, read_file
from evenground.records.faults import RecordError
from evenground.records.manifest import MANIFEST
from evenground.records.times import EVENTS
from evenground.runs.plan import RUNS, Plan

WHAT, MEASURE = "repetitions", "training_s"
COMPARING = {"ratio", "mean_ratio"}
# More runs of a dataset and an engine hardly make the spread better known.
MAX_READ = 20
# Dataset and engine.
Group = tuple[str, str]
Groups = Sequence[Group]


@dataclass(frozen=True)
class Spread:
    """How much training times of one dataset and engine differ."""

    variance: float
    """Of the logarithms of the times, among runs of one key."""
    runs: int
    """Number of runs that it was computed from."""

    @property
    def label(self) -> str:
        """The standard deviation, which is about the coefficient of variation."""
        return percent(math.sqrt(self.variance))


@dataclass(frozen=True)
class Comparison:
    """What the planned repetitions can tell about a claim."""

    groups: Groups
    planned: int
    """Number of repetitions."""
    rank: tuple[bool, float]
    """The largest is the comparison that needs most repetitions."""
    text: str
    fix: str = ""
    """What to plan instead; empty if what is planned is enough."""


class Planned:
    """What one plan compares, with what is recorded of it on its class of machine."""

    def __init__(self, plan: Plan, claims: Claims) -> None:
        self.plan = plan
        self.claims = claims
        self.keys = {(run.dataset, run.engine): run.key for run in plan.runs}
        self.spreads: dict[Group, Spread] = {}
        for (dataset, engine), key in self.keys.items():
            spread = recorded_spread(plan, dataset, engine, key)
            if spread:
                self.spreads[dataset, engine] = spread

    @property
    def by_precision(self) -> bool:
        """Whether the width of intervals decides how many runs are made."""
        return self.plan.experiment.looks == PRECISION

    @property
    def looks(self) -> Sequence[int]:
        """The planned numbers of repetitions; empty if there is one look, or precision decides."""
        looks = self.plan.experiment.looks
        return looks if isinstance(looks, list) else []

    @cached_property
    def alpha(self) -> float:
        """The error of each look."""
        return level_of_each(self.looks)

    @property
    def min_repetitions(self) -> int:
        """With fewer repetitions there is no interval."""
        return MIN_RUNS if self.plan.design == "independent" else MIN_PAIRS

    def is_recorded(self, groups: Groups) -> bool:
        """Return whether the spreads of all these groups are known."""
        return all(group in self.spreads for group in groups)

    def tolerance(self, claim: Claim) -> float | None:
        """Return the share by which a claim's size may be off here; None if it has no size."""
        tolerance = claim.tolerance_on(self.claims.machine.is_class(self.plan.machine))
        return tolerance if claim.same_size(tolerance) else None

    def last(self, groups: Iterable[Group]) -> int:
        """Return how many repetitions all these groups will have at the last planned look."""
        usual = max(self.looks, default=0)
        usual = max(usual, self.plan.experiment.repetitions)
        return min(self.plan.engine(engine).repetitions or usual for _, engine in groups)

    def spreads_of(self, groups: Groups) -> list[float]:
        """Return the variances of a contrast of groups, as `planning` takes them.

        Each dataset has the same weight.
        """
        n_datasets = len({dataset for dataset, _ in groups})
        variances = [self.spreads[group].variance / n_datasets**2 for group in groups]
        if self.plan.design == "independent":
            return variances
        # How alike the runs of a block will be is not known beforehand.
        return [math.fsum(variances)]

    def claimed(self) -> list[tuple[Claim, Groups]]:
        """Return the claims that compare training times here, each with its planned groups."""
        found = []
        for claim in self.claims.claims:
            groups = self._groups_of(claim)
            if groups and all(group in self.keys for group in groups):
                found.append((claim, groups))
        return found

    def _groups_of(self, claim: Claim) -> Groups:
        """Return the groups whose training times a claim compares; empty for other claims."""
        arguments = claim.arguments
        if arguments is None or arguments.measure != MEASURE or claim.estimator not in COMPARING:
            return []
        if claim.published is None or (self.by_precision and self.tolerance(claim) is None):
            return []
        stand_ins = self.plan.experiment.stand_ins
        engines = {**self.claims.roles, **stand_ins}
        return [
            (stand_ins.get(dataset, dataset), engines[role]) for role, dataset in arguments.groups
        ]


def findings(plans: Sequence[Plan]) -> list[Finding]:
    """Check the repetitions for each class of machine on which runs are trained and compared."""
    # The first condition on a class of machine stands for the others.
    of_class: dict[str, Plan] = {}
    for plan in plans:
        if plan.trains:
            of_class.setdefault(plan.machine, plan)
    if not of_class:
        return []
    claims = read_claims(plans[0].root).claims
    found = []
    for name, plan in of_class.items():
        what = WHAT if len(of_class) == 1 else f"{WHAT} on {name}"
        planned = Planned(plan, claims)
        if planned.claimed():
            found.append(_of_class(what, planned))
    return found


def _of_class(what: str, planned: Planned) -> Finding:
    comparisons = [
        _of_claim(planned, claim, groups)
        for claim, groups in planned.claimed()
        if planned.is_recorded(groups)
    ]
    if comparisons:
        return _finding(what, planned, comparisons)
    return _too_little_recorded(what, planned)


def _finding(what: str, planned: Planned, comparisons: Sequence[Comparison]) -> Finding:
    """Report the comparison that needs most repetitions, and how many are short of them."""
    worst = max(comparisons, key=lambda comparison: comparison.rank)
    plan = _plan(planned, worst.planned)
    seen = f"{plan}; {_spread(planned, worst.groups)}: {worst.text}"
    if len(comparisons) > 1:
        short = sum(bool(comparison.fix) for comparison in comparisons)
        seen += f"; {short or 'none'} of {len(comparisons)} claims need more than is planned"
    missing = _not_recorded(planned)
    if missing:
        seen += f"; not recorded yet: {missing}"
    if worst.fix:
        return warning(what, seen, worst.fix)
    return ok(what, seen)


def _of_claim(planned: Planned, claim: Claim, groups: Groups) -> Comparison:
    """Return how many repetitions decide a claim that is exactly true.

    They decide its direction, or under `looks: precision` give its interval the wanted width.
    """
    spreads = planned.spreads_of(groups)
    if planned.by_precision:
        runs, text = _for_precision(planned, claim, spreads)
    else:
        runs, text = _for_direction(planned, claim, spreads)
    last = planned.last(groups)
    fix = ""
    if runs is None:
        fix = "no realistic number decides it: see in tables/quality.md what makes runs differ"
    elif runs > last:
        fix = f"plan {runs} before looking at any run: docs/repetitions.md"
    rank = (bool(fix), math.inf if runs is None else runs)
    return Comparison(groups=groups, planned=last, rank=rank, text=text, fix=fix)


def _for_precision(
    planned: Planned, claim: Claim, spreads: Sequence[float]
) -> tuple[int | None, str]:
    tolerance = planned.tolerance(claim) or math.nan
    runs = runs_for_width(spreads, math.log1p(tolerance))
    if runs is not None:
        # There is no verdict before, however narrow the interval is.
        runs = max(runs, MIN_PRECISE)
    return runs, f"{_count(runs)} give {claim.id} an interval within {percent(tolerance)}"


def _for_direction(
    planned: Planned, claim: Claim, spreads: Sequence[float]
) -> tuple[int | None, str]:
    published = claim.published or math.nan
    runs = runs_to_decide(claim, spreads, planned.alpha)
    # The edge of the claimed region that is nearest on the logarithmic scale of the test.
    bound = min(claim.region.edges, key=lambda edge: abs(math.log(published / edge)))
    text = f"{_count(runs)} decide the direction of {claim.id} ({published:.3g} against {bound:g})"
    tolerance = planned.tolerance(claim)
    if tolerance:
        size = runs_for_its_size(claim, tolerance, spreads, planned.alpha)
        text += f", {_count(size)} its size within {percent(tolerance)}"
    return runs, text


def _too_little_recorded(what: str, planned: Planned) -> Finding:
    runs = planned.last(planned.keys)
    seen = f"{_plan(planned, runs)}; no recorded spread on this machine"
    if planned.spreads:
        seen += f" of {_not_recorded(planned)}"
    least = planned.min_repetitions
    if runs < least:
        seen += f", and no interval below {least} repetitions"
        return warning(what, seen, f"plan {least} or more")
    return ok(what, f"{seen}: record {MIN_PAIRS} repetitions, then run preflight again")


def _spread(planned: Planned, groups: Groups) -> str:
    """Return the spread of each group, and the number of runs it was computed from."""
    by_dataset: dict[str, list[str]] = {}
    for dataset, engine in groups:
        label = f"{engine} {planned.spreads[dataset, engine].label}"
        by_dataset.setdefault(dataset, []).append(label)
    parts = [f"{', '.join(labels)} on {dataset}" for dataset, labels in by_dataset.items()]
    counts = [str(planned.spreads[group].runs) for group in groups]
    numbers = f"{', '.join(counts[:-1])} and {counts[-1]} runs"
    return f"from recorded spread ({', '.join(parts)}, {numbers})"


def _plan(planned: Planned, runs: int) -> str:
    looks = [str(look) for look in planned.looks if look <= runs]
    if len(looks) > 1:
        return f"looks at {', '.join(looks)} planned"
    return f"{runs} planned"


def _not_recorded(planned: Planned) -> str:
    """Return the first planned groups without a spread and the number of others; empty if none."""
    missing = [group for group in planned.keys if group not in planned.spreads]
    return first([f"{engine} on {dataset}" for dataset, engine in missing])


def _count(runs: int | None) -> str:
    return f"more than {MAX_RUNS:,}" if runs is None else str(runs)


def recorded_spread(plan: Plan, dataset: str, engine: str, key: str) -> Spread | None:
    """Return the spread of recorded training times, of the wanted key if that has MIN_PAIRS runs.

    Else it is pooled from the runs of all keys, each around its key's mean. None if these together
    have fewer degrees of freedom than MIN_PAIRS runs of one key.
    """
    folder = plan.root / RUNS / plan.machine / dataset / engine
    wanted = _logarithms(sorted((folder / key).glob("r*"))[:MAX_READ])
    by_key: dict[str, list[Path]] = {}
    for run in sorted(folder.glob("*/r*"))[:MAX_READ]:
        by_key.setdefault(run.parent.name, []).append(run)
    return _pooled([wanted]) or _pooled([_logarithms(runs) for runs in by_key.values()])


def _pooled(samples: Iterable[Sequence[float]]) -> Spread | None:
    several = [values for values in samples if len(values) > 1]
    n_values = sum(len(values) for values in several)
    degrees_of_freedom = n_values - len(several)
    if degrees_of_freedom < MIN_PAIRS - 1:
        return None
    squares = math.fsum((len(values) - 1) * variance(values) for values in several)
    return Spread(variance=squares / degrees_of_freedom, runs=n_values)


def _logarithms(runs: Iterable[Path]) -> list[float]:
    """Return the logarithms of the training times of finished runs, in seconds."""
    logarithms = []
    for run in runs:
        if not (run / MANIFEST).is_file():
            continue
        try:
            events = read_file(run / EVENTS)
            times_ns = {type(event): event.t_unix_ns for event in events}
            logarithms.append(math.log((times_ns[TrainEnd] - times_ns[TrainStart]) / 1e9))
        except (RecordError, KeyError, ValueError):
            # The gate refuses runs that were changed; here they do not count.
            continue
    return logarithms
