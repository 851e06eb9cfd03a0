"""PyTorch's command for the parity test (docs/protocol.md): the training's code, without dropout."""

from __future__ import annotations

import device  # first: it finds the protocol's module, and how OpenMP waits
import evenground_engine as protocol
import network
import torch
from training import Adam, Step, predict

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
    model = network.build(
        args.network,
        data.shape,
        data.classes,
        args.seed,
        dropout=0.0,
        momentum=args.options["batch_norm_momentum"],
    )
    weights = protocol.initial_weights(args, network.named_weights(model))
    network.set_weights(model, dict(weights))
    where = device.target(args)
    model.to(where).train()
    optimiser = Adam(model.parameters(), args.learning_rate, args.options["adam_epsilon"])
    compiled = torch.compile(model) if args.options["compile"] else model
    step = Step(compiled, optimiser, where)

    images = torch.from_numpy(data.train.images)
    labels = torch.from_numpy(data.train.labels).to(torch.int64)
    losses = []
    for first in range(0, len(images), batch_size):
        rows = slice(first, first + batch_size)
        # An epoch of one step each: its sum of losses is the step's loss.
        step.new_epoch()
        step(images[rows], labels[rows])
        losses.append(step.loss_sum.item())
    logits = predict(model, data.test.images, batch_size, where)
    every = network.named_weights(model)
    statistics = {name: values for name, values in every.items() if ".moving_" in name}
    protocol.write_parity(args.output, losses, statistics, logits)


if __name__ == "__main__":
    protocol.cli(main)
