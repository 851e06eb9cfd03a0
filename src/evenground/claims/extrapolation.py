"""From a training on the first images of a dataset to the time that all of them would take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenground.analysis.index import Index


@dataclass(frozen=True)
class Sample:
    """A training on the first `images` of `whole`, with the steps of each; None is not known."""

    images: int
    whole: int | None
    steps: int | None
    whole_steps: int | None

    def whole_s(self, training_s: float, first_batch_s: float) -> float:
        """Seconds that all images would take; NaN where `lacks` says why.

        first_batch_s + (training_s - first_batch_s) * (whole_steps - 1) / (steps - 1), with epochs *
        floor(images / batch size) steps: the first step carries compilation and all others do the same work,
        so that after it the time is proportional to the steps. What an engine does once an epoch, whatever
        the number of images, is multiplied too, which makes the result too long.
        """
        if self.lacks or self.steps is None or self.whole_steps is None:
            return math.nan
        return first_batch_s + (training_s - first_batch_s) * (self.whole_steps - 1) / (self.steps - 1)

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
        return f"{self.images:,} of {'?' if self.whole is None else f'{self.whole:,}'} images"


def find_sample(index: Index, dataset: str, engine: str) -> Sample | None:
    """What an engine trained on of a dataset, by their names in the index; None where it was the whole."""
    data = next(one for one in index.datasets if one.name == dataset)
    images = data.sample(next(one for one in index.engines if one.name == engine))
    if images is None:
        return None
    whole = data.train_images
    return Sample(images, whole, _steps(index.parameters, images), _steps(index.parameters, whole))


def _steps(parameters: Mapping[str, Any], images: int | None) -> int | None:
    """Steps of a whole training on so many images."""
    epochs, batch_size = parameters.get("epochs"), parameters.get("batch_size")
    counts = [value for value in (epochs, batch_size) if isinstance(value, int) and value > 0]
    return None if images is None or len(counts) < 2 else counts[0] * (images // counts[1])
