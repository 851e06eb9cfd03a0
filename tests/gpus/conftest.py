"""The stand-in driver for tests of what is seen of cards."""

from stand_in_driver import nvml_here, stand_in, stand_in_libraries

__all__ = ["nvml_here", "stand_in", "stand_in_libraries"]
