"""JAX's command for the parity test (docs/protocol.md): the training's code, without dropout."""

from __future__ import annotations

import device  # first: it finds the protocol's module
import evenground_engine as protocol
import jax
from network import Network, initialise
from training import make_step, new_epoch, new_state, predict

import train

OPTIONS: dict[str, protocol.Option] = train.OPTIONS | {
    "adam_epsilon": 1e-7,
    "batch_norm_momentum": 0.99,
}


def main() -> None:
    args = protocol.parity_arguments(OPTIONS)
    device.configure(args)
    batch_size = args.batch_size
    data = protocol.load_dataset(args.dataset, args.network, batch_size, args.steps * batch_size)
    network = Network(
        name=args.network,
        shape=data.shape,
        classes=data.classes,
        dropout=0.0,
        batch_norm_momentum=args.options["batch_norm_momentum"],
        convolution=device.convolution(args),
    )
    parameters, statistics = initialise(network, args.seed)
    weights = protocol.initial_weights(args, parameters | statistics)
    parameters = {name: weights[name] for name in parameters}
    statistics = {name: weights[name] for name in statistics}
    state = new_state(parameters, statistics, args.seed)

    step = make_step(network, args.learning_rate, args.options["adam_epsilon"])
    losses = []
    for first in range(0, len(data.train.images), batch_size):
        rows = slice(first, first + batch_size)
        # An epoch of one step each: its sum of losses is the step's loss.
        state = step(new_epoch(state), data.train.images[rows], data.train.labels[rows])
        losses.append(float(state.loss_sum))
    logits = predict(network, state, data.test.images, batch_size)
    protocol.write_parity(args.output, losses, jax.device_get(state.statistics), logits)


if __name__ == "__main__":
    protocol.cli(main)
