"""How much of a picture the layers of the networks of docs/specification.md leave.

Standard library only: the engines written in Python import it, too.
"""

from __future__ import annotations

from typing import NamedTuple


class Window(NamedTuple):
    """A window that slides over a picture without padding."""

    size_px: int
    stride_px: int


CONVOLUTION = Window(size_px=3, stride_px=1)
POOLING = Window(size_px=2, stride_px=2)
# The windows of each network before its first dense layer, in order.
WINDOWS: dict[str, tuple[Window, ...]] = {
    "mlp": (),
    "cnn": (CONVOLUTION, POOLING, CONVOLUTION, POOLING),
}
NETWORKS = tuple(WINDOWS)


def side_left_px(network: str, side_px: int) -> int:
    """What is left of a picture's height or width before the first dense layer, at least 0."""
    for window in WINDOWS[network]:
        side_px = max(0, (side_px - window.size_px) // window.stride_px + 1)
    return side_px


def smallest_side_px(network: str) -> int:
    """The smallest height and width that leave one pixel."""
    side_px = 1
    for window in reversed(WINDOWS[network]):
        side_px = (side_px - 1) * window.stride_px + window.size_px
    return side_px


def too_small(network: str, height_px: int, width_px: int) -> str:
    """Why a network cannot take pictures of this size; empty if it can."""
    smallest_px = smallest_side_px(network)
    if min(height_px, width_px) >= smallest_px:
        return ""
    return f"pictures of {height_px}x{width_px} pixels are too small for network '{network}'"
