"""Started by JAX's interpreter: initial weights, Adam's steps and dropout's output, into one .npz file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "jax"))

import device  # noqa: F401
import jax
import network
import numpy as np
import training

gradients = np.load(sys.argv[1])
found = {}
for seed in (1, 2):
    parameters, statistics = network.initialise(network.Network("cnn", (32, 32, 3), 10), seed)
    found |= {f"seed {seed} {name}": value for name, value in {**parameters, **statistics}.items()}

state = training.new_state({"p": np.zeros(gradients.shape[1], np.float32)}, {}, 0)
found["adam"] = []
for step, gradient in enumerate(gradients, start=1):
    p, m, v = training.adam(state, {"p": gradient}, 1e-3, 1e-7)
    state = state._replace(parameters=p, momentum=m, velocity=v, step=np.int32(step))
    found["adam"].append(p["p"])

mlp = network.Network("mlp", (4, 4, 1), 10)
weights = {
    "dense_1.kernel": np.zeros((16, 128)),
    "dense_1.bias": np.ones(128),
    "dense_2.kernel": np.eye(128, 10),
    "dense_2.bias": np.zeros(10),
}
images = np.zeros((2000, 4, 4, 1))
found["dropped"] = network.apply(mlp, weights, {}, images, jax.random.key(0))[0]
found["kept"] = network.apply(mlp, weights, {}, images)[0]
np.savez(sys.argv[2], **found)
