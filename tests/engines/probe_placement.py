"""Started by Keras's interpreter: where each feed puts the images, as JSON on standard output.

TensorFlow gets two processors. The second is made the device of everything that names none, as a GPU is.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "keras"))

import device  # noqa: F401
import feed
import keras
import network
import numpy as np
import tensorflow as tf
from tensorflow.python.data.ops import from_tensor_slices_op, from_tensors_op

SOURCES = (from_tensor_slices_op._TensorSliceDataset, from_tensors_op._TensorDataset)
IMAGES = np.ones((64, 8, 8, 1), np.float32)
LABELS = np.zeros(64, np.int32)
held_bytes = {"CPU:0": 0, "CPU:1": 0}


def watched(make):
    """`make` of a dataset that holds tensors, which counts where they are."""

    def init(self, *given, **named):
        make(self, *given, **named)
        for tensor in self._tensors:
            # Those of a graph are numbers of batches, not data.
            if hasattr(tensor, "numpy"):
                held_bytes[tensor.device[-5:]] += tensor.numpy().nbytes

    return init


def bytes_on_card(work, *given) -> int:
    """What is held on the second processor after some work that names no device."""
    held_bytes.update({"CPU:0": 0, "CPU:1": 0})
    with tf.device("CPU:1"):
        work(*given)
    assert held_bytes["CPU:0"] + held_bytes["CPU:1"] >= IMAGES.nbytes
    return held_bytes["CPU:1"]


tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
for source in SOURCES:
    source.__init__ = watched(source.__init__)
model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
network.compile_model(model, 0.001)
found = {}
for through in feed.FEEDS:
    found[f"{through} fit"] = bytes_on_card(network.fit, model, IMAGES, LABELS, 8, 1, [], through)
    found[f"{through} predict"] = bytes_on_card(network.predict, model, IMAGES, 8, through)
with tf.device("CPU:1"):
    pipelines = [feed.training_batches(IMAGES, LABELS, 8), feed.inference_batches(IMAGES, 8)]
    found["iterators"] = [iter(one)._iterator_resource.device[-5:] for one in pipelines]
print(json.dumps(found))
