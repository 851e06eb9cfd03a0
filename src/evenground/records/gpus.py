"""`gpu` in a run's `environment.json`: the card that its training was given, and how it was set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from evenground.judged import Count, Reason, YesOrNo

Watts = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Short = Annotated[str, Field(max_length=200)]
Accelerator = Literal["cpu", "cuda"]
# Keys of `clocks`, all of the SM: the clock that was set, the one that a card comes with, and the
# highest one.
SET_CLOCK, USUAL_CLOCK = "application SM (MHz)", "usual application SM (MHz)"
HIGHEST_CLOCK = "highest SM (MHz)"


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the driver reports of a card and records keep."""

    name: Short | None = None
    """The product's name; for a MIG instance that of its card."""
    uuid: Short | None = None
    """Of the card or the MIG instance; bundles leave it out."""
    pci: Short | None = None
    """Position on the bus, e.g. 00000000:65:00.0."""
    memory_bytes: Count | None = None
    """Of the card, or of the MIG instance, in bytes."""
    capability: Short | None = None
    """Compute capability, e.g. 9.0."""
    ecc: YesOrNo | None = None
    """Whether its memory corrects errors."""
    power_limit_w: Watts | None = None
    """The limit in force, in watts."""
    power_default_w: Watts | None = None
    """The limit that the card comes with, in watts."""
    clocks: dict[Short, Short] | None = None
    """Clock of its multiprocessors -> MHz: the one set, the usual one and the highest."""
    persistence: YesOrNo | None = None
    """Whether the driver stays loaded while no process uses the card."""
    compute_mode: Short | None = None
    """default, exclusive process, exclusive thread or prohibited."""
    display: YesOrNo | None = None
    """Whether it lights a screen."""
    missing: Annotated[dict[Short, Reason], Field(max_length=64)] = field(default_factory=dict)
    """Field -> why it, or a part of it, is not known."""


@dataclass(frozen=True)
class GpuRecord(CardFacts):
    """The chosen card of one training.

    Null: not known, and `missing` has the reasons.
    """

    accelerator: Accelerator
    """What the engine computed on: with `cpu` the card was there, and hidden from it."""
    mig: Short | None = None
    """Profile of the MIG instance, e.g. 1g.10gb; null also for a whole card."""
    cards: Count | None = None
    """How many the machine has."""
    near_cpus: Annotated[str, Field(max_length=2**16)] | None = None
    """CPUs near the card, as the kernel lists them, `0-3,8`."""
    libraries: Annotated[dict[Short, Short], Field(max_length=256)] | None = None
    """Loaded library of NVIDIA's -> where it lies: environment, image, driver, ..."""
