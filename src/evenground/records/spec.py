"""`results/specs/KEY.json`: the specification of a run, exactly what its key digests."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from evenground.errors import EvengroundError, set_aside
from evenground.files import sha256_json
from evenground.records.base import Fields, Record
from evenground.records.dataset import prepared_folder
from evenground.records.values import path_of_run
from evenground.validation import Name

SPECS = Path("results/specs")
IN_RUN = "spec.json"
"""Its name in a run directory."""
KEY_DIGITS = 16
Digests = dict[str, str]
"""File -> sha256 of what it does."""


class DatasetOfRun(Fields):
    """What the engine trains on."""

    name: Name
    """Name of the dataset."""
    network: str
    """Name of the network that trains on it."""
    prepared: str
    """Fingerprint of the prepared arrays."""


class EngineOfRun(Fields):
    """What trains."""

    name: Name
    """Name of the engine."""
    command: tuple[str, ...]
    """Command line; `{python}` and `{folder}` stand for its interpreter and its folder."""
    options: dict[str, bool | int | float | str]
    """All its options, with their defaults."""
    train_limit: int | None
    """Trains on the first so many examples; null: all."""
    test_limit: bool
    """Whether its warm-up judges few examples, too."""
    code: Digests
    """File of its code -> digest of what that does."""


class LockOfRun(Fields):
    """The locked packages that the engine runs in."""

    name: Name
    """Its lock file is `envs/NAME.txt`."""
    packages: dict[str, str]
    """Package -> the versions allowed."""
    sha256: str
    """Of the lock file, with the packages' own checksums."""


class Specification(Record):
    """All that decides the result of a run and is known before it; its seed adds the repetition.

    Not in it: the class of machine, which runs have in their path; the number of repetitions, the
    order, other engines and datasets, the time limit, settings of the report.
    """

    WHAT: ClassVar[str] = "run specification"

    dataset: DatasetOfRun
    """What the engine trains on."""
    engine: EngineOfRun
    """What trains."""
    accelerator: Literal["cpu", "cuda"]
    """Where the engine computes."""
    epochs: int
    """Passes over the training examples."""
    batch_size: int
    """Examples of a step."""
    learning_rate: float
    """Step size of Adam."""
    seed: int
    """Repetition r trains with this number + r."""
    threads: int | Literal["all"]
    """CPUs that it gets; `all`: as many as it may use."""
    linger_s: float
    """How long the process stays after its work, in seconds."""
    sampling_rate_hz: float
    """Samples in a second."""
    warm_up_examples: int
    """Size of a warm-up, at least one batch; 0: no warm-up."""
    measurement: int
    """Version of what the sampler measures."""
    protocol: int
    """Version of the events that an engine has to write."""
    shared_code: Digests
    """File of what starts every engine -> digest of what it does."""
    environment: LockOfRun | None
    """What it runs in; null: an engine that brings its own."""
    deployment: Literal["native", "apptainer"]
    """`native`, or `apptainer`: the engine runs in a container."""
    image: str | None
    """Digest of the image's recipe; null natively."""

    @cached_property
    def key(self) -> str:
        """The first digits of the hexadecimal sha256 of its content."""
        return sha256_json(self.content())[:KEY_DIGITS]

    @property
    def prepared(self) -> Path:
        """Folder of the dataset's prepared arrays, in the working copy."""
        return prepared_folder(self.dataset.name, self.dataset.prepared)

    def run_path(self, machine: str, repetition: int) -> Path:
        """MACHINE/DATASET/ENGINE/KEY/rN of a run below `results/runs` and `results/attempts`."""
        return Path(path_of_run(machine, self.dataset.name, self.engine.name, self.key, repetition))


def read_spec(path: Path, key: str) -> Specification:
    """The specification of a key; raises EvengroundError if the file is not what the key digests."""
    spec = Specification.read(path)
    if spec.key != key:
        what = f"changed run specification: its content has the key {spec.key}, not {key}"
        raise EvengroundError(what, str(path), set_aside(path))
    return spec


def spec_file(key: str) -> Path:
    """Where the specification of a key is stored, in the working copy."""
    return SPECS / f"{key}.json"
