"""The command line an engine is started with. Part of every run's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evenground.config import OptionValue


@dataclass(frozen=True)
class Work:
    """What an engine is asked to do; the fields are the options of docs/protocol.md."""

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
        """The arguments behind the engine's own command."""
        given = {
            "dataset": self.dataset,
            "network": self.network,
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "learning-rate": repr(self.learning_rate),
            "seed": self.seed,
            "threads": self.threads,
            "accelerator": self.accelerator,
            "linger-s": repr(self.linger_s),
            "events": self.events,
        }
        if self.train_limit is not None:
            given["train-limit"] = self.train_limit
        if self.test_limit is not None:
            given["test-limit"] = self.test_limit
        words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        for key, value in sorted(self.options.items()):
            words += ["--option", f"{key}={_option_text(value)}"]
        return words


def _option_text(value: OptionValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
