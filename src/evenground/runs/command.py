"""The command line an engine is started with. It is part of every run's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.config import OptionValue


@dataclass(frozen=True)
class Work:
    """What an engine has to do; the fields are the options of docs/protocol.md."""

    dataset: Path
    network: str
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    threads: int
    accelerator: str
    linger_s: float
    events: Path
    train_limit: int | None = None
    test_limit: int | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """The arguments after the engine's own command."""
        args = []
        for field_name, value in vars(self).items():
            if field_name != "options" and value is not None:
                name = field_name.replace("_", "-")
                # Python writes a float with all the digits that it takes to read the same number.
                args += [f"--{name}", str(value)]
        for name, option in sorted(self.options.items()):
            # In any language an engine reads `true`, not Python's `True`.
            text = str(option).lower() if isinstance(option, bool) else str(option)
            args += ["--option", f"{name}={text}"]
        return args
