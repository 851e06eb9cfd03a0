"""Started by Keras's interpreter: the batches each feed gives to `fit` and `predict`, into one .npz file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "keras"))

import device  # noqa: F401
import feed
import keras
import network
import numpy as np


class Recording(keras.Model):
    """Keeps every batch that it is given, and learns nothing."""

    def __init__(self):
        super().__init__()
        self.images, self.labels, self.inferred = [], [], []

    def call(self, images):
        return images

    def train_step(self, data):
        images, labels = data
        self.images.append(images.numpy())
        self.labels.append(labels.numpy())
        # Keras refuses a step without any number.
        return {"loss": keras.ops.zeros(())}

    def predict_step(self, data):
        self.inferred.append(len(data))
        return data


given = np.load(sys.argv[1])
batch_size, epochs = 8, 2
found = {}
for through in feed.FEEDS:
    model = Recording()
    model.compile(run_eagerly=True)
    network.fit(model, given["images"], given["labels"], batch_size, epochs, [], through)
    logits = network.predict(model, given["images"], batch_size, through)
    found[f"{through} images"], found[f"{through} labels"] = (
        np.array(model.images),
        np.array(model.labels),
    )
    found[f"{through} logits"], found[f"{through} inferred"] = logits, np.array(model.inferred)

pipelines = [feed.training_batches(given["images"], given["labels"], batch_size)]
pipelines += [feed.inference_batches(given["images"], batch_size)]
found["autotuned"] = np.array([one.options().autotune.enabled for one in pipelines])
np.savez(sys.argv[2], **found)
