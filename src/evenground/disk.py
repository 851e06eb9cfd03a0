"""The disk that an engine's environment takes.

Standard library only: it is read before there is any environment.
"""

from __future__ import annotations

GIB = 2**30
ENVIRONMENT_BYTES = {"cpu": 2 * GIB, "cuda": 7 * GIB}
"""About what one engine's packages take, and the download beside them."""


def bytes_of_environment(name: str) -> int:
    """About what building environment `name` takes."""
    return ENVIRONMENT_BYTES["cuda" if name.endswith("-cuda") else "cpu"]
