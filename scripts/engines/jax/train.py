"""Train one network of docs/specification.md in JAX and write its events (docs/protocol.md)."""

from __future__ import annotations

from argparse import Namespace

import device  # first: it finds the protocol's module
import evenground_engine as protocol
import jax
from network import Network, initialise
from training import State, Step, make_step, new_epoch, new_state, predict

OPTIONS: dict[str, protocol.Option] = {
    "disable_jit": False,
    "convolution": "auto",
    "preallocate": False,
    "tf32": False,
}


def train(
    step: Step, state: State, data: protocol.Split, args: Namespace, events: protocol.Events
) -> State:
    """Train all epochs on whole batches in the given order; the short last batch is left out."""
    batch_size = args.batch_size
    batches = len(data.images) // batch_size
    examples = batches * batch_size
    for epoch in range(1, args.epochs + 1):
        events.emit("epoch_start", epoch=epoch)
        state = new_epoch(state)
        for first in range(0, examples, batch_size):
            rows = slice(first, first + batch_size)
            state = step(state, data.images[rows], data.labels[rows])
            if epoch == 1 and first == 0:
                # float() waits until the device has finished the step.
                events.emit("first_batch_end", epoch=1, loss=float(state.loss_sum))
        loss = float(state.loss_sum) / batches
        accuracy = int(state.correct) / examples
        events.emit("epoch_end", epoch=epoch, loss=loss, accuracy=accuracy, examples=examples)
    return state


def main() -> None:
    args = protocol.training_arguments(OPTIONS)
    name = device.configure(args)
    events = protocol.start("jax", device.VERSIONS, name, args)
    data = protocol.load(args, events)

    network = Network(
        name=args.network,
        shape=data.shape,
        classes=data.classes,
        convolution=device.convolution(args),
    )
    parameters, statistics = initialise(network, args.seed)
    step = make_step(network, args.learning_rate)
    state = new_state(parameters, statistics, args.seed)
    protocol.training_starts(args, sum(weight.size for weight in parameters.values()), events)
    state = jax.block_until_ready(train(step, state, data.train, args, events))
    events.emit("train_end")
    protocol.evaluate(
        lambda images: predict(network, state, images, args.batch_size), data.test, events
    )
    protocol.finish(args, events)


if __name__ == "__main__":
    protocol.cli(main)
