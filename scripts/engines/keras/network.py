"""The two networks of docs/specification.md in Keras, compiled as they are trained."""

from __future__ import annotations

import feed
import keras
import numpy as np
from keras import layers


def build(
    network: str,
    shape: tuple[int, int, int],
    classes: int,
    dropout: float = 0.5,
    batch_norm_momentum: float = 0.99,
    as_published: bool = False,
) -> keras.Model:
    """Return network `mlp` or `cnn` for images of `shape` (H,W,C); it returns logits (N, classes).

    With `as_published` it is the one in the thesis's public Python code, which differs from the
    thesis's text; `dropout` and `batch_norm_momentum` do not apply to it.
    """
    if as_published:
        return keras.Sequential([keras.Input(shape)] + published_layers(network, classes))

    def norm(name: str) -> layers.Layer:
        return layers.BatchNormalization(momentum=batch_norm_momentum, epsilon=1e-3, name=name)

    if network == "mlp":
        hidden = [
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="dense_1"),
        ]
    else:
        hidden = [
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            norm("norm_1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", name="conv_2"),
            norm("norm_2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="dense_1"),
        ]
    output = [layers.Dropout(dropout), layers.Dense(classes, name="dense_2")]
    return keras.Sequential([keras.Input(shape)] + hidden + output)


def published_layers(network: str, classes: int) -> list[layers.Layer]:
    """The public code's layers: two hidden ones in `mlp`, no batch norm and no dropout in `cnn`."""
    if network == "mlp":
        return [
            layers.Flatten(),
            layers.Dense(128, activation="relu", name="dense_1"),
            layers.Dense(128, activation="relu", name="dense_2"),
            layers.Dropout(0.5),
            layers.Dense(classes, name="dense_3"),
        ]
    return [
        layers.Conv2D(32, 3, activation="relu", name="conv_1"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu", name="conv_2"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(64, activation="relu", name="dense_1"),
        layers.Dense(classes, name="dense_2"),
    ]


def compile_model(
    model: keras.Model,
    learning_rate: float,
    adam_epsilon: float = 1e-7,
    jit_compile: bool = False,
    steps_per_execution: int = 1,
    run_eagerly: bool = False,
    sgd: bool = False,
) -> None:
    """Compile with the specification's loss, optimiser and metric; with `sgd`, with Keras's SGD."""
    if sgd:
        optimizer = keras.optimizers.SGD()
    else:
        optimizer = keras.optimizers.Adam(
            learning_rate, beta_1=0.9, beta_2=0.999, epsilon=adam_epsilon
        )
    model.compile(
        # From logits: the softmax is part of the loss, so that no probability has to be clipped.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=optimizer,
        metrics=["accuracy"],
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
        run_eagerly=run_eagerly,
    )


def fit(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
    through: str = "pipeline",
    shuffle: bool = False,
) -> None:
    """Train on whole batches of images (N,H,W,C) and labels (N,); a short last one is left out.

    `through` is one of `feed.FEEDS`, which give the same batches in the given order. With
    `shuffle`, which needs arrays, the order changes each epoch.
    """
    settings = {"epochs": epochs, "callbacks": callbacks, "shuffle": shuffle, "verbose": 0}
    if through == "pipeline":
        model.fit(feed.training_batches(images, labels, batch_size), **settings)
        return
    examples = len(images) - len(images) % batch_size
    model.fit(images[:examples], labels[:examples], batch_size=batch_size, **settings)


def predict(
    model: keras.Model, images: np.ndarray, batch_size: int, through: str = "pipeline"
) -> np.ndarray:
    """Logits (N, classes) of images (N,H,W,C) in inference mode, the short last batch too."""
    if through == "pipeline":
        return model.predict(feed.inference_batches(images, batch_size), verbose=0)
    return model.predict(images, batch_size=batch_size, verbose=0)


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by canonical name, e.g. `dense_1.kernel`."""
    weights = {}
    for layer in model.layers:
        for weight in layer.weights:
            weights[f"{layer.name}.{weight.name}"] = weight
    return weights
