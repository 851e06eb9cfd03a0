"""`gpu` in a run's `environment.json`: the card that its training was given, and how it was set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

# A record may come from anybody: what cannot be is refused when it is read.
Count = Annotated[int, Field(ge=0, lt=2**63)]
Watts = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
YesOrNo = Annotated[bool, Field(strict=True)]
Short = Annotated[str, Field(max_length=200)]
Reason = Annotated[str, Field(max_length=1000)]
Accelerator = Literal["cpu", "cuda"]
# Of `clocks`, all of the SM: what somebody set, what that is on a card as it comes, and the highest there is.
SET_CLOCK, USUAL_CLOCK = "application SM (MHz)", "usual application SM (MHz)"
HIGHEST_CLOCK = "highest SM (MHz)"


@dataclass(frozen=True)
class GpuRecord:
    """The chosen card of one training.

    What is None is not known, except that a card without instances has no `mig`. `missing` has the reasons,
    by the names here.
    """

    accelerator: Accelerator
    """What the engine was told: on `cpu` the card was there, and hidden from it."""
    name: Short | None = None
    """The product's name; of a MIG instance that of its card."""
    uuid: Short | None = None
    """Of the card or the MIG instance; bundles leave it out."""
    mig: Short | None = None
    """Profile of the MIG instance, as in 1g.10gb."""
    pci: Short | None = None
    """Position on the bus, as in 00000000:65:00.0."""
    memory_bytes: Count | None = None
    """Of the card, or of the MIG instance."""
    capability: Short | None = None
    """Compute capability, as in 9.0."""
    ecc: YesOrNo | None = None
    power_limit_w: Watts | None = None
    power_default_w: Watts | None = None
    """The limit in force and the one that the card comes with."""
    clocks: dict[Short, Short] | None = None
    """SET_CLOCK, USUAL_CLOCK and HIGHEST_CLOCK, as far as they are known; each in words."""
    persistence: YesOrNo | None = None
    """Whether the driver stays loaded while nobody uses the card."""
    compute_mode: Short | None = None
    """default, exclusive process or prohibited."""
    display: YesOrNo | None = None
    """Whether a screen is lit by it."""
    cards: Count | None = None
    """How many the machine has."""
    near_cpus: Annotated[str, Field(max_length=2**16)] | None = None
    """CPUs near the card, as the kernel lists them, `0-3,8`."""
    libraries: Annotated[dict[Short, Short], Field(max_length=256)] | None = None
    """Libraries of NVIDIA that the engine really loaded -> where they lie: environment, image, driver, ..."""
    missing: Annotated[dict[Short, Reason], Field(max_length=64)] = field(default_factory=dict)
