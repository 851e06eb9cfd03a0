"""A made step of a card's power: idle, busy, idle; exact energy, and power as the driver averages it.

Tests that judge energy compare what they make of the instruments with the truth of this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stand_in_driver import StandIn

AVERAGED_S = 1.0
"""What NVML's power reading is the mean of, on Ampere and newer."""
STEP_S = 0.01


@dataclass(frozen=True)
class PowerStep:
    """Power of one card over time; seconds from any moment, watts, joules."""

    idle_w: float
    busy_w: float
    begin_s: float
    end_s: float

    def power_w(self, at_s: float) -> float:
        """What it draws."""
        return self.busy_w if self.begin_s <= at_s < self.end_s else self.idle_w

    def energy_j(self, at_s: float) -> float:
        """The exact counter: 0 at second 0, also before it."""
        busy_s = min(max(at_s - self.begin_s, 0.0), self.end_s - self.begin_s)
        return self.idle_w * at_s + (self.busy_w - self.idle_w) * busy_s

    def averaged_w(self, at_s: float) -> float:
        """The driver's reading: mean of the second before."""
        return (self.energy_j(at_s) - self.energy_j(at_s - AVERAGED_S)) / AVERAGED_S

    def rows(self, until_s: float, rate_hz: float = 10.0) -> list[dict[str, float]]:
        """What samples.csv would hold: `t_s`, `gpu_power_w`, `gpu_power_instant_w`, `gpu_energy_j`."""
        times_s = [number / rate_hz for number in range(int(until_s * rate_hz) + 1)]
        return [
            {
                "t_s": at_s,
                "gpu_power_w": self.averaged_w(at_s),
                "gpu_power_instant_w": self.power_w(at_s),
                "gpu_energy_j": self.energy_j(at_s),
            }
            for at_s in times_s
        ]

    def answers(self, at_s: float, card: int = 0) -> str:
        """The same for the stand-in driver's file."""
        return (
            f"power-mw.{card} {1000 * self.averaged_w(at_s):.0f}\n"
            f"power-instant-mw.{card} {1000 * self.power_w(at_s):.0f}\n"
            f"energy-mj.{card} {1000 * (1000 + self.energy_j(at_s)):.0f}\n"
        )


@contextmanager
def fed(stand_in: StandIn, step: PowerStep, card: int = 0, more: str = "") -> Iterator[int]:
    """Have the stand-in driver draw this power from now on; `more` are further lines of its file.

    Gives the monotonic nanoseconds of second 0.
    """
    zero_ns, ended = time.monotonic_ns(), threading.Event()

    def feed() -> None:
        while True:
            stand_in.answers(step.answers((time.monotonic_ns() - zero_ns) / 1e9, card) + more)
            if ended.wait(STEP_S):
                return

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        yield zero_ns
    finally:
        ended.set()
        feeder.join()
