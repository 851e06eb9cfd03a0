"""Checks whether the planned repetitions can decide the claims, from recorded training times."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import variance

from evenground.analysis.planning import (
    MAX_RUNS,
    MIN_PRECISE,
    expected_half_width,
    level_of_each,
    runs_for_width,
)
from evenground.analysis.statistics import MIN_PAIRS, MIN_RUNS
from evenground.claims.advice import runs_for_its_size, runs_to_decide
from evenground.claims.inference import percent
from evenground.claims.model import Claim, Claims, read_claims
from evenground.config import PRECISION
from evenground.engines import Engine
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
    """What the planned repetitions can tell about a claim or a ratio."""

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

    def unclaimed(self, claimed: Sequence[tuple[Claim, Groups]]) -> list[Groups]:
        """Return the pairs of groups that the tables compare and no claim does."""
        of_claims = [set(groups) for _, groups in claimed]
        found: list[Groups] = []
        for dataset in self.plan.datasets:
            for a, b in itertools.combinations(self.plan.engines, 2):
                pair = [(dataset, a.name), (dataset, b.name)]
                is_planned = set(pair) <= self.keys.keys()
                if is_planned and _are_compared(a, b) and set(pair) not in of_claims:
                    found.append(pair)
        return found


def _are_compared(a: Engine, b: Engine) -> bool:
    """Main engines are compared, and an arm with its engine, if both train on the same examples."""
    if a.train_limit != b.train_limit:
        return False
    both_main = a.arm_of is None and b.arm_of is None
    return both_main or a.arm_of == b.name or b.arm_of == a.name


def findings(plans: Sequence[Plan]) -> list[Finding]:
    """Check the repetitions for each class of machine on which runs are trained and compared."""
    # The first condition on a class of machine stands for the others.
    first: dict[str, Plan] = {}
    for plan in plans:
        if plan.trains:
            first.setdefault(plan.machine, plan)
    if not first:
        return []
    claims = read_claims(plans[0].root).claims
    found = []
    for name, plan in first.items():
        what = WHAT if len(first) == 1 else f"{WHAT} on {name}"
        found += _of_class(what, Planned(plan, claims))
    return found


def _of_class(what: str, planned: Planned) -> list[Finding]:
    claimed = planned.claimed()
    unclaimed = planned.unclaimed(claimed)
    if not claimed and not unclaimed:
        return []
    claimed = [(claim, groups) for claim, groups in claimed if planned.is_recorded(groups)]
    unclaimed = [groups for groups in unclaimed if planned.is_recorded(groups)]
    found = []
    of_claims = [_of_claim(planned, claim, groups) for claim, groups in claimed]
    if of_claims:
        short = sum(bool(comparison.fix) for comparison in of_claims)
        others = f"; {short or 'none'} of {len(of_claims)} claims need more than is planned"
        found.append(_finding(what, planned, of_claims, others))
    of_ratios = [_of_ratio(planned, groups) for groups in unclaimed]
    if of_ratios:
        others = f", the widest of {len(of_ratios)} ratios"
        found.append(_finding(what, planned, of_ratios, others))
    return found or [_too_little_recorded(what, planned)]


def _finding(
    what: str, planned: Planned, comparisons: Sequence[Comparison], others: str
) -> Finding:
    """Report the comparison that needs most repetitions; `others` is added if there are several."""
    worst = max(comparisons, key=lambda comparison: comparison.rank)
    plan = _plan(planned, worst.planned)
    seen = f"{plan}; {_spread(planned, worst.groups)}: {worst.text}"
    if len(comparisons) > 1:
        seen += others
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


def _of_ratio(planned: Planned, groups: Groups) -> Comparison:
    """Return how exactly the planned repetitions will give the ratio of a pair of groups."""
    (dataset, a), (_, b) = groups
    ratio = f"{b} / {a} on {dataset}"
    last = planned.last(groups)
    # Half the width of the interval, as a logarithm.
    half = math.inf
    text, fix = f"they give no interval of {ratio}", f"plan {planned.min_repetitions} or more"
    if last >= planned.min_repetitions:
        half = expected_half_width(planned.spreads_of(groups), last)
        text, fix = f"they give {ratio} to +-{percent(math.expm1(half))}", ""
    return Comparison(groups=groups, planned=last, rank=(bool(fix), half), text=text, fix=fix)


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
    """Return the first planned group without a spread and the number of others; empty if none."""
    missing = [group for group in planned.keys if group not in planned.spreads]
    if not missing:
        return ""
    dataset, engine = missing[0]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"{engine} on {dataset}{more}"


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
