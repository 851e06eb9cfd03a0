"""The sampler beside a training: records CPU, memory and GPU of a command's process tree over time.

Stands alone: standard library only, `nvidia-ml-py` where there is an NVIDIA GPU, Linux. The file
formats are described in docs/sidecar.md. Use `run` and `attach` from Python, or
`python -m evenground.sidecar run | attach | calibrate`.
"""

from __future__ import annotations

from evenground.sidecar.api import SidecarError, attach, run
from evenground.sidecar.summary import AttachSummary, Summary

# In the keys of runs: raised when a value means something else, or is measured in another way.
MEASUREMENT = 1
__all__ = ["AttachSummary", "SidecarError", "Summary", "attach", "run"]
