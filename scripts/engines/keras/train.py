"""Train one network of docs/specification.md in Keras and write its events (docs/protocol.md)."""

from __future__ import annotations

import math
from argparse import Namespace

import device  # first: it chooses the backend
import evenground_engine as protocol
import feed
import keras
import network

OPTIONS: dict[str, protocol.Option] = {
    "jit_compile": False,
    "steps_per_execution": 1,
    "run_eagerly": False,
    "memory_growth": True,
    "tf32": False,
    "feed": "pipeline",
    "as_published": False,
}
# Those that `compile_model` takes.
COMPILE_OPTIONS = ("jit_compile", "steps_per_execution", "run_eagerly")


class ReportEpochs(keras.callbacks.Callback):
    """Writes the events of `fit`; Keras has the logs on the host before it calls these methods."""

    # Without this Keras would wait for every step's metrics before it starts the next step.
    async_safe = True

    def __init__(self, events: protocol.Events, examples: int, steps_per_execution: int) -> None:
        super().__init__()
        self.events = events
        self.examples = examples
        self.steps_per_execution = steps_per_execution
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.epoch = epoch + 1
        self.events.emit("epoch_start", epoch=self.epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        # `batch` is the last one of an execution of several steps.
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
    """Train all epochs, between the events `train_start` and `train_end`."""
    examples = len(data.train.images) - len(data.train.images) % args.batch_size
    report = ReportEpochs(events, examples, args.options["steps_per_execution"])
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    protocol.training_starts(args, parameters, events)
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


def main() -> None:
    """Train as the command line says; raises EngineError for a wrong one."""
    args = protocol.training_arguments(OPTIONS)
    if args.options["steps_per_execution"] < 1:
        raise protocol.EngineError(
            "must be at least 1", "--option steps_per_execution", "its default is 1"
        )
    # The event `start` has the feed that is used, not the one in the command line.
    args.options["feed"] = feed.chosen(args.options)
    name = device.configure(args)
    events = protocol.start("keras", device.VERSIONS, name, args)
    data = protocol.load(args, events)

    published = args.options["as_published"]
    model = network.build(args.network, data.shape, data.classes, as_published=published)
    settings = {name: args.options[name] for name in COMPILE_OPTIONS}
    # The public code trains the CNN with Keras's SGD.
    sgd = published and args.network == "cnn"
    network.compile_model(model, args.learning_rate, sgd=sgd, **settings)
    train(model, data, args, events)
    protocol.evaluate(
        lambda images: network.predict(model, images, args.batch_size, args.options["feed"]),
        data.test,
        events,
    )
    protocol.finish(args, events)


if __name__ == "__main__":
    protocol.cli(main)
