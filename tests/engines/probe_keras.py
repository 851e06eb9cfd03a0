"""Started by Keras's interpreter: initial weights, Adam's steps and dropout's output, into one .npz file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "keras"))

import device  # noqa: F401
import keras
import network
import numpy as np

gradients = np.load(sys.argv[1])
found = {}
for seed in (1, 2):
    keras.utils.set_random_seed(seed)
    weights = network.named_weights(network.build("cnn", (32, 32, 3), 10))
    found |= {f"seed {seed} {name}": value.numpy() for name, value in weights.items()}

model = network.build("mlp", (4, 4, 1), 10)
network.compile_model(model, 1e-3)
parameter = keras.Variable(np.zeros(gradients.shape[1], np.float32))
model.optimizer.build([parameter])
found["adam"] = []
for gradient in gradients:
    model.optimizer.apply([keras.ops.convert_to_tensor(gradient)], [parameter])
    found["adam"].append(parameter.numpy())

model.get_layer("dense_1").set_weights([np.zeros((16, 128)), np.ones(128)])
model.get_layer("dense_2").set_weights([np.eye(128, 10), np.zeros(10)])
found["dropped"] = model(np.zeros((2000, 4, 4, 1)), training=True).numpy()
found["kept"] = model(np.zeros((2000, 4, 4, 1)), training=False).numpy()
np.savez(sys.argv[2], **found)
