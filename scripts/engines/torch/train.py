"""Train one network of docs/specification.md in PyTorch and write its events (docs/protocol.md)."""

from __future__ import annotations

from argparse import Namespace

import device  # first: it finds the protocol's module, and how OpenMP waits
import evenground_engine as protocol
import network
import torch
from training import Adam, Step, predict

OPTIONS: dict[str, protocol.Option] = {"compile": False, "tf32": False}


def train(step: Step, data: protocol.Split, args: Namespace, events: protocol.Events) -> None:
    """Train all epochs on whole batches in the given order; the short last batch is left out."""
    batch_size = args.batch_size
    batches = len(data.images) // batch_size
    examples = batches * batch_size
    images = torch.from_numpy(data.images)
    labels = torch.from_numpy(data.labels).to(torch.int64)
    for epoch in range(1, args.epochs + 1):
        events.emit("epoch_start", epoch=epoch)
        step.new_epoch()
        for first in range(0, examples, batch_size):
            rows = slice(first, first + batch_size)
            step(images[rows], labels[rows])
            if epoch == 1 and first == 0:
                # item() waits until the device has finished the step.
                events.emit("first_batch_end", epoch=1, loss=step.loss_sum.item())
        loss = step.loss_sum.item() / batches
        accuracy = step.correct.item() / examples
        events.emit("epoch_end", epoch=epoch, loss=loss, accuracy=accuracy, examples=examples)


def main() -> None:
    args = protocol.training_arguments(OPTIONS)
    name = device.configure(args)
    events = protocol.start("torch", device.VERSIONS, name, args)
    data = protocol.load(args, events)

    where = device.target(args)
    model = network.build(args.network, data.shape, data.classes, args.seed).to(where)
    optimiser = Adam(model.parameters(), args.learning_rate, epsilon=1e-7)
    parameters = sum(values.numel() for values in model.parameters())
    compiled = torch.compile(model) if args.options["compile"] else model
    step = Step(compiled, optimiser, where)
    model.train()
    protocol.training_starts(args, parameters, events)
    train(step, data.train, args, events)
    events.emit("train_end")
    protocol.evaluate(
        lambda images: predict(model, images, args.batch_size, where), data.test, events
    )
    protocol.finish(args, events)


if __name__ == "__main__":
    protocol.cli(main)
