"""Random numbers for generated datasets.

Only raw 64-bit words of PCG64: NumPy keeps that stream fixed (NEP 19), while `Generator`'s methods
may differ between versions and machines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evenground.datasets.formats.arrays import Bytes

Ints = NDArray[np.int64]


class Draws:
    """Uniform integers from PCG64, the same on every machine and for every version of NumPy."""

    def __init__(self, *seed: int) -> None:
        self._words = np.random.PCG64(list(seed))

    def keys(self, count: int) -> NDArray[np.uint64]:
        """`count` raw 64-bit words (count,); sorting by them is a shuffle."""
        return self._words.random_raw(count)

    def below(self, limit: int | Ints, count: int) -> Ints:
        """Integers (count,) in 0..limit-1; `limit`, a number or (count,), is below 2**31."""
        # Multiply and shift: no division, and no rejection that would change the number of words.
        high = (self.keys(count) >> np.uint64(32)).astype(np.int64)
        return (high * limit) >> 32

    def octets(self, count: int) -> Bytes:
        """`count` bytes (count,)."""
        # The words in little-endian order, so that every machine cuts them into the same bytes.
        return self.keys(-(-count // 8)).astype("<u8").view(np.uint8)[:count]


def shuffled(count: int, draws: Draws) -> Ints:
    """A permutation (count,) of 0..count-1."""
    return np.argsort(draws.keys(count), kind="stable").astype(np.int64)
