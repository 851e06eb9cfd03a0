"""`containers/pins.yaml`: what the engines' CUDA environments share, and the driver they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evenground.errors import EvengroundError
from evenground.validation import first_fault, read_yaml

PINS = Path("containers/pins.yaml")
# The libraries of CUDA that all engines share, by their keys in the file.
LIBRARIES = ("cuda_runtime", "cudnn", "nccl")
Version = Annotated[str, BeforeValidator(str), Field(pattern=r"^\d+(\.\d+)+$")]
# Quoted in the file: without quotes YAML reads 10.0 and 9.10 as numbers.
Capability = Annotated[str, Field(strict=True, pattern=r"^\d+\.\d+$")]
# How a library runs on a card: with machine code for it, or with PTX that the driver compiles at
# first use.
Way = Literal["native", "ptx"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(_Strict):
    """The image that every container is built from."""

    image: str
    tag: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    python: Version


class Driver(_Strict):
    """The versions of NVIDIA's driver, which belongs to the machine and cannot be pinned."""

    minimum: Version
    recommended: Version


class Capabilities(_Strict):
    """The cards, by compute capability, on which an engine's locked libraries run."""

    native: tuple[Capability, ...] = Field(min_length=1)
    """The lowest card of each generation with machine code, which its later cards run, too."""
    ptx: Capability | None
    """The lowest card that PTX can be compiled for; None without PTX."""
    driver: dict[Way, Version]
    """The oldest driver for each way that the engine has."""

    def way(self, card: str) -> Way | None:
        """How the libraries run on a card of that compute capability; None if they do not."""
        version = version_key(card)
        for lowest in map(version_key, self.native):
            # Machine code runs on later cards of the same major version only.
            if version[0] == lowest[0] and version >= lowest:
                return "native"
        if self.ptx is not None and version >= version_key(self.ptx):
            return "ptx"
        return None


class PinnedEngine(_Strict):
    """The lock of an engine's CUDA environment, the versions it must have, and the cards for it."""

    lock: str
    packages: dict[str, Version]
    capabilities: Capabilities


class Pins(_Strict):
    """The whole file."""

    base: Base
    cuda_runtime: Version
    cudnn: Version
    nccl: Version
    driver: Driver
    engines: dict[str, PinnedEngine]


def load_pins(root: Path) -> Pins:
    """Read `containers/pins.yaml` below `root`; raises EvengroundError with the invalid key."""
    content = read_yaml(root / PINS)
    try:
        return Pins.model_validate(content)
    except ValidationError as error:
        raise EvengroundError(str(first_fault(error)), str(PINS), "fix that key") from None


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers, by which 525.60.13 is below 525.105.17; a suffix does not count."""
    beginning = re.split(r"[^\d.]", version)[0]
    return tuple(int(number) for number in beginning.split(".") if number)
