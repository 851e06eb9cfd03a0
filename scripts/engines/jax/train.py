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
    step: Step, state: State, data: protocol.Split, given: Namespace, events: protocol.Events
) -> State:
    """All epochs, in the given order; the short last batch is left out."""
    batch_size = given.batch_size
    batches = len(data.images) // batch_size
    for epoch in range(1, given.epochs + 1):
        events.emit("epoch_start", epoch=epoch)
        state = new_epoch(state)
        for batch in range(batches):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            state = step(state, data.images[rows], data.labels[rows])
            if epoch == 1 and batch == 0:
                events.emit("first_batch_end", epoch=1, loss=float(state.loss_sum))
        loss, accuracy = float(state.loss_sum) / batches, int(state.hits) / (batches * batch_size)
        events.emit(
            "epoch_end", epoch=epoch, loss=loss, accuracy=accuracy, images=batches * batch_size
        )
    return state


def evaluate(
    network: Network, state: State, data: protocol.Split, batch_size: int, events: protocol.Events
) -> None:
    """Count the hits on all test images in inference mode."""
    events.emit("evaluate_start")
    found = predict(network, state, data.images, batch_size).argmax(axis=1)
    hits, images = int((found == data.labels).sum()), len(found)
    events.emit("evaluate_end", accuracy=hits / images, hits=hits, images=images)


def main() -> None:
    given = protocol.training_arguments(OPTIONS)
    name = device.configure(given)
    events = protocol.Events(given.events)
    events.emit("start", engine="jax", versions=device.VERSIONS, device=name, options=given.options)
    events.emit("load_start")
    limits = (given.train_limit, given.test_limit)
    data = protocol.load_dataset(given.dataset, given.network, given.batch_size, *limits)
    events.emit("load_end", train_images=len(data.train.images), test_images=len(data.test.images))

    network = Network(
        given.network, data.shape, data.classes, convolution=device.convolution(given)
    )
    step = make_step(network, given.learning_rate)
    state = new_state(*initialise(network, given.seed), given.seed)
    events.emit(
        "train_start",
        seed=given.seed,
        epochs=given.epochs,
        batch_size=given.batch_size,
        network=given.network,
        parameters=sum(weight.size for weight in state.parameters.values()),
    )
    state = jax.block_until_ready(train(step, state, data.train, given, events))
    events.emit("train_end")
    evaluate(network, state, data.test, given.batch_size, events)

    time.sleep(given.linger_s)
    events.emit("linger_end", linger_s=given.linger_s)
    events.emit("end")


if __name__ == "__main__":
    protocol.cli(main)
