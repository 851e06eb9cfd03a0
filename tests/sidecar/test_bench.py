"""The judging of scripts/bench_sidecar.py: what a sampler costs a job, on chunks made for it."""

from __future__ import annotations

import random

import pytest

from sidecar_bench.cost import Slice, judge

MS = 1_000_000
S = 1_000_000_000
SLICES = [Slice(number % 4 in (0, 3), number * S, (number + 1) * S, 4 * MS) for number in range(40)]


def chunks(extra: float, drift: float, noise: float) -> list[list[int]]:
    """Chunks of 20 ms; `extra` more CPU while the sampler runs, `drift` more each second, and noise."""
    source, done = random.Random(3), []
    for end_ns in range(20 * MS, 40 * S, 20 * MS):
        one = SLICES[min(end_ns // S, 39)]
        share = (1 + extra * one.on) * (1 + drift * end_ns / S) + source.gauss(0, noise)
        done.append([end_ns, 19 * MS, round(10 * MS * share)])
    return done


@pytest.mark.parametrize("extra", [0.0, 0.02, -0.01])
def test_the_cost_is_found_beneath_drift_and_noise(extra: float) -> None:
    one = {kind: chunks(extra, drift=0.001, noise=0.005) for kind in ("compute", "faults")}
    cost = judge([one, one], SLICES)
    low_pct, high_pct = cost.cpu["both"].ends_pct()
    assert low_pct < 100 * extra < high_pct and high_pct - low_pct < 0.4
    assert cost.cpu["both"].pairs == 20
    assert cost.wall["both"].mean_pct == pytest.approx(0)


def test_the_samplers_own_cpu_is_a_share_of_the_jobs() -> None:
    one = {kind: chunks(0, 0, 0) for kind in ("compute", "faults")}
    cost = judge([one, one], SLICES)
    assert cost.own_pct == pytest.approx(
        100 * 4 / (4 * 490), rel=0.03
    )  # 49 chunks of 10 ms lie in a slice
    assert cost.in_all("both").mean_pct == pytest.approx(cost.own_pct, rel=0.01)
