"""What the cards that count hold and draw before the command is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from evenground.sidecar.gpu_counted import Counted
from evenground.sidecar.nvml import Reading, Reason

WINDOW_S = 1.0
STEP_S = 0.02
FROM_COUNTER, FROM_READING = "counter", "reading"
FELL = Reason("the counter of energy fell")
STOOD = Reason("the counter of energy did not move twice")


class Moves:
    """The moments at which a counter of energy moved: between two of them its mean power is exact.

    Some counters stand still for 100 ms, so that the window's own ends would cut a tenth off.
    """

    def __init__(self) -> None:
        self._moves: list[tuple[int, int]] = []
        self._last_mj: int | None = None
        self.reason: Reason | None = None

    def add(self, at_ns: int, counter_mj: int | Reason) -> None:
        """A reading of the counter at monotonic time `at_ns`, or the reason why there is none."""
        if isinstance(counter_mj, Reason):
            self.reason = counter_mj
            return
        if self._last_mj is not None and counter_mj < self._last_mj:
            self.reason = FELL
        if self._last_mj is not None and counter_mj > self._last_mj:
            self._moves.append((at_ns, counter_mj))
        self._last_mj = counter_mj

    def power_w(self) -> Reading:
        """Mean power from the first move to the last."""
        if self.reason:
            return self.reason
        if len(self._moves) < 2:
            return STOOD
        (first_ns, first_mj), (last_ns, last_mj) = self._moves[0], self._moves[-1]
        return (last_mj - first_mj) * 1e6 / (last_ns - first_ns)


def measure(counted: Sequence[Counted], ended: threading.Event) -> dict[str, Any] | None:
    """Watch the cards for WINDOW_S; `gpu_baseline` of the header. None where `ended` comes before that."""
    began_ns = time.monotonic_ns()
    moves = [Moves() for _ in counted]
    while time.monotonic_ns() - began_ns < WINDOW_S * 1e9:
        for card, of_card in zip(counted, moves, strict=True):
            counter_mj = card.energy_mj()
            of_card.add(time.monotonic_ns(), counter_mj)
        if ended.wait(STEP_S):
            return None
    powers = [of_card.power_w() for of_card in moves]
    source = FROM_COUNTER
    if any(isinstance(power, Reason) for power in powers):
        source, powers = FROM_READING, [card.power_w() for card in counted]
    read_ns = time.monotonic_ns()
    vram, power = (
        together(counted, values) for values in ([card.used_bytes() for card in counted], powers)
    )
    seconds = (time.monotonic_ns() - began_ns) / 1e9
    return baseline(read_ns, seconds, vram, power, source)


def baseline(
    read_ns: int, seconds: float, vram_used_bytes: Reading, power_w: Reading, source: str | None
) -> dict[str, Any]:
    """The entry of the header; what is a reason stands in `missing`."""
    values = {"vram_used_bytes": vram_used_bytes, "power_w": power_w}
    missing = {name: value for name, value in values.items() if isinstance(value, Reason)}
    known = {name: None if name in missing else value for name, value in values.items()}
    source = None if "power_w" in missing else source
    return {
        "read_mono_ns": read_ns,
        "seconds": seconds,
        **known,
        "power_from": source,
        "missing": missing,
    }


def together(counted: Sequence[Counted], readings: Sequence[Reading]) -> Reading:
    """The sum over the cards, or the reason of the first that has none."""
    known = [reading for reading in readings if not isinstance(reading, Reason)]
    return lacking(counted, readings) or sum(known)


def lacking(counted: Sequence[Counted], readings: Sequence[object]) -> Reason | None:
    """The reason of the first card without a value, with its name where there are several."""
    for card, reading in zip(counted, readings, strict=True):
        if isinstance(reading, Reason):
            return Reason(f"{reading} (card {card.text})") if len(counted) > 1 else reading
    return None
