"""Engines: their `engine.yaml`, their options, and which files decide a run's result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evenground.config import EngineChoice, OptionValue
from evenground.errors import EvengroundError
from evenground.records.spec import EngineOfRun
from evenground.validation import did_you_mean, first_fault, read_yaml

ENGINES = Path("scripts/engines")
DESCRIPTION = "engine.yaml"
# M. Okabe and K. Ito, "Color Universal Design" (2008), without black and yellow, which suit no bar or line.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")


class EngineFile(BaseModel):
    """The contents of an `engine.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(min_length=1, description="Name in figures and tables.")
    command: list[str] = Field(
        min_length=1, description="Command line; {python} and {folder} are replaced."
    )
    parity_command: list[str] | None = Field(
        default=None, description="Command line of the parity test (docs/protocol.md)."
    )
    check: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Command line that exits 0 where the engine can train natively, or prints one line: "
        "what is missing and what to do.",
    )
    programs: list[str] = Field(
        default_factory=list,
        description="Programs it calls that are not the system's: the caller's PATH is searched for them.",
    )
    environment: str | None = Field(
        default=None, description="Its lock is envs/NAME.txt; null for none."
    )
    colour: str | None = Field(
        default=None, pattern=r"^#[0-9a-fA-F]{6}$", description="Colour in figures."
    )
    wait_policy: str | None = Field(
        default=None,
        max_length=500,
        # One printable line: it is shown in the note of a table.
        pattern=r"^\S[^\x00-\x1f\x7f-\x9f]*$",
        description="How its runtime's threads wait for work: what spins is no idle window.",
    )
    test_limit: bool = Field(
        default=False,
        description="Whether it takes --test-limit: a warm-up then judges few examples, too.",
    )
    options: dict[str, OptionValue] = Field(
        default_factory=dict, description="Options with their defaults."
    )
    processor_only: dict[str, list[OptionValue]] = Field(
        default_factory=dict,
        description="Option -> values with which it has no GPU: `accelerator: auto` is then the processor.",
    )
    sources: list[str] = Field(
        default_factory=list,
        description="Paths beside its folder whose content decides its results.",
    )


@dataclass(frozen=True)
class Engine:
    """One engine of an experiment, its options resolved."""

    name: str
    folder: Path
    file: EngineFile
    options: dict[str, OptionValue]
    colour: str
    arm_of: str | None = None
    datasets: tuple[str, ...] | None = None
    """What it trains on; None for everything."""
    repetitions: int | None = None
    """Its own number of trainings; None for the experiment's."""
    train_limit: int | None = None
    """How many of the first examples it trains on; None for all."""

    @property
    def label(self) -> str:
        """Name in figures, with its own name if it is not the folder's, and with its limit."""
        label = self.file.label
        if self.name != self.folder.name:
            label += f" ({self.name})"
        if self.train_limit is not None:
            label += f", {self.train_limit:,} examples"
        return label

    @property
    def changed(self) -> dict[str, OptionValue]:
        """The options that are not its folder's defaults."""
        defaults = self.file.options
        return {name: value for name, value in self.options.items() if value != defaults[name]}

    @property
    def has_no_gpu(self) -> str:
        """The option that keeps it on the processor, as text; empty if it can use a GPU."""
        for name, values in self.file.processor_only.items():
            if self.options.get(name) in values:
                return f"{name}: {self.options[name]}"
        return ""

    def sources(self, root: Path) -> list[Path]:
        """Paths that decide what this engine computes: its folder and the sources it names."""
        return [root / self.folder] + [root / source for source in self.file.sources]

    def command(self, python: str) -> list[str]:
        """Its command line; `python` is the interpreter of its environment."""
        return self._filled(self.file.command, python)

    def parity(self, python: str) -> list[str]:
        """Its command line of the parity test; raises EvengroundError if it has none."""
        if self.file.parity_command is None:
            what = "it has no parity_command"
            where = f"{self.folder}/{DESCRIPTION}"
            raise EvengroundError(what, where, "docs/protocol.md describes it")
        return self._filled(self.file.parity_command, python)

    def check(self, python: str, accelerator: str) -> list[str]:
        """The command line that checks whether it is installed; empty if the pipeline installs it.

        It gets options and accelerator, too: an installation may support some of them only.
        """
        if not self.file.check:
            return []
        args = self._filled(self.file.check, python)
        for name, value in sorted(self.options.items()):
            if isinstance(value, bool):
                # As in YAML and JSON.
                value = str(value).lower()
            args += ["--option", f"{name}={value}"]
        return args + ["--accelerator", accelerator]

    def _filled(self, args: list[str], python: str) -> list[str]:
        return [arg.format(python=python, folder=self.folder) for arg in args]


def load_engines(choices: Sequence[EngineChoice], root: Path) -> list[Engine]:
    """Resolve an experiment's engines; raises EvengroundError for an unknown or invalid one."""
    engines: list[Engine] = []
    for number, choice in enumerate(choices):
        folder = _folder(choice)
        file = _read(root, folder, choice.name)
        for option in choice.options:
            if option not in file.options:
                raise EvengroundError(
                    f"engine '{choice.name}' has no option '{option}'",
                    f"{folder}/engine.yaml",
                    f"its options are: {', '.join(file.options) or 'none'}",
                )
        taken = {engine.colour for engine in engines}
        colour = _colour(file, taken, number)
        engine = Engine(
            name=choice.name,
            folder=folder,
            file=file,
            options=file.options | choice.options,
            colour=colour,
            arm_of=choice.arm_of,
            datasets=choice.datasets,
            repetitions=choice.repetitions,
            train_limit=choice.train_limit,
        )
        engines.append(engine)
    return engines


def engine_of(spec: EngineOfRun, folder: Path, root: Path) -> Engine:
    """The engine in `folder`, with the options of a run's specification.

    Raises EvengroundError if there is none, or if it is ill described.
    """
    return Engine(
        name=spec.name,
        folder=folder,
        file=_read(root, folder, spec.name),
        options=dict(spec.options),
        colour="",
        train_limit=spec.train_limit,
    )


def _folder(choice: EngineChoice) -> Path:
    folder = choice.folder or choice.name
    # Only a path has a slash, be it `./mine`.
    if "/" in folder:
        return Path(folder)
    return ENGINES / folder


def _colour(file: EngineFile, taken: set[str], number: int) -> str:
    """Its own colour or the first of the palette that no engine before it has; any, where all are taken."""
    for colour in (file.colour, *PALETTE):
        if colour is not None and colour not in taken:
            return colour
    return PALETTE[number % len(PALETTE)]


def _read(root: Path, folder: Path, name: str) -> EngineFile:
    path = root / folder / DESCRIPTION
    if not path.is_file():
        known = sorted(found.parent.name for found in (root / ENGINES).glob("*/engine.yaml"))
        raise EvengroundError(
            f"unknown engine '{name}'", f"no {folder}/engine.yaml", did_you_mean(name, known)
        )
    content = read_yaml(path)
    try:
        return EngineFile.model_validate(content)
    except ValidationError as error:
        raise EvengroundError(
            f"engine '{name}' is ill described: {first_fault(error)}",
            f"{folder}/engine.yaml",
            f"its keys are: {', '.join(EngineFile.model_fields)}",
        ) from None
