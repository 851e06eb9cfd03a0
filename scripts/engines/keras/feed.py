"""How images reach Keras: through a tf.data pipeline of the engine's own, or as the arrays themselves.

The pipeline is not autotuned: if it were, an epoch might wait at its end (docs/specification.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from evenground_engine import EngineError, Option

FEEDS = ("pipeline", "arrays")
# The next batch is cut while the step computes; more of them were no faster.
PREFETCHED_BATCHES = 2
# TensorFlow would put the whole split on the card, and cut the batches on the host all the same.
HOST = "CPU:0"


def chosen(options: Mapping[str, Option]) -> str:
    """`pipeline` or `arrays`; EngineError for any other word. `as_published` implies arrays."""
    feed = str(options["feed"])
    if feed not in FEEDS:
        raise EngineError(
            f"unknown feed '{feed}'", "--option feed", f"give one of: {', '.join(FEEDS)}"
        )
    # The thesis's public code hands its arrays to `fit`, which shuffles them.
    return "arrays" if options["as_published"] else feed


def training_batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Whole batches in the given order, images (batch,H,W,C) and labels (batch,); no short last one."""
    steps = len(images) // batch_size
    whole = steps * batch_size
    # One element of the dataset is one batch: a single copy, instead of a gather or one copy per image.
    batches = images[:whole].reshape(steps, batch_size, *images.shape[1:])
    wanted = labels[:whole].reshape(steps, batch_size)
    with tf.device(HOST):
        pipeline = tf.data.Dataset.from_tensor_slices((batches, wanted))
        return untuned(pipeline.prefetch(PREFETCHED_BATCHES))


def inference_batches(images: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """All images in batches (batch,H,W,C), the short last one too."""
    with tf.device(HOST):
        pipeline = tf.data.Dataset.from_tensor_slices(images)
        return untuned(pipeline.batch(batch_size).prefetch(PREFETCHED_BATCHES))


def untuned(pipeline: tf.data.Dataset) -> tf.data.Dataset:
    """`pipeline` without the thread that tunes it and without rewriting its graph, which gains nothing."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return pipeline.with_options(options)
