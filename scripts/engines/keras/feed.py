"""How images reach Keras: through the engine's own tf.data pipeline, or as arrays.

The pipeline is not autotuned: if it were, an epoch might wait at its end (docs/specification.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from evenground_engine import EngineError, Option

FEEDS = ("pipeline", "arrays")
# The next batch is cut while the step computes; prefetching more was no faster.
PREFETCHED_BATCHES = 2
# By default TensorFlow puts the whole split on the GPU, and cuts the batches on the host anyway.
HOST = "CPU:0"


def chosen(options: Mapping[str, Option]) -> str:
    """Return the feed to use, `pipeline` or `arrays`; `as_published` implies arrays.

    Raises EngineError for any other word.
    """
    feed = str(options["feed"])
    if feed not in FEEDS:
        fix = f"give one of: {', '.join(FEEDS)}"
        raise EngineError(f"unknown feed '{feed}'", "--option feed", fix)
    if options["as_published"]:
        # The thesis's public code passes its arrays to `fit`, which shuffles them.
        return "arrays"
    return feed


def training_batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Cut images (N,H,W,C) and labels (N,) into whole batches in their order; no short last one."""
    steps = len(images) // batch_size
    examples = steps * batch_size
    # One element of the dataset is one batch: one copy, instead of a gather or a copy per image.
    batches = images[:examples].reshape((steps, batch_size) + images.shape[1:])
    labels_of_batches = labels[:examples].reshape(steps, batch_size)
    with tf.device(HOST):
        pipeline = tf.data.Dataset.from_tensor_slices((batches, labels_of_batches))
        return untuned(pipeline.prefetch(PREFETCHED_BATCHES))


def inference_batches(images: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """All images (N,H,W,C) in batches (batch,H,W,C), the short last one too."""
    with tf.device(HOST):
        pipeline = tf.data.Dataset.from_tensor_slices(images)
        return untuned(pipeline.batch(batch_size).prefetch(PREFETCHED_BATCHES))


def untuned(pipeline: tf.data.Dataset) -> tf.data.Dataset:
    """`pipeline` without the thread that tunes it, and without optimisations of its graph."""
    options = tf.data.Options()
    options.autotune.enabled = False
    # Rewriting the graph of so short a pipeline gains nothing.
    options.experimental_optimization.apply_default_optimizations = False
    return pipeline.with_options(options)
