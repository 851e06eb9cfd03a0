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
    """Network `mlp` or `cnn` for images of `shape` (H,W,C); its output are logits (N, classes).

    `as_published` gives those of the thesis's public Python code, which are not the ones it describes.
    """
    if as_published:
        return keras.Sequential([keras.Input(shape), *published_layers(network, classes)])

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
    return keras.Sequential([keras.Input(shape), *hidden, *output])


def published_layers(network: str, classes: int) -> list[layers.Layer]:
    """Two hidden layers in the `mlp`; neither batch norm nor dropout in the `cnn`."""
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
    """Give `model` the specification's loss, optimiser and metric; with `sgd` Keras's SGD, as published."""
    adam = keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.999, epsilon=adam_epsilon)
    model.compile(
        # From logits: the softmax is part of the loss, so that no probability has to be clipped.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD() if sgd else adam,
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
    """Train on whole batches in the given order; the short last batch is left out.

    `through` is a feed of `feed.FEEDS`, both of which give the same batches. With `shuffle`, which needs
    arrays, the order changes each epoch.
    """
    how = {"epochs": epochs, "callbacks": callbacks, "shuffle": shuffle, "verbose": 0}
    if through == "pipeline":
        model.fit(feed.training_batches(images, labels, batch_size), **how)
        return
    whole = len(images) - len(images) % batch_size
    model.fit(images[:whole], labels[:whole], batch_size=batch_size, **how)


def predict(
    model: keras.Model, images: np.ndarray, batch_size: int, through: str = "pipeline"
) -> np.ndarray:
    """Logits (N, classes) of all images in inference mode, the short last batch too."""
    if through == "pipeline":
        return model.predict(feed.inference_batches(images, batch_size), verbose=0)
    return model.predict(images, batch_size=batch_size, verbose=0)


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its canonical name, such as `dense_1.kernel`."""
    return {
        f"{layer.name}.{w.name}": w
        for layer in model.layers
        for w in layer.weights
        if w.dtype == "float32"
    }
