"""Train one network in JAX as docs/specification.md says and write its events (docs/protocol.md)."""

from __future__ import annotations

import time
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
    """All epochs, in the given order; the short last batch is left out."""
    batch_size = args.batch_size
    batches = len(data.images) // batch_size
    for epoch in range(1, args.epochs + 1):
        events.emit("epoch_start", epoch=epoch)
        state = new_epoch(state)
        for batch in range(batches):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            state = step(state, data.images[rows], data.labels[rows])
            if epoch == 1 and batch == 0:
                events.emit("first_batch_end", epoch=1, loss=float(state.loss_sum))
        loss, accuracy = (
            float(state.loss_sum) / batches,
            int(state.correct) / (batches * batch_size),
        )
        events.emit(
            "epoch_end", epoch=epoch, loss=loss, accuracy=accuracy, examples=batches * batch_size
        )
    return state


def evaluate(
    network: Network, state: State, data: protocol.Split, batch_size: int, events: protocol.Events
) -> None:
    """Count the correct answers on all test examples in inference mode."""
    events.emit("evaluate_start")
    found = predict(network, state, data.images, batch_size).argmax(axis=1)
    correct, examples = int((found == data.labels).sum()), len(found)
    events.emit("evaluate_end", accuracy=correct / examples, correct=correct, examples=examples)


def main() -> None:
    args = protocol.training_arguments(OPTIONS)
    name = device.configure(args)
    events = protocol.Events(args.events)
    events.emit("start", engine="jax", versions=device.VERSIONS, device=name, options=args.options)
    events.emit("load_start")
    limits = (args.train_limit, args.test_limit)
    data = protocol.load_dataset(args.dataset, args.network, args.batch_size, *limits)
    events.emit(
        "load_end", train_examples=len(data.train.images), test_examples=len(data.test.images)
    )

    network = Network(args.network, data.shape, data.classes, convolution=device.convolution(args))
    step = make_step(network, args.learning_rate)
    state = new_state(*initialise(network, args.seed), args.seed)
    events.emit(
        "train_start",
        seed=args.seed,
        epochs=args.epochs,
        batch_size=args.batch_size,
        network=args.network,
        parameters=sum(weight.size for weight in state.parameters.values()),
    )
    state = jax.block_until_ready(train(step, state, data.train, args, events))
    events.emit("train_end")
    evaluate(network, state, data.test, args.batch_size, events)

    time.sleep(args.linger_s)
    events.emit("linger_end", linger_s=args.linger_s)
    events.emit("end")


if __name__ == "__main__":
    protocol.cli(main)
