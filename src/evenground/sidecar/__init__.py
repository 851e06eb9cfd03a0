"""The sampler beside a training: starts a command and records its CPU, memory and GPU over time.

Stands alone: standard library only, `nvidia-ml-py` where there is an NVIDIA GPU, Linux. The file
formats are described in docs/sidecar.md. Use `run` from Python, or `python -m evenground.sidecar run`.
"""

from __future__ import annotations

from evenground.sidecar.api import SidecarError, run
from evenground.sidecar.summary import Summary

__all__ = ["SidecarError", "Summary", "run"]
