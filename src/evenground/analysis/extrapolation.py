"""From a training on the first examples of a dataset to the time that all of them would take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evenground.records.index import Condition
from evenground.records.plan import Parameters
from evenground.records.times import Moments


@dataclass(frozen=True)
class Sample:
    """A training on the first `examples` of `whole`, with the steps of each; None if unknown."""

    examples: int
    whole: int | None
    steps: int | None
    whole_steps: int | None

    def whole_s(self, training_s: float, first_batch_s: float) -> float:
        """Seconds that all examples would take; NaN if `lacks` says why not.

        first_batch_s + (training_s - first_batch_s) * (whole_steps - 1) / (steps - 1), with epochs
        * floor(examples / batch size) steps: the first step includes compilation and all others do
        the same work, so after it the time is proportional to the steps. What an engine does once
        an epoch, for any number of examples, is multiplied too, which overestimates the time.
        """
        return first_batch_s + (training_s - first_batch_s) * self.factor

    @property
    def factor(self) -> float:
        """What the time after the first step is multiplied by; NaN if `lacks` says why not."""
        if self.lacks or self.steps is None or self.whole_steps is None:
            return math.nan
        return (self.whole_steps - 1) / (self.steps - 1)

    @property
    def lacks(self) -> str:
        """Why the time cannot be extrapolated; empty if it can."""
        if self.whole is None:
            return "the size of the dataset is not recorded"
        if self.steps is None or self.whole_steps is None:
            return "the number of steps is not recorded"
        if self.steps <= 1:
            return "no step after the first one"
        return ""

    @property
    def words(self) -> str:
        """How much of how much, for a sentence."""
        whole = "?"
        if self.whole is not None:
            whole = f"{self.whole:,}"
        return f"{self.examples:,} of {whole} examples"


def formula_error(sample: Sample, events: Moments) -> float:
    """Relative standard error of `Sample.whole_s`, from the run's own epochs; NaN if unknown.

    |ln(time from all of the sample / time from its first half)| / sqrt(3), for an error that is
    uniform between both signs of it. The half is the first half of the epochs, including the middle
    one: a single epoch has no half.
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


def find_sample(condition: Condition, dataset: str, engine: str) -> Sample | None:
    """The part of a dataset that an engine trained on; None if it was all of it.

    Both names must be in the condition.
    """
    datasets = {data.name: data for data in condition.datasets}
    engines = {each.name: each for each in condition.engines}
    examples = datasets[dataset].sample(engines[engine])
    if examples is None:
        return None
    whole = datasets[dataset].train_examples
    return Sample(
        examples=examples,
        whole=whole,
        steps=_steps(condition.parameters, examples),
        whole_steps=_steps(condition.parameters, whole),
    )


def _steps(parameters: Parameters, examples: int | None) -> int | None:
    """Steps of a training on so many examples; None if their number is not recorded."""
    if examples is None:
        return None
    return parameters.epochs * (examples // parameters.batch_size)
