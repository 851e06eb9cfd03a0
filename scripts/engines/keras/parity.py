"""The parity test's side of Keras (docs/protocol.md): the training's own code, dropout off."""

from __future__ import annotations

import device  # first: it chooses the backend
import evenground_engine as protocol
import feed
import keras
import network

import train

OPTIONS: dict[str, protocol.Option] = {
    **train.OPTIONS,
    "adam_epsilon": 1e-7,
    "batch_norm_momentum": 0.99,
}


class EveryLoss(keras.callbacks.Callback):
    """Collects the loss of each step: the running mean starts anew before the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.losses.append(float(logs["loss"]))
        self.model.reset_metrics()


def main() -> None:
    given = protocol.parity_arguments(OPTIONS)
    through = feed.chosen(given.options)
    device.configure(given)
    examples = given.steps * given.batch_size
    data = protocol.load_dataset(given.dataset, given.network, given.batch_size, examples)
    model = network.build(
        given.network, data.shape, data.classes, 0.0, given.options["batch_norm_momentum"]
    )
    how = {key: given.options[key] for key in train.HOW}
    network.compile_model(model, given.learning_rate, given.options["adam_epsilon"], **how)
    weights = network.named_weights(model)
    if given.weights:
        loaded = protocol.same_weights(protocol.load_weights(given.weights), weights)
        for name, values in loaded.items():
            weights[name].assign(values)
    if given.export_weights:
        protocol.save_weights(given.export_weights, weights)

    collected = EveryLoss()
    network.fit(
        model, data.train.images, data.train.labels, given.batch_size, 1, [collected], through
    )
    statistics = {name: value.numpy() for name, value in weights.items() if ".moving_" in name}
    logits = network.predict(model, data.test.images, given.batch_size, through)
    protocol.write_parity(given.output, collected.losses, statistics, logits)


if __name__ == "__main__":
    protocol.cli(main)
