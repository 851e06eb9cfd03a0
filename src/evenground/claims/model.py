"""`claims.yaml` as a typed model: what a claim says, how it is estimated, and what would decide it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evenground.analysis.instruments import INSTRUMENTS, RESOURCES, Instrument
from evenground.analysis.measures import MEASURES, TIMES
from evenground.claims.estimators import ESTIMATORS, SHAPES, Arguments, Contrast
from evenground.claims.inference import Interval, above, around, below
from evenground.claims.published import Number, read_published
from evenground.errors import EvengroundError
from evenground.files import sha256_file
from evenground.validation import Name, did_you_mean, first_fault

CLAIMS, PUBLISHED = Path("claims.yaml"), Path("data/published/thesis-2022.csv")
PART = r"^[A-Z][A-Z0-9]*(-[a-z0-9]+)*$"
# How far a published value may be from what its numbers give: four digits, and the thesis's own rounding.
FOLLOWS = 1e-3
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Needs(BaseModel):
    """What a claim needs beside finished runs of its roles on its datasets."""

    model_config = _STRICT

    accelerator: Literal["cpu", "cuda"] | None = Field(
        default=None,
        description="What its runs must have computed on, as their engines said; null for anything.",
    )
    arm: Name | None = Field(
        default=None, description="A role of it that is an arm of another engine."
    )


class Code(BaseModel):
    """Two trainers of the thesis whose lines are compared; data/published/thesis-code.csv has their files."""

    model_config = _STRICT

    of: Name = Field(description="The one whose lines stand above the line.")
    over: Name = Field(description="The one below it.")


class Claim(BaseModel):
    """One statement that runs can support or contradict."""

    model_config = _STRICT

    id: str = Field(pattern=PART, description="Claim and part, as in C1-mnist-elixir.")
    section: str = Field(description="Where it stands.")
    statement: str = Field(min_length=1, description="What is claimed, in our words.")
    estimator: str | None = Field(default=None, description="A name of estimators.py.")
    arguments: Arguments | None = Field(default=None, description="What it works on.")
    code: Code | None = Field(
        default=None, description="Instead of an estimator: a ratio of lines of code."
    )
    direction: Literal["greater", "less", "alike", "at_most"] = Field(
        description="What is claimed of the estimate: above the bound; below it; between 1 / bound and "
        "bound; at most the bound."
    )
    bound: float = Field(gt=0, description="The value that decides, in the claim's unit.")
    unit: str = Field(default="1", description="Unit of the estimate; 1 for ratios.")
    published: float | None = Field(
        default=None, gt=0, description="The published value in that unit."
    )
    follows_from: tuple[Name, ...] = Field(
        default=(),
        description="Ids of the published numbers it follows from, one a group of the estimator.",
    )
    tolerance: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share by which a size may be off on the claim's class of machine and be the same.",
    )
    tolerance_elsewhere: float = Field(
        default=0.25, gt=0, lt=1, description="The same on any other class of machine."
    )
    because: str = Field(
        min_length=1, description="Why this bound and this tolerance, fixed before any data."
    )
    needs: Needs = Field(default=Needs(), description="What it needs to be judged.")
    instruments: tuple[Instrument, ...] = Field(
        default=INSTRUMENTS, min_length=1, description="Instruments it is judged under."
    )
    untestable: str | None = Field(
        default=None, description="Why no recorded run can judge it; then it has no estimator."
    )

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
        """Of a claim of a direction, the estimates on the other side of its bound."""
        return below(self.bound) if self.direction == "greater" else above(self.bound)

    @property
    def has_margin(self) -> bool:
        """Whether its bound is a margin around what is claimed: then the published value need not be met."""
        return self.direction in {"alike", "at_most"}

    @property
    def contrast(self) -> Contrast | None:
        """What is estimated; None where no run can judge it."""
        return (
            ESTIMATORS[self.estimator](self.arguments)
            if self.estimator and self.arguments
            else None
        )

    def same_size(self, tolerance: float) -> Interval | None:
        """The values that count as the published size; None without one, and where a margin decides."""
        if self.published is None or self.has_margin:
            return None
        return around(self.published, tolerance)

    @property
    def is_ratio(self) -> bool:
        """Whether two things are compared by their ratio, rather than one looked at by itself."""
        return self.code is not None or (self.contrast is not None and self.contrast.log)

    @property
    def question(self) -> str:
        """What is asked of the runs, the same of claims that ask for one number."""
        if self.code:
            return f"lines {self.code.of} {self.code.over}"
        return f"{self.estimator} {self.arguments}"

    def tolerance_on(self, own_machine: bool) -> float:
        """The tolerance of its size; lines are the same on any machine."""
        if self.tolerance is not None and (own_machine or self.code):
            return self.tolerance
        return self.tolerance_elsewhere

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        ways = (self.estimator, self.code, self.untestable)
        if sum(way is not None for way in ways) != 1 or (self.estimator is None) != (
            self.arguments is None
        ):
            raise ValueError(
                "a claim has an estimator and its arguments, or 'code', or the reason why it is 'untestable'"
            )
        if self.estimator and self.arguments:
            _refuse_arguments(self.estimator, self.arguments)
        if (self.published is None) != (not self.follows_from):
            raise ValueError("'published' and 'follows_from' go together")
        if self.direction == "alike" and self.bound <= 1:
            raise ValueError("the bound of 'alike' is a factor above 1")
        if len(set(self.instruments)) < len(self.instruments):
            raise ValueError("an instrument is named twice")
        self._refuse_region()
        return self

    def _refuse_region(self) -> None:
        """Raise for a region that no estimate can reach, or whose size says nothing."""
        if self.published is None:
            if self.tolerance is not None:
                raise ValueError("'tolerance' is of a published size, and none is given")
            return
        if self.untestable is not None:
            return
        value = Interval(self.published, self.published)
        if self.has_margin:
            if not value.is_within(self.region):
                raise ValueError(
                    f"the published value {self.published:g} lies outside its own margin"
                )
            return
        if value.is_within(self.opposite):
            raise ValueError(
                f"the published value {self.published:g} lies on the other side of the bound"
            )
        if self.tolerance is None:
            raise ValueError("a published size needs a 'tolerance'")
        if self.tolerance > self.tolerance_elsewhere:
            raise ValueError("'tolerance_elsewhere' is at least 'tolerance'")


class Machine(BaseModel):
    """How a class of machine is known by its name in results/runs."""

    model_config = _STRICT

    cpu: str = Field(min_length=1, description="How the name begins.")
    gpu: str = Field(min_length=1, description="What else is in it.")

    def is_class(self, name: str) -> bool:
        """Whether that class is this machine."""
        return name.startswith(self.cpu) and self.gpu in name


class Claims(BaseModel):
    """The contents of `claims.yaml`."""

    model_config = _STRICT

    schema_version: Literal[2] = Field(alias="schema", description="Version of this file.")
    source: str = Field(description="Who claims it.")
    protocol: dict[str, int | float | str] = Field(
        description="Parameters of the claimed experiment; runs made with others give demonstrations."
    )
    machine: Machine = Field(description="The machine of the claimed experiment.")
    roles: dict[Name, Name] = Field(description="Role -> engine that plays it.")
    claims: tuple[Claim, ...] = Field(min_length=1, description="The claims, in order.")

    @property
    def datasets(self) -> list[str]:
        """Every dataset that a claim names."""
        given = [claim.arguments for claim in self.claims if claim.arguments]
        return list(dict.fromkeys(name for arguments in given for name in arguments.datasets))

    @model_validator(mode="after")
    def _known_names(self) -> Claims:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.id in seen:
                raise ValueError(f"the id '{claim.id}' stands twice")
            seen.add(claim.id)
            roles = claim.arguments.roles if claim.arguments else ()
            for role in (*roles, *filter(None, [claim.needs.arm])):
                _refuse(role, self.roles, f"{claim.id}: role")
        return self


class Source(BaseModel):
    """Claims and published numbers as they were read, with the sha256 of their files."""

    model_config = _STRICT

    claims: Claims
    numbers: Mapping[str, Number]
    sha256: dict[str, str]


def read_claims(root: Path) -> Source:
    """Read both files below `root`.

    Raises EvengroundError for an unknown key, estimator, role, measure or published number, an id that stands
    twice, and a published value that does not follow from its numbers.
    """
    path = root / CLAIMS
    try:
        read = Claims.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise EvengroundError(
            str(first_fault(error)), str(path), "docs/claims.md describes every key"
        ) from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise EvengroundError(f"claims cannot be read: {error}", str(path), "restore it") from None
    numbers = read_published(root / PUBLISHED)
    for claim in read.claims:
        _refuse_number(claim, numbers, path)
    sums = {name.name: sha256_file(root / name) for name in (CLAIMS, PUBLISHED)}
    return Source(claims=read, numbers=numbers, sha256=sums)


def _refuse_arguments(estimator: str, given: Arguments) -> None:
    _refuse(estimator, ESTIMATORS, "estimator")
    for measure in filter(None, [given.measure, given.measure_as_published]):
        _refuse(measure, MEASURES, "measure")
        if (given.resource is None) != (measure in TIMES):
            raise ValueError(
                f"measure '{measure}' {'takes no' if measure in TIMES else 'needs a'} resource"
            )
    if given.resource is not None:
        _refuse(given.resource, RESOURCES, "resource")
    for names, what in ((given.datasets, "dataset"), (given.roles, "role")):
        if len(set(names)) < len(names):
            raise ValueError(f"a {what} is named twice")
    roles, datasets = SHAPES[estimator]
    if len(given.roles) != roles or datasets not in {None, len(given.datasets)}:
        raise ValueError(
            f"'{estimator}' takes {roles} roles and {datasets or 'any number of'} datasets"
        )


def _refuse(name: str, known: Any, what: str) -> None:
    if name not in known:
        raise ValueError(f"unknown {what} '{name}': {did_you_mean(name, known)}")


def _refuse_number(claim: Claim, numbers: Mapping[str, Number], path: Path) -> None:
    """Raise where the published value is not what the estimator makes of the published numbers."""
    strange = [name for name in claim.follows_from if name not in numbers]
    if strange:
        what = f"{claim.id}: unknown published number '{strange[0]}'"
        raise EvengroundError(what, str(path), f"its ids are in {PUBLISHED}")
    if claim.published is None or claim.untestable is not None:
        return
    groups = claim.arguments.groups if claim.arguments else [("of", ""), ("over", "")]
    if len(claim.follows_from) != len(groups):
        what = f"{claim.id}: {len(claim.follows_from)} published numbers for {len(groups)} groups"
        raise EvengroundError(
            what, str(path), "name them in the order of datasets, `of` before `over`"
        )
    values = [float(numbers[name].value) for name in claim.follows_from]
    if claim.contrast is None:
        follows = values[0] / values[1]
    else:
        follows = claim.contrast.of_one(dict(zip(groups, values, strict=True)))
    if abs(follows / claim.published - 1) > FOLLOWS:
        what = f"{claim.id}: its published numbers give {follows:.4g}, not {claim.published:g}"
        raise EvengroundError(what, str(path), "fix 'published' or 'follows_from'")
