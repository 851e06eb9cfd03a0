"""The stand-in NVIDIA driver for these tests."""

from stand_in_driver import stand_in, stand_in_libraries

__all__ = ["stand_in", "stand_in_libraries"]
