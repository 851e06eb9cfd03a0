"""The best bare Keras training of either network, started by bench_feed.py in Keras's environment.

It stands alone on purpose: networks, feed and loop are written out again, with no events, callbacks or
options. `--loop fit` is what an expert writes; `--loop steps` does without `fit` and shows what that costs.
Its one line of output has the training's ends on the system's clock and the loss of every epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH_SIZE = 32


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--network", choices=["mlp", "cnn"], required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--examples", type=int, help="train on the first so many only")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--loop", choices=["fit", "steps"], required=True)
    return parser.parse_args()


def mlp(classes: int) -> list[layers.Layer]:
    return [
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(classes),
    ]


def cnn(classes: int) -> list[layers.Layer]:
    return [
        layers.Conv2D(32, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(classes),
    ]


def arrays(folder: Path, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (N,H,W,C) from 0 to 1, and labels int32 (N,)."""
    images = np.load(folder / "train_images.npy")[:limit].astype(np.float32) / np.float32(255)
    return images, np.load(folder / "train_labels.npy")[:limit].astype(np.int32)


def pipeline(images: np.ndarray, labels: np.ndarray) -> tf.data.Dataset:
    """Whole batches, each copied in one piece, the next one while the step computes."""
    steps = len(images) // BATCH_SIZE
    images = images[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE, *images.shape[1:])
    labels = labels[: steps * BATCH_SIZE].reshape(steps, BATCH_SIZE)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return tf.data.Dataset.from_tensor_slices((images, labels)).prefetch(2).with_options(options)


def by_steps(model: keras.Model, batches: tf.data.Dataset, epochs: int) -> list[float]:
    """Train by a loop of our own around Keras's step; the loss of every epoch."""

    @tf.function
    def step(iterator: tf.data.Iterator) -> None:
        model.train_step(next(iterator))

    losses = []
    model.optimizer.build(model.trainable_variables)
    for _ in range(epochs):
        model.reset_metrics()
        iterator = iter(batches)
        for _ in range(len(batches)):
            step(iterator)
        losses.append(float(model.get_metrics_result()["loss"]))
    return losses


def main() -> None:
    given = arguments()
    tf.config.threading.set_intra_op_parallelism_threads(given.threads)
    tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    keras.utils.set_random_seed(given.seed)
    images, labels = arrays(given.dataset, given.examples)
    described = json.loads((given.dataset / "dataset.json").read_text(encoding="utf-8"))
    stack = {"mlp": mlp, "cnn": cnn}[given.network](len(described["classes"]))
    model = keras.Sequential([keras.Input(images.shape[1:]), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.001), loss, metrics=["accuracy"], jit_compile=False)

    # From the arrays on, as the engine's training: TensorFlow copies them all before the first step.
    start_unix_ns = time.time_ns()
    batches = pipeline(images, labels)
    if given.loop == "steps":
        losses = by_steps(model, batches, given.epochs)
    else:
        losses = model.fit(batches, epochs=given.epochs, shuffle=False, verbose=0).history["loss"]
    end_unix_ns = time.time_ns()
    print(
        json.dumps({"start_unix_ns": start_unix_ns, "end_unix_ns": end_unix_ns, "losses": losses})
    )


if __name__ == "__main__":
    main()
