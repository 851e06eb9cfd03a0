"""Train one network in Keras as docs/specification.md says and write its events (docs/protocol.md)."""

from __future__ import annotations

import math
import time
from argparse import Namespace

import device  # first: it chooses the backend
import evenground_engine as protocol
import feed
import keras
import network
import numpy as np

OPTIONS: dict[str, protocol.Option] = {
    "jit_compile": False,
    "steps_per_execution": 1,
    "run_eagerly": False,
    "memory_growth": True,
    "tf32": False,
    "feed": "pipeline",
    "as_published": False,
}
HOW = ("jit_compile", "steps_per_execution", "run_eagerly")  # the options of `compile_model`


class ReportEpochs(keras.callbacks.Callback):
    """Writes the events of `fit`. Keras has the logs on the host before it calls these methods."""

    # Without it Keras would wait for every step's metrics before it starts the next step.
    async_safe = True

    def __init__(self, events: protocol.Events, examples: int, steps_per_execution: int) -> None:
        super().__init__()
        self.events, self.examples, self.steps_per_execution = events, examples, steps_per_execution
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1
        self.events.emit("epoch_start", epoch=self.epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.epoch == 1 and batch < self.steps_per_execution:
            self.events.emit("first_batch_end", epoch=1, loss=float(logs["loss"]))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        self.events.emit(
            "epoch_end", epoch=self.epoch, loss=loss, accuracy=accuracy, examples=self.examples
        )


def train(
    model: keras.Model, data: protocol.Dataset, args: Namespace, events: protocol.Events
) -> None:
    """All epochs, between the events `train_start` and `train_end`."""
    examples = len(data.train.images) - len(data.train.images) % args.batch_size
    report = ReportEpochs(events, examples, args.options["steps_per_execution"])
    events.emit(
        "train_start",
        seed=args.seed,
        epochs=args.epochs,
        batch_size=args.batch_size,
        network=args.network,
        parameters=sum(math.prod(weight.shape) for weight in model.trainable_weights),
    )
    network.fit(
        model,
        data.train.images,
        data.train.labels,
        args.batch_size,
        args.epochs,
        [report],
        through=args.options["feed"],
        shuffle=args.options["as_published"],
    )
    events.emit("train_end")


def evaluate(
    model: keras.Model, data: protocol.Dataset, args: Namespace, events: protocol.Events
) -> None:
    """Count the correct answers on all test examples in inference mode."""
    events.emit("evaluate_start")
    logits = network.predict(model, data.test.images, args.batch_size, args.options["feed"])
    correct, examples = int(np.sum(logits.argmax(axis=1) == data.test.labels)), len(logits)
    events.emit("evaluate_end", accuracy=correct / examples, correct=correct, examples=examples)


def main() -> None:
    args = protocol.training_arguments(OPTIONS)
    if args.options["steps_per_execution"] < 1:
        raise protocol.EngineError(
            "must be at least 1", "--option steps_per_execution", "its default is 1"
        )
    # What is used, not what was asked for, stands in the event `start`.
    args.options["feed"] = feed.chosen(args.options)
    name = device.configure(args)
    events = protocol.Events(args.events)
    events.emit(
        "start", engine="keras", versions=device.VERSIONS, device=name, options=args.options
    )
    events.emit("load_start")
    limits = (args.train_limit, args.test_limit)
    data = protocol.load_dataset(args.dataset, args.network, args.batch_size, *limits)
    events.emit(
        "load_end", train_examples=len(data.train.images), test_examples=len(data.test.images)
    )

    published = args.options["as_published"]
    model = network.build(args.network, data.shape, data.classes, as_published=published)
    how = {key: args.options[key] for key in HOW}
    network.compile_model(model, args.learning_rate, sgd=published and args.network == "cnn", **how)
    train(model, data, args, events)
    evaluate(model, data, args, events)

    time.sleep(args.linger_s)
    events.emit("linger_end", linger_s=args.linger_s)
    events.emit("end")


if __name__ == "__main__":
    protocol.cli(main)
