"""Randomised complete blocks: runs of one repetition, made in one pass, may be paired."""

from __future__ import annotations

import pandas as pd

# Between two trainings of one pass lie seconds; after a longer pause the machine may have changed.
MAX_PAUSE_S = 1800.0


def passes(circumstances: pd.DataFrame) -> pd.Series[int]:
    """In which pass over its repetition each run was made, from 0 on, by the index of its row.

    `circumstances` is that frame of one condition. The plan makes repetition after repetition. In
    the order of launches a new pass over a repetition begins after a pause of MAX_PAUSE_S in which
    nothing was trained, and if between two of its runs at least as many others were made as it has.
    """
    runs = circumstances.sort_values(["launched_s", "repetition"])
    idle_s = runs["launched_s"] - runs["exited_s"].shift()
    runs["place"] = range(len(runs))
    runs["pauses"] = (idle_s > MAX_PAUSE_S).cumsum()
    by_repetition = runs.groupby("repetition")
    n_between = by_repetition["place"].diff() - 1
    is_new = n_between >= by_repetition["place"].transform("size")
    is_new |= by_repetition["pauses"].diff() > 0
    return is_new.astype("int").groupby(runs["repetition"]).cumsum()
