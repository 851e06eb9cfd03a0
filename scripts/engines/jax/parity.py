"""The parity test's side of JAX (docs/protocol.md): the training's own code, dropout off."""

from __future__ import annotations

import device  # first: it finds the protocol's module
import evenground_engine as protocol
import jax
from network import Network, initialise
from training import make_step, new_epoch, new_state, predict

import train

OPTIONS: dict[str, protocol.Option] = {
    **train.OPTIONS,
    "adam_epsilon": 1e-7,
    "batch_norm_momentum": 0.99,
}


def main() -> None:
    given = protocol.parity_arguments(OPTIONS)
    device.configure(given)
    batch_size, options = given.batch_size, given.options
    data = protocol.load_dataset(given.dataset, given.network, batch_size, given.steps * batch_size)
    network = Network(
        given.network,
        data.shape,
        data.classes,
        0.0,
        options["batch_norm_momentum"],
        device.convolution(given),
    )
    parameters, statistics = initialise(network, given.seed)
    weights = {**parameters, **statistics}
    if given.weights:
        weights = protocol.same_weights(protocol.load_weights(given.weights), weights)
    if given.export_weights:
        protocol.save_weights(given.export_weights, weights)
    parameters, statistics = (
        {name: weights[name] for name in part} for part in (parameters, statistics)
    )
    state = new_state(parameters, statistics, given.seed)

    step, losses = make_step(network, given.learning_rate, options["adam_epsilon"]), []
    for first in range(0, len(data.train.images), batch_size):
        rows = slice(first, first + batch_size)
        state = step(new_epoch(state), data.train.images[rows], data.train.labels[rows])
        losses.append(float(state.loss_sum))
    logits = predict(network, state, data.test.images, batch_size)
    protocol.write_parity(given.output, losses, jax.device_get(state.statistics), logits)


if __name__ == "__main__":
    protocol.cli(main)
