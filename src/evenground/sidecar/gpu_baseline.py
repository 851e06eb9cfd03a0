"""What the cards that count hold and draw before the command is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from evenground.sidecar.gpu_card import Counted
from evenground.sidecar.nvml import Reading, Reason

WINDOW_S = 1.0
STEP_S = 0.02
FELL = Reason("the counter of energy fell")
STOOD = Reason("the counter of energy did not move twice")


class Moves:
    """The moments at which an energy counter moved: between two of them its mean power is exact.

    Some counters stand still for 100 ms, so that the window's ends would cut a tenth off.
    """

    def __init__(self) -> None:
        self._moves: list[tuple[int, int]] = []
        self._last_mj: int | None = None
        self.reason: Reason | None = None

    def add(self, at_ns: int, counter_mj: int | Reason) -> None:
        """Add a reading of the counter at monotonic time `at_ns`, or why there is none."""
        if isinstance(counter_mj, Reason):
            self.reason = counter_mj
            return
        if self._last_mj is not None:
            if counter_mj < self._last_mj:
                self.reason = FELL
            elif counter_mj > self._last_mj:
                self._moves.append((at_ns, counter_mj))
        self._last_mj = counter_mj

    def power_w(self) -> Reading:
        """Mean power from the first move to the last."""
        if self.reason:
            return self.reason
        if len(self._moves) < 2:
            return STOOD
        first_ns, first_mj = self._moves[0]
        last_ns, last_mj = self._moves[-1]
        # 1 mJ per ns is 10^6 W.
        return (last_mj - first_mj) * 1e6 / (last_ns - first_ns)


def measure(counted: Sequence[Counted], ended: threading.Event) -> dict[str, Any] | None:
    """Watch the cards for WINDOW_S; `gpu_baseline` of the header, None if `ended` is set."""
    began_ns = time.monotonic_ns()
    moves = [Moves() for _ in counted]
    while time.monotonic_ns() - began_ns < WINDOW_S * 1e9:
        for device, of_device in zip(counted, moves, strict=True):
            counter_mj = device.energy_mj()
            of_device.add(time.monotonic_ns(), counter_mj)
        if ended.wait(STEP_S):
            return None
    source = "counter"
    power_w = total(counted, [of_device.power_w() for of_device in moves])
    if isinstance(power_w, Reason):
        source = "reading"
        power_w = total(counted, [device.power_w() for device in counted])
    read_ns = time.monotonic_ns()
    vram = total(counted, [device.used_bytes() for device in counted])
    seconds = (time.monotonic_ns() - began_ns) / 1e9
    return baseline(read_ns, seconds, vram, power_w, source)


def baseline(
    read_ns: int, seconds: float, vram_used_bytes: Reading, power_w: Reading, source: str | None
) -> dict[str, Any]:
    """`gpu_baseline` of the header; a value that is a reason is None and stands in `missing`."""
    values: dict[str, Any] = {
        "vram_used_bytes": vram_used_bytes,
        "power_w": power_w,
        "power_from": source,
    }
    missing = {name: value for name, value in values.items() if isinstance(value, Reason)}
    values |= dict.fromkeys(missing)
    if "power_w" in missing:
        values["power_from"] = None
    return {"read_mono_ns": read_ns, "seconds": seconds} | values | {"missing": missing}


def total(counted: Sequence[Counted], readings: Sequence[Reading]) -> Reading:
    """The sum over the cards, or the reason of the first one without a value."""
    known = [reading for reading in readings if not isinstance(reading, Reason)]
    return missing_reason(counted, readings) or sum(known)


def missing_reason(counted: Sequence[Counted], readings: Sequence[object]) -> Reason | None:
    """The reason of the first card without a value, with its name if there are several."""
    for device, reading in zip(counted, readings, strict=True):
        if isinstance(reading, Reason):
            if len(counted) > 1:
                return Reason(f"{reading} (card {device.text})")
            return reading
    return None
