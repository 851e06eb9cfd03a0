"""Made experiments of two machines and two values of a parameter, each with times of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from analysis.synthetic import Made, MadeResults, made_run

A, B = "a-cpu-2c-8g-nogpu-aaa111", "b-cpu-2c-8g-nogpu-bbb222"
SIZES = (16, 64)
# Whatever is measured on B is eight times as much, and with the larger value half as much again:
# a number of two conditions together is none of either.
FACTORS = {(A, 16): 1.0, (A, 64): 1.5, (B, 16): 8.0, (B, 64): 12.0}
LOST = {
    # Nothing finished of an engine, and one run is missing.
    (A, 64): {("digits", "jax", number): ("failed", "out-of-memory") for number in (1, 2, 3, 4)},
    (B, 16): {("shapes", "keras", 3): ("missing", None)},
}


def condition(machine: str, size: int, **more: Any) -> MadeResults:
    """The results of one machine with one value of the batch size."""
    factor = FACTORS[machine, size]

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        made = made_run(dataset, engine, repetition, gpu)
        # Not the same in each repetition, so that intervals have a width.
        slower = factor * (1 + 0.003 * (repetition * len(engine + dataset) % 5))
        return replace(
            made,
            first_batch_s=made.first_batch_s * slower,
            steady_s=made.steady_s * slower,
            rss_bytes=int(made.rss_bytes * slower),
            accuracy=made.accuracy / (1 + factor / 100),
            # Each run waits once, which is a finding.
            cpu_idle=((1.0, 1.0 + 0.4 * slower),),
        )

    given: Mapping[str, Any] = {
        "machine": machine,
        "values": {"batch_size": size},
        "repetitions": 4,
        "make": make,
        "grid_s": 0.25,
        "lost": LOST.get((machine, size), {}),
    }
    return MadeResults(**{**given, **more})


def conditions() -> list[MadeResults]:
    """Both machines with both values."""
    return [condition(machine, size) for machine, size in FACTORS]
