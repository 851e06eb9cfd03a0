"""Keras's command for the parity test (docs/protocol.md): the training's code, without dropout."""

from __future__ import annotations

import device  # first: it chooses the backend
import evenground_engine as protocol
import feed
import keras
import network

import train

OPTIONS: dict[str, protocol.Option] = train.OPTIONS | {
    "adam_epsilon": 1e-7,
    "batch_norm_momentum": 0.99,
}


class EveryLoss(keras.callbacks.Callback):
    """Collects the loss of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.losses.append(float(logs["loss"]))
        # Else the next loss would be the mean of all steps so far.
        self.model.reset_metrics()


def main() -> None:
    args = protocol.parity_arguments(OPTIONS)
    through = feed.chosen(args.options)
    device.configure(args)
    batch_size = args.batch_size
    data = protocol.load_dataset(args.dataset, args.network, batch_size, args.steps * batch_size)
    model = network.build(
        args.network,
        data.shape,
        data.classes,
        dropout=0.0,
        batch_norm_momentum=args.options["batch_norm_momentum"],
    )
    settings = {name: args.options[name] for name in train.COMPILE_OPTIONS}
    network.compile_model(model, args.learning_rate, args.options["adam_epsilon"], **settings)
    weights = network.named_weights(model)
    for name, values in protocol.initial_weights(args, weights).items():
        weights[name].assign(values)

    collected = EveryLoss()
    network.fit(model, data.train.images, data.train.labels, batch_size, 1, [collected], through)
    statistics = {name: value.numpy() for name, value in weights.items() if ".moving_" in name}
    logits = network.predict(model, data.test.images, batch_size, through)
    protocol.write_parity(args.output, collected.losses, statistics, logits)


if __name__ == "__main__":
    protocol.cli(main)
