"""Readings of the GPU: rows may repeat one that the driver gave before, and each counts once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evenground.analysis.runs import Floats, Ints, Samples

AGE = "gpu_age_s"
# Ages are told to the nanosecond, and two readings are 50 ms apart at least.
SAME_NS = 1_000_000


def are_told(samples: Samples) -> bool:
    """Whether the sampler says how old its readings are; an older one does not, and each row counts then."""
    return not bool(np.isnan(samples.columns[AGE]).all())


def moments_ns(samples: Samples) -> Ints:
    """When the GPU values of each row (N,) were read; the row's own time where that is not told."""
    age_ns = np.round(np.nan_to_num(samples.columns[AGE]) * 1e9).astype(np.int64)
    return samples.t_ns - age_ns


def are_first(samples: Samples) -> npt.NDArray[np.bool_]:
    """Whether each row (N,) is the first with its reading."""
    read_ns, told = moments_ns(samples), ~np.isnan(samples.columns[AGE])
    repeats = (np.abs(np.diff(read_ns)) < SAME_NS) & told[1:] & told[:-1]
    return np.concatenate(([True], ~repeats))[: read_ns.size]


def once(samples: Samples, column: str) -> tuple[Ints, Floats]:
    """Moments and values of a column that is read for every row, each reading once."""
    first = are_first(samples)
    return moments_ns(samples)[first], samples.columns[column][first]


def distance_s(samples: Samples) -> float:
    """The usual time between two readings; 0 where the sampler does not tell."""
    distances_ns = np.diff(moments_ns(samples)[are_first(samples)])
    return float(np.median(distances_ns)) / 1e9 if are_told(samples) and distances_ns.size else 0.0
