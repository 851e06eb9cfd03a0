"""How much disk an engine's environment takes.

Standard library only: it is read before any environment exists.
"""

from __future__ import annotations

GIB = 2**30
# About what one engine's packages take, together with their download.
CPU_BYTES, CUDA_BYTES = 2 * GIB, 7 * GIB


def bytes_of_environment(name: str) -> int:
    """About how many bytes building environment `name` takes."""
    if name.endswith("-cuda"):
        return CUDA_BYTES
    return CPU_BYTES
