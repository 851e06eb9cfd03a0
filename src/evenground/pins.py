"""`containers/pins.yaml`: what every engine's CUDA environment shares, and the driver it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from evenground.errors import EvengroundError
from evenground.locks import parse_lock
from evenground.validation import first_fault

PINS = Path("containers/pins.yaml")
# What the wheels of CUDA 12 call the three libraries.
LIBRARIES = {
    "cuda_runtime": "nvidia-cuda-runtime-cu12",
    "cudnn": "nvidia-cudnn-cu12",
    "nccl": "nvidia-nccl-cu12",
}
Version = Annotated[str, BeforeValidator(str), Field(pattern=r"^\d+(\.\d+)+$")]
# Quoted in the file: YAML takes 10.0 and 9.10 for numbers.
Capability = Annotated[str, Field(strict=True, pattern=r"^\d+\.\d+$")]
Way = Literal["native", "ptx"]
"""How a card is served: by code of its own, or by PTX that the driver compiles when it is first used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(_Strict):
    """The image that every container begins with."""

    image: str
    tag: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    python: Version


class Driver(_Strict):
    """NVIDIA's driver is the machine's: it cannot be pinned, only asked for."""

    minimum: Version
    recommended: Version


class Capabilities(_Strict):
    """The cards, by compute capability, that an engine's locked libraries serve."""

    native: tuple[Capability, ...] = Field(min_length=1)
    """The lowest card of each generation that has code of its own, which later ones of it run, too."""
    ptx: Capability | None
    """The lowest card that can be served by PTX; None where there is no PTX."""
    driver: dict[Way, Version]
    """The oldest driver for each way."""

    @model_validator(mode="after")
    def _has_every_driver(self) -> Capabilities:
        wanted: set[Way] = {"native"} if self.ptx is None else {"native", "ptx"}
        if self.driver.keys() != wanted:
            raise ValueError(f"driver must have exactly: {', '.join(sorted(wanted))}")
        return self

    def way(self, card: str) -> Way | None:
        """How a card of that compute capability, `8.6`, is served; None where it is not."""
        if any(_same_generation(card, lowest) for lowest in self.native):
            return "native"
        by_ptx = self.ptx is not None and version_key(card) >= version_key(self.ptx)
        return "ptx" if by_ptx else None


def _same_generation(card: str, lowest: str) -> bool:
    """Whether code made for `lowest` runs on `card`: the same major version, and not an earlier card."""
    wanted, made_for = version_key(card), version_key(lowest)
    return wanted[0] == made_for[0] and wanted >= made_for


class PinnedEngine(_Strict):
    """The lock of an engine's CUDA environment, what it must hold, and the cards that it serves."""

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
    """Read `containers/pins.yaml` below `root`; EvengroundError names the key that is wrong."""
    path = root / PINS
    try:
        return Pins.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise EvengroundError("the pins are missing", str(PINS), "restore the file") from None
    except yaml.YAMLError as error:
        raise EvengroundError(f"broken YAML: {error}", str(PINS), "fix the file") from None
    except ValidationError as error:
        raise EvengroundError(str(first_fault(error)), str(PINS), "fix that key") from None


def drift(pins: Pins, locks: Mapping[str, str]) -> list[str]:
    """Where locks (name to text) and pins differ, one sentence each; empty when they agree."""
    found: list[str] = []
    for engine, pinned in pins.engines.items():
        if pinned.lock not in locks:
            found.append(f"{engine}: no envs/{pinned.lock}.txt")
            continue
        locked = parse_lock(locks[pinned.lock])
        wanted = {LIBRARIES[name]: getattr(pins, name) for name in LIBRARIES} | pinned.packages
        lock = f"envs/{pinned.lock}.txt"
        for package, version in wanted.items():
            versions = locked.get(package, {"not"})
            if versions - {""} != {version}:
                there = " or ".join(sorted(versions - {""}))
                found.append(f"{engine}: {package} is {there} in {lock}, pinned {version}")
    return found


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers that compare: 525.60.13 is below 525.105.17; a suffix does not count."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
