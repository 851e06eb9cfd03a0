"""Whether the planned repetitions can decide anything, by how much recorded training times differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from evenground.preflight.finding import Finding, State
from evenground.records.events import TrainEnd, TrainStart, read_file
from evenground.records.faults import RecordError
from evenground.records.times import EVENTS
from evenground.runs.plan import RUNS, Plan

WHAT, MEASURE = "repetitions", "training_s"
COMPARING = {"ratio", "mean_ratio"}
# Of more runs of a dataset and an engine the spread is hardly known any better.
MAX_READ = 20
Group = tuple[str, str]
"""Dataset and engine."""


@dataclass(frozen=True)
class Spread:
    """How much training times of one dataset and engine differ, and how many runs say so."""

    variance: float
    """Of the logarithm of a time, among runs of one key."""
    runs: int

    @property
    def words(self) -> str:
        """About the coefficient of variation."""
        return percent(math.sqrt(self.variance))


@dataclass(frozen=True)
class Need:
    """How many repetitions a claim takes, and in words for what; None where no number is worth planning."""

    claim: Claim
    groups: Sequence[Group]
    planned: int
    runs: int | None
    words: str

    @property
    def is_short(self) -> bool:
        """Whether fewer are planned."""
        return self.runs is None or self.runs > self.planned

    @property
    def rank(self) -> tuple[bool, float]:
        """What the claims of an experiment are sorted by."""
        return self.is_short, math.inf if self.runs is None else self.runs


@dataclass(frozen=True)
class Width:
    """How far the interval of a ratio will reach to each side, as a logarithm; infinite for none."""

    groups: Sequence[Group]
    planned: int
    half: float


class Planned:
    """What one plan compares, with what is recorded of it on its class of machine."""

    def __init__(self, plan: Plan, claims: Claims) -> None:
        self.plan, self.claims = plan, claims
        self.keys = {(run.dataset, run.engine): run.key for run in plan.runs}
        found = {group: recorded_spread(plan, *group, key) for group, key in self.keys.items()}
        self.spreads = {group: spread for group, spread in found.items() if spread}

    @property
    def looks(self) -> Sequence[int]:
        """The planned numbers of repetitions; empty where there is one look, or precision decides."""
        looks = self.plan.experiment.looks
        return looks if isinstance(looks, list) else []

    @property
    def alpha(self) -> float:
        """The error of each look."""
        return level_of_each(self.looks)

    @property
    def least(self) -> int:
        """Below so many repetitions there is no interval."""
        return MIN_RUNS if self.plan.design == "independent" else MIN_PAIRS

    def tolerance(self, claim: Claim) -> float | None:
        """The share by which its size may be off on this class of machine; None where it has no size."""
        tolerance = claim.tolerance_on(self.claims.machine.is_class(self.plan.machine))
        return tolerance if claim.same_size(tolerance) else None

    def last(self, groups: Iterable[Group]) -> int:
        """How many repetitions all of these groups will have at the last planned look."""
        usual = max([self.plan.experiment.repetitions, *self.looks])
        return min(self.plan.engine(engine).repetitions or usual for _, engine in groups)

    def spreads_of(self, groups: Sequence[Group]) -> tuple[float, ...]:
        """The spreads of a contrast of groups, as `planning` takes them; each dataset has the same weight.

        Of runs in blocks the variances add up: how far runs of a block are alike is not known beforehand.
        """
        weight = len({dataset for dataset, _ in groups}) ** -2
        variances = tuple(weight * self.spreads[group].variance for group in groups)
        return variances if self.plan.design == "independent" else (math.fsum(variances),)

    def comparisons(self) -> dict[str, list[Group]]:
        """Id of each claim that compares training times here -> its groups, of which each is planned."""
        found = {}
        for claim in self.claims.claims:
            groups = self._played(claim)
            if groups and all(group in self.keys for group in groups):
                found[claim.id] = groups
        return found

    def _played(self, claim: Claim) -> list[Group]:
        """The groups of runs that a claim compares the training times of; none of another claim."""
        arguments, stand_ins = claim.arguments, self.plan.experiment.stand_ins
        if arguments is None or arguments.measure != MEASURE or claim.estimator not in COMPARING:
            return []
        needs_tolerance = self.plan.experiment.looks == PRECISION
        if claim.published is None or (needs_tolerance and self.tolerance(claim) is None):
            return []
        played = {**self.claims.roles, **stand_ins}
        return [
            (stand_ins.get(dataset, dataset), played[role]) for role, dataset in arguments.groups
        ]

    def ratios(self) -> list[list[Group]]:
        """Pairs of groups whose training times the tables compare, and no claim."""
        claimed = [set(groups) for groups in self.comparisons().values()]
        pairs = itertools.combinations(self.plan.engines, 2)
        alike = [(a, b) for a, b in pairs if _are_compared(a, b)]
        found = [[(d, a.name), (d, b.name)] for d in self.plan.datasets for a, b in alike]
        return [
            pair
            for pair in found
            if set(pair) <= self.keys.keys() and not any(set(pair) == c for c in claimed)
        ]


def _are_compared(a: Engine, b: Engine) -> bool:
    """Main engines are, and an arm with its own engine, where both train on the same examples."""
    if a.train_limit != b.train_limit:
        return False
    both_main = a.arm_of is None and b.arm_of is None
    return both_main or a.arm_of == b.name or b.arm_of == a.name


def findings(plans: Sequence[Plan]) -> list[Finding]:
    """One or two for each class of machine that is trained on; none where nothing is compared."""
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
    claimed, ratios = planned.comparisons(), planned.ratios()
    if not claimed and not ratios:
        return []
    by_id = {claim.id: claim for claim in planned.claims.claims}
    needs = [
        need(planned, by_id[name], groups)
        for name, groups in claimed.items()
        if _recorded(planned, groups)
    ]
    widths = [width(planned, groups) for groups in ratios if _recorded(planned, groups)]
    if not needs and not widths:
        return [_too_little_recorded(what, planned)]
    return [
        *([_of_claims(what, planned, needs)] if needs else []),
        *([_of_ratios(what, planned, widths)] if widths else []),
    ]


def _recorded(planned: Planned, groups: Iterable[Group]) -> bool:
    return all(group in planned.spreads for group in groups)


def need(planned: Planned, claim: Claim, groups: Sequence[Group]) -> Need:
    """What a claim takes, if it is exactly true: its direction, or where precision decides its width."""
    if planned.plan.experiment.looks == PRECISION:
        runs, words = _for_precision(planned, claim, planned.spreads_of(groups))
    else:
        runs, words = _for_direction(planned, claim, planned.spreads_of(groups))
    return Need(claim=claim, groups=groups, planned=planned.last(groups), runs=runs, words=words)


def _for_precision(
    planned: Planned, claim: Claim, spreads: Sequence[float]
) -> tuple[int | None, str]:
    tolerance = planned.tolerance(claim) or math.nan
    runs = runs_for_width(spreads, math.log1p(tolerance))
    if runs is not None:
        # No verdict comes before, however narrow the interval is.
        runs = max(runs, MIN_PRECISE)
    return runs, f"{_count(runs)} give {claim.id} an interval within {percent(tolerance)}"


def _for_direction(
    planned: Planned, claim: Claim, spreads: Sequence[float]
) -> tuple[int | None, str]:
    """Runs, and words that also say what its size takes."""
    published = claim.published or math.nan
    bound = min(claim.region.edges, key=lambda edge: abs(math.log(published / edge)))
    runs = runs_to_decide(claim, spreads, planned.alpha)
    words = f"{_count(runs)} decide the direction of {claim.id} ({published:.3g} against {bound:g})"
    if tolerance := planned.tolerance(claim):
        size = runs_for_its_size(claim, tolerance, spreads, planned.alpha)
        words += f", {_count(size)} its size within {percent(tolerance)}"
    return runs, words


def width(planned: Planned, groups: Sequence[Group]) -> Width:
    """How exactly the planned repetitions give a ratio."""
    spreads, runs = planned.spreads_of(groups), planned.last(groups)
    half = expected_half_width(spreads, runs) if runs >= planned.least else math.inf
    return Width(groups=groups, planned=runs, half=half)


def _of_claims(what: str, planned: Planned, needs: Sequence[Need]) -> Finding:
    """The claim that lacks most, and how many lack any."""
    worst = max(needs, key=lambda one: one.rank)
    seen = f"{_plan(planned, worst.planned)}; {_spread(planned, worst.groups)}: {worst.words}"
    if len(needs) > 1:
        short = sum(one.is_short for one in needs)
        seen += f"; {short or 'none'} of {len(needs)} claims take more than is planned"
    seen += _missing(planned)
    if not worst.is_short:
        return Finding(what, "ok", seen)
    if worst.runs is None:
        fix = "no number worth planning decides it: see in tables/quality.md what made runs differ"
    else:
        fix = f"plan {worst.runs} before anybody looks at the runs: docs/repetitions.md"
    return Finding(what, "warning", seen, fix)


def _of_ratios(what: str, planned: Planned, widths: Sequence[Width]) -> Finding:
    """The ratio that will be known least, of how many."""
    worst = max(widths, key=lambda one: one.half)
    (dataset, a), (_, b) = worst.groups
    state: State = "ok"
    fix = ""
    if math.isinf(worst.half):
        state, fix = "warning", f"plan {planned.least} or more"
        reached = f"give no interval of {b} / {a} on {dataset}"
    else:
        reached = f"give {b} / {a} on {dataset} to +-{percent(math.expm1(worst.half))}"
    many = f", the widest of {len(widths)} ratios" if len(widths) > 1 else ""
    seen = (
        f"{_plan(planned, worst.planned)}; {_spread(planned, worst.groups)}: they {reached}{many}"
    )
    return Finding(what, state, seen + _missing(planned), fix)


def _too_little_recorded(what: str, planned: Planned) -> Finding:
    """Of no two groups that are compared the spread is known."""
    runs = planned.last(planned.keys)
    of_some = f" of {_unknown(planned)}" if planned.spreads else ""
    seen = f"{_plan(planned, runs)}; no recorded spread on this machine{of_some}"
    if runs < planned.least:
        few = f"{seen}, and no interval below {planned.least} repetitions"
        return Finding(what, "warning", few, f"plan {planned.least} or more")
    return Finding(what, "ok", f"{seen}: record {MIN_PAIRS} repetitions, then ask again")


def _plan(planned: Planned, runs: int) -> str:
    """What is planned: `runs` repetitions, or several looks."""
    looks = [look for look in planned.looks if look <= runs]
    return f"looks at {', '.join(map(str, looks))} planned" if len(looks) > 1 else f"{runs} planned"


def _spread(planned: Planned, groups: Sequence[Group]) -> str:
    """The spread of each group, and what it rests on."""
    parts = []
    for dataset, mine in itertools.groupby(groups, key=lambda group: group[0]):
        engines = [f"{group[1]} {planned.spreads[group].words}" for group in mine]
        parts.append(f"{', '.join(engines)} on {dataset}")
    counts = [str(planned.spreads[group].runs) for group in groups]
    return (
        f"from recorded spread ({', '.join(parts)}, {', '.join(counts[:-1])} and {counts[-1]} runs)"
    )


def _missing(planned: Planned) -> str:
    """The planned groups whose spread is not known yet, for the end of a line."""
    lost = _unknown(planned)
    return f"; not recorded yet: {lost}" if lost else ""


def _unknown(planned: Planned) -> str:
    """The first planned group whose spread is not known yet, and how many more; empty where all are."""
    lost = [group for group in planned.keys if group not in planned.spreads]
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"{lost[0][1]} on {lost[0][0]}{more}" if lost else ""


def _count(runs: int | None) -> str:
    return f"more than {MAX_RUNS:,}" if runs is None else str(runs)


def recorded_spread(plan: Plan, dataset: str, engine: str, key: str) -> Spread | None:
    """Spread of recorded training times: of the wanted key, or where it has too few runs within each key.

    None where no key, or all of them together, says as much as MIN_PAIRS runs of one.
    """
    folder = plan.root / RUNS / plan.machine / dataset / engine
    own = _logarithms(sorted((folder / key).glob("r*"))[:MAX_READ])
    if len(own) >= MIN_PAIRS:
        return Spread(variance(own), len(own))
    by_key: dict[str, list[Path]] = {}
    for run in sorted(folder.glob("*/r*"))[:MAX_READ]:
        by_key.setdefault(run.parent.name, []).append(run)
    return _pooled([_logarithms(runs) for runs in by_key.values()])


def _pooled(groups: Iterable[Sequence[float]]) -> Spread | None:
    """One variance of groups of values, each around its own mean."""
    several = [group for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in several)
    if df < MIN_PAIRS - 1:
        return None
    squares = math.fsum((len(group) - 1) * variance(group) for group in several)
    return Spread(squares / df, sum(map(len, several)))


def _logarithms(runs: Iterable[Path]) -> list[float]:
    """Logarithms of the training times of finished runs; one whose events cannot be read is left out."""
    times = [_training_s(run) for run in runs if (run / "manifest.json").is_file()]
    return [math.log(seconds) for seconds in times if seconds > 0]


def _training_s(run: Path) -> float:
    """Seconds from the start of a recorded training to its end; NaN where they are not known."""
    try:
        events = read_file(run / EVENTS)
    except RecordError:
        return math.nan
    starts = [event.t_unix_ns for event in events if isinstance(event, TrainStart)]
    ends = [event.t_unix_ns for event in events if isinstance(event, TrainEnd)]
    return (ends[0] - starts[0]) / 1e9 if starts and ends else math.nan
