"""What parity cannot see, for it starts from given weights without dropout; and Adam by its formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.support import finish, interpreter, start

Array = npt.NDArray[np.float64]
KERNELS = {
    "conv_1.kernel": (3, 3, 3, 32),
    "conv_2.kernel": (3, 3, 32, 64),
    "dense_1.kernel": (6 * 6 * 64, 64),
    "dense_2.kernel": (64, 10),
}
CONSTANTS = {"bias": 0.0, "gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}


def some_gradients() -> Array:
    """Six steps for five parameters, sized so that epsilon decides nothing, something, or everything."""
    return np.random.default_rng(0).normal(size=(6, 5)) * np.array([1.0, 1e-2, 1e-5, 1e-6, 1e-8])


def keras_adam(gradients: Array, epsilon_inside: bool = False) -> Array:
    """Parameters after each step, in double precision. Kingma and Ba 2015, the form at the end of section 2;
    with `epsilon_inside` their algorithm 1, which is optax's."""
    m, v, p, seen = 0.0, 0.0, np.zeros(gradients.shape[1]), []
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        first, second = 1 - 0.9**t, 1 - 0.999**t
        if epsilon_inside:
            p = p - 1e-3 * (m / first) / (np.sqrt(v / second) + 1e-7)
        else:
            p = p - 1e-3 * math.sqrt(second) / first * m / (np.sqrt(v) + 1e-7)
        seen.append(p)
    return np.array(seen)


@pytest.fixture(scope="module", params=["keras", "jax"])
def probed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Array]:
    """What `probe_ENGINE.py` found."""
    folder = tmp_path_factory.mktemp(request.param)
    np.save(folder / "gradients.npy", some_gradients().astype(np.float32))
    script = Path(__file__).with_name(f"probe_{request.param}.py")
    given = [str(script), str(folder / "gradients.npy"), str(folder / "found.npz")]
    finish(start([interpreter(request.param), *given]))
    with np.load(folder / "found.npz") as found:
        return dict(found)


def test_adam_is_keras_formula(probed: dict[str, Array]) -> None:
    np.testing.assert_allclose(probed["adam"], keras_adam(some_gradients()), rtol=1e-4)
    assert (
        np.abs(probed["adam"] / keras_adam(some_gradients(), epsilon_inside=True) - 1).max() > 0.5
    )


def test_dropout_scales_what_it_keeps(probed: dict[str, Array]) -> None:
    assert set(np.unique(probed["dropped"])) == {0.0, 2.0}
    # 20,000 draws: five standard deviations of the mean are 0.018.
    assert (probed["dropped"] > 0).mean() == pytest.approx(0.5, abs=0.018)
    assert (probed["kept"] == 1.0).all()


def test_initial_weights(probed: dict[str, Array]) -> None:
    names = {key.removeprefix("seed 1 ") for key in probed if key.startswith("seed 1 ")}
    assert names >= set(KERNELS) and len(names) == 16
    for name in names - set(KERNELS):
        assert (probed[f"seed 1 {name}"] == CONSTANTS[name.partition(".")[2]]).all(), name
    for name, shape in KERNELS.items():
        kernel = probed[f"seed 1 {name}"]
        assert kernel.shape == shape
        # Glorot and Bengio 2010, equation 16: uniform within sqrt(6 / (fan in + fan out)).
        limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
        assert 0.98 * limit < np.abs(kernel).max() <= limit * (1 + 1e-6)
        assert kernel.std() == pytest.approx(limit / math.sqrt(3), rel=0.06)
        assert abs(kernel.mean()) < 5 * limit / math.sqrt(3 * kernel.size)
        assert not np.array_equal(kernel, probed[f"seed 2 {name}"])
