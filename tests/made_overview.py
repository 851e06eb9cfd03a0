"""Made parts of two machines and four settings, whose overview the tests of tests/overview read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.synthetic import Made

A, B = "a-cpu-2c-8g-nogpu-aaa111", "b-cpu-16c-64g-made-card-bbb222"
SETTINGS = [{"batch_size": size, "threads": threads} for size in (16, 64) for threads in (1, "all")]
LOST = {
    # Nothing finished of an engine, and one run.
    f"{A}_batch_size-16_threads-all": {
        ("digits", "jax", k): ("failed", "out-of-memory") for k in (1, 2, 3)
    },
    f"{B}_batch_size-64_threads-1": {("digits", "keras", 3): ("missing", None)},
}
RESULTS: dict[str, Any] = {"datasets": (("digits", "Digits", "mlp"),)}


def run(
    machine: str, values: Mapping[str, Any], dataset: str, engine: str, repetition: int
) -> Made:
    """B is eight times as fast, a larger batch twice, and one thread takes longer than all."""
    factor = (
        (1 if machine == A else 1 / 8)
        * 32
        / values["batch_size"]
        * (2 if values.get("threads") == 1 else 1)
    )
    factor *= (2 / 3 if engine == "jax" else 1) * (1 + 0.02 * (repetition - 2))
    memory = 200 * 2**20 + values["batch_size"] * 2**20 + repetition * 2**16
    return Made(
        first_batch_s=0.5 * factor,
        steady_s=1.5 * factor,
        rss_bytes=memory,
        vram_bytes=2 * memory,
        gpu=machine == B,
        accuracy=0.95 + 0.002 * repetition,
    )
