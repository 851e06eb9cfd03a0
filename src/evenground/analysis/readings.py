"""Readings of the GPU: several rows may repeat one reading of the driver, which counts once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenground.analysis.runs import Floats, Ints, Samples

AGE = "gpu_age_s"
# Ages are recorded to the nanosecond, and two readings are at least 50 ms apart.
SAME_NS = 1_000_000


def moments_ns(samples: Samples) -> Ints:
    """When the GPU values of each row (N,) were read; the row's time if their age is unknown."""
    age_ns = np.round(np.nan_to_num(samples.columns[AGE]) * 1e9).astype(np.int64)
    return samples.t_ns - age_ns


def are_first(samples: Samples) -> npt.NDArray[np.bool_]:
    """Whether each row (N,) is the first with its reading."""
    read_ns = moments_ns(samples)
    has_age = ~np.isnan(samples.columns[AGE])
    repeats = (np.abs(np.diff(read_ns)) < SAME_NS) & has_age[1:] & has_age[:-1]
    # Cut to the number of rows, which may be none.
    return np.concatenate(([True], ~repeats))[: read_ns.size]


def once(samples: Samples, column: str) -> tuple[Ints, Floats]:
    """Moments (M,) in nanoseconds and values (M,) of a GPU column, each reading once."""
    first = are_first(samples)
    return moments_ns(samples)[first], samples.columns[column][first]


def distance_s(samples: Samples) -> float:
    """The usual time between two readings in seconds; 0 if there are fewer than two."""
    distances_ns = np.diff(moments_ns(samples)[are_first(samples)])
    if not distances_ns.size:
        return 0.0
    return float(np.median(distances_ns)) / 1e9
