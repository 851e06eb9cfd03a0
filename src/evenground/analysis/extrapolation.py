"""From a training on the first examples of a dataset to the time that all of them would take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from evenground.analysis.index import Index
from evenground.records.times import Moments


@dataclass(frozen=True)
class Sample:
    """A training on the first `examples` of `whole`, with the steps of each; None is not known."""

    examples: int
    whole: int | None
    steps: int | None
    whole_steps: int | None

    def whole_s(self, training_s: float, first_batch_s: float) -> float:
        """Seconds that all examples would take; NaN where `lacks` says why.

        first_batch_s + (training_s - first_batch_s) * (whole_steps - 1) / (steps - 1), with epochs *
        floor(examples / batch size) steps: the first step carries compilation and all others do the same
        work, so that after it the time is proportional to the steps. What an engine does once an epoch,
        whatever the number of examples, is multiplied too, which makes the result too long.
        """
        return first_batch_s + (training_s - first_batch_s) * self.factor

    @property
    def factor(self) -> float:
        """What the time after the first step is multiplied by; NaN where `lacks` says why."""
        if self.lacks or self.steps is None or self.whole_steps is None:
            return math.nan
        return (self.whole_steps - 1) / (self.steps - 1)

    @property
    def lacks(self) -> str:
        """Why the time cannot be extrapolated; empty where it can."""
        if self.whole is None:
            return "the size of the dataset is not recorded"
        if self.steps is None or self.whole_steps is None:
            return "the number of steps is not recorded"
        return "" if self.steps > 1 else "no step after the first one"

    @property
    def words(self) -> str:
        """How much of how much, for a sentence."""
        return f"{self.examples:,} of {'?' if self.whole is None else f'{self.whole:,}'} examples"


def formula_error(sample: Sample, events: Moments) -> float:
    """Relative standard error of `Sample.whole_s` by its own data: NaN where that is not known.

    |ln(time from all of the sample / time from its first half)| / sqrt(3), as of an error that is uniform
    between both signs of it. The half is the first half of the epochs, the middle one inside: of one epoch
    there is none.
    """
    epochs = len(events.epochs)
    half = math.ceil(epochs / 2)
    if sample.lacks or sample.steps is None or half == epochs:
        return math.nan
    halved = replace(sample, steps=sample.steps * half // epochs)
    first_batch_s = _after_start_s(events, events.first_batch_end_ns)
    from_all = sample.whole_s(_after_start_s(events, events.train_end_ns), first_batch_s)
    half_s = _after_start_s(events, events.epochs[half - 1].end_ns)
    from_half = halved.whole_s(half_s, first_batch_s)
    return abs(math.log(from_all / from_half)) / math.sqrt(3)


def _after_start_s(events: Moments, at_ns: int) -> float:
    return (at_ns - events.train_start_ns) / 1e9


def find_sample(index: Index, dataset: str, engine: str) -> Sample | None:
    """What an engine trained on of a dataset, by their names in the index; None where it was the whole."""
    data = next(one for one in index.datasets if one.name == dataset)
    examples = data.sample(next(one for one in index.engines if one.name == engine))
    if examples is None:
        return None
    whole = data.train_examples
    return Sample(
        examples, whole, _steps(index.parameters, examples), _steps(index.parameters, whole)
    )


def _steps(parameters: Mapping[str, Any], examples: int | None) -> int | None:
    """Steps of a whole training on so many examples."""
    epochs, batch_size = parameters.get("epochs"), parameters.get("batch_size")
    counts = [value for value in (epochs, batch_size) if isinstance(value, int) and value > 0]
    return None if examples is None or len(counts) < 2 else counts[0] * (examples // counts[1])
