"""`claims.yaml` as a typed model: what is claimed, how it is estimated, and what decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from evenground.analysis.instruments import RESOURCES
from evenground.analysis.measures import MEASURES, TIMES
from evenground.claims.estimators import ESTIMATORS, SHAPES, Arguments, Contrast
from evenground.claims.inference import Interval, above, around, below
from evenground.claims.published import Number, read_published
from evenground.errors import EvengroundError
from evenground.files import sha256_file
from evenground.records.base import Fields
from evenground.records.plan import Parameters
from evenground.records.verdicts import Code, Needs
from evenground.validation import Name, did_you_mean, first_fault, read_yaml

CLAIMS = Path("claims.yaml")
PUBLISHED = Path("data/published/thesis-2022.csv")
PART = r"^[A-Z][A-Z0-9]*(-[a-z0-9]+)*$"
# How far a published value may be from the one its numbers give, as a share: claims.yaml has four
# digits of it, and the thesis rounds.
MAX_ROUNDING = 1e-3


class Claim(Fields):
    """One statement that runs can support or contradict. docs/claims.md describes every key."""

    # Claim and part, as in C1-mnist-elixir.
    id: str = Field(pattern=PART)
    # Section of the thesis.
    section: str
    # What is claimed, in our words.
    statement: str = Field(min_length=1)
    # A name of estimators.ESTIMATORS, and what it works on.
    estimator: str | None = None
    arguments: Arguments | None = None
    # Instead of an estimator: a ratio of lines of code.
    code: Code | None = None
    # Where the estimate lies if the claim is true: above the bound; below it; between 1 / bound
    # and bound; at most the bound.
    direction: Literal["greater", "less", "alike", "at_most"]
    bound: float = Field(gt=0)
    # Unit of the estimate, the bound and the published value; 1 for ratios.
    unit: str = "1"
    published: float | None = Field(default=None, gt=0)
    # Ids of the published numbers it follows from, one per group of runs.
    follows_from: tuple[Name, ...] = ()
    # Share by which a size may be off and count as the same, on the claims' class of machine.
    tolerance: float | None = Field(default=None, gt=0, lt=1)
    # The same on any other class of machine.
    tolerance_elsewhere: float = Field(default=0.25, gt=0, lt=1)
    # Why this bound and this tolerance, fixed before any data.
    because: str = Field(min_length=1)
    needs: Needs = Needs()
    # Instead of an estimator: why no recorded run can judge it.
    untestable: str | None = None

    @property
    def region(self) -> Interval:
        """The estimates that it allows."""
        if self.direction == "greater":
            return above(self.bound)
        if self.direction == "alike":
            return Interval(1 / self.bound, self.bound)
        return below(self.bound)

    @property
    def opposite(self) -> Interval:
        """The estimates on the other side of the bound; of a claim of a direction."""
        if self.direction == "greater":
            return below(self.bound)
        return above(self.bound)

    @property
    def has_margin(self) -> bool:
        """Whether its bound is a margin; the published value then need not be met."""
        return self.direction in {"alike", "at_most"}

    @property
    def contrast(self) -> Contrast | None:
        """The contrast of groups of runs to be estimated; None if no run can judge it."""
        if self.estimator and self.arguments:
            return ESTIMATORS[self.estimator](self.arguments)
        return None

    def same_size(self, tolerance: float) -> Interval | None:
        """Return the values that count as the published size; None without one or with a margin."""
        if self.published is None or self.has_margin:
            return None
        return around(self.published, tolerance)

    @property
    def is_ratio(self) -> bool:
        """Whether two things are compared by their ratio, rather than one measured by itself."""
        return self.code is not None or (self.contrast is not None and self.contrast.log)

    @property
    def question(self) -> str:
        """What is estimated; claims about the same estimate share it."""
        if self.code:
            return f"lines {self.code.of} {self.code.over}"
        return f"{self.estimator} {self.arguments}"

    @property
    def unit_suffix(self) -> str:
        """The unit with a space before it, to be put after a number; empty for ratios."""
        if self.unit == "1":
            return ""
        return f" {self.unit}"

    def tolerance_on(self, own_machine: bool) -> float:
        """Return the tolerance of its size. Lines of code are the same on any machine."""
        if self.tolerance is not None and (own_machine or self.code):
            return self.tolerance
        return self.tolerance_elsewhere

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        ways = [self.estimator, self.code, self.untestable]
        is_whole = (self.estimator is None) == (self.arguments is None)
        if ways.count(None) != 2 or not is_whole:
            raise ValueError(
                "a claim has an estimator and its arguments, or 'code', or the reason why it is "
                "'untestable'"
            )
        if self.estimator and self.arguments:
            _check_arguments(self.estimator, self.arguments)
        if (self.published is None) != (not self.follows_from):
            raise ValueError("'published' and 'follows_from' go together")
        if self.direction == "alike" and self.bound <= 1:
            raise ValueError("the bound of 'alike' is a factor above 1")
        if self.published is not None:
            self._check_size(self.published)
        elif self.tolerance is not None:
            raise ValueError("'tolerance' is of a published size, and none is given")
        return self

    def _check_size(self, published: float) -> None:
        """Raise ValueError for a published size that contradicts the claim, or has no tolerance."""
        if self.untestable is not None:
            return
        size = Interval(published, published)
        if self.has_margin:
            if not size.is_within(self.region):
                raise ValueError(f"the published value {published:g} lies outside its own margin")
            return
        if size.is_within(self.opposite):
            raise ValueError(
                f"the published value {published:g} lies on the other side of the bound"
            )
        if self.tolerance is None:
            raise ValueError("a published size needs a 'tolerance'")
        # A machine other than the thesis's cannot be expected to come closer to its sizes.
        if self.tolerance > self.tolerance_elsewhere:
            raise ValueError("'tolerance_elsewhere' is at least 'tolerance'")


class Machine(Fields):
    """How a class of machine is recognised by its name in results/runs."""

    # How the name begins, and what else it contains.
    cpu: str = Field(min_length=1)
    gpu: str = Field(min_length=1)

    def is_class(self, name: str) -> bool:
        """Whether a class of machine has this processor and this card."""
        return name.startswith(self.cpu) and self.gpu in name


class Claims(Fields):
    """The contents of `claims.yaml`."""

    schema_version: Literal[2] = Field(alias="schema")
    # Who claims it.
    source: str
    # Parameters of the claimed experiment; runs with others give demonstrations.
    protocol: dict[str, int | float | str]
    machine: Machine
    # Role -> engine that plays it.
    roles: dict[Name, Name]
    claims: tuple[Claim, ...] = Field(min_length=1)

    @property
    def datasets(self) -> list[str]:
        """Every dataset that a claim names, once."""
        names: list[str] = []
        for claim in self.claims:
            if claim.arguments:
                names.extend(claim.arguments.datasets)
        return list(dict.fromkeys(names))

    @model_validator(mode="after")
    def _known_names(self) -> Claims:
        for name in self.protocol:
            _check_known(name, Parameters.model_fields, "parameter")
        _check_distinct([claim.id for claim in self.claims], "claim")
        for claim in self.claims:
            if claim.arguments:
                for role in claim.arguments.roles:
                    _check_known(role, self.roles, f"{claim.id}: role")
            if claim.needs.arm:
                _check_known(claim.needs.arm, self.roles, f"{claim.id}: role")
        return self


class Source(Fields):
    """Claims and published numbers as they were read, with the sha256 of their files."""

    claims: Claims
    numbers: Mapping[str, Number]
    sha256: dict[str, str]


def read_claims(root: Path) -> Source:
    """Read both files below `root`.

    Raises EvengroundError for an unknown key, estimator, role, measure or published number, a
    duplicate id, and a published value that does not follow from its numbers.
    """
    path = root / CLAIMS
    given = read_yaml(path)
    try:
        content = Claims.model_validate(given)
    except ValidationError as error:
        what = str(first_fault(error))
        fix = "docs/claims.md describes every key"
        raise EvengroundError(what, str(path), fix) from None
    numbers = read_published(root / PUBLISHED)
    for claim in content.claims:
        _check_published(claim, numbers, path)
    checksums = {file.name: sha256_file(root / file) for file in (CLAIMS, PUBLISHED)}
    return Source(claims=content, numbers=numbers, sha256=checksums)


def _check_known(name: str, known: Collection[str], kind: str) -> None:
    if name not in known:
        raise ValueError(f"unknown {kind} '{name}': {did_you_mean(name, known)}")


def _check_distinct(names: Collection[str], kind: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"duplicate {kind} '{name}'")


def _check_arguments(estimator: str, arguments: Arguments) -> None:
    """Raise ValueError for unknown or duplicate names, and for more or fewer than it takes."""
    _check_known(estimator, ESTIMATORS, "estimator")
    for measure in (arguments.measure, arguments.measure_as_published or arguments.measure):
        _check_known(measure, MEASURES, "measure")
        if measure in TIMES and arguments.resource is not None:
            raise ValueError(f"measure '{measure}' takes no resource")
        if measure not in TIMES and arguments.resource is None:
            raise ValueError(f"measure '{measure}' needs a resource")
    if arguments.resource is not None:
        _check_known(arguments.resource, RESOURCES, "resource")
    _check_distinct(arguments.datasets, "dataset")
    _check_distinct(arguments.roles, "role")
    roles, datasets = SHAPES[estimator]
    if len(arguments.roles) != roles or datasets not in {None, len(arguments.datasets)}:
        datasets_text = datasets or "any number of"
        raise ValueError(f"'{estimator}' takes {roles} roles and {datasets_text} datasets")


def _check_published(claim: Claim, numbers: Mapping[str, Number], path: Path) -> None:
    """Raise EvengroundError if the published numbers do not give the published value."""
    for name in claim.follows_from:
        if name not in numbers:
            what = f"{claim.id}: unknown published number '{name}'"
            raise EvengroundError(what, str(path), f"its ids are in {PUBLISHED}")
    if claim.published is None or claim.untestable is not None:
        return
    # Two numbers of lines of code, else one number per group of runs.
    groups = [("of", ""), ("over", "")]
    if claim.arguments:
        groups = claim.arguments.groups
    if len(claim.follows_from) != len(groups):
        what = f"{claim.id}: {len(claim.follows_from)} published numbers for {len(groups)} groups"
        fix = "name them in the order of datasets, `of` before `over`"
        raise EvengroundError(what, str(path), fix)
    values = [float(numbers[name].value) for name in claim.follows_from]
    if claim.contrast:
        follows = claim.contrast.of_one(dict(zip(groups, values, strict=True)))
    else:
        follows = values[0] / values[1]
    if abs(follows / claim.published - 1) > MAX_ROUNDING:
        what = f"{claim.id}: its published numbers give {follows:.4g}, not {claim.published:g}"
        raise EvengroundError(what, str(path), "fix 'published' or 'follows_from'")
