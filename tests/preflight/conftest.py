"""The stand-in driver for tests of what is said of a GPU."""

from stand_in_driver import cuda_here, nvml_here, stand_in, stand_in_libraries

__all__ = ["cuda_here", "nvml_here", "stand_in", "stand_in_libraries"]
