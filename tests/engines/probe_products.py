"""Started by JAX's interpreter: its parity command with products of matrices that are not exact in float32.

The first argument is `tf32`, which rounds what is multiplied to the ten bits of TF32, or the size of noise on
every product; the command's own arguments follow.
"""

import itertools
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "engines" / "jax"))

import device
import jax
import jax.numpy as jnp
from jax._src.lax import lax

exact_product = lax.dot_general
seeds = itertools.count()


def rounded(x: jax.Array) -> jax.Array:
    """`x` with ten bits behind the first; gradients pass as if it were exact."""
    return x + jax.lax.stop_gradient(jax.lax.reduce_precision(x, 8, 10) - x)


def tf32_product(left: jax.Array, right: jax.Array, *how: object, **named: object) -> jax.Array:
    return exact_product(rounded(left), rounded(right), *how, **named)


def noisy_product(left: jax.Array, right: jax.Array, *how: object, **named: object) -> jax.Array:
    """The product with noise beside the spread of all its numbers, as other orders of summing make it."""
    product = exact_product(left, right, *how, **named)
    noise = jax.random.normal(jax.random.key(next(seeds)), product.shape)
    return product + jax.lax.stop_gradient(float(kind) * jnp.std(product) * noise)


kind = sys.argv.pop(1)
# Where `@` looks for it, and where gradients of products do.
lax.dot_general = jax.lax.dot_general = tf32_product if kind == "tf32" else noisy_product

runpy.run_path(str(Path(device.__file__).with_name("parity.py")), run_name="__main__")
