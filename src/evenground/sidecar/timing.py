"""Sampling deadlines at absolute times, computed in whole nanoseconds, so that nothing drifts."""

from __future__ import annotations


class Slots:
    """Slot k is due at `zero_ns + k / rate_hz`, on the monotonic clock."""

    def __init__(self, zero_ns: int, rate_hz: float) -> None:
        """`rate_hz` above 0; slot 0 is due at `zero_ns`."""
        self.zero_ns = zero_ns
        self._hz, self._per = rate_hz.as_integer_ratio()
        self._served = -1

    @property
    def period_ns(self) -> int:
        """Time between two slots, rounded."""
        return round(1_000_000_000 * self._per / self._hz)

    def deadline_ns(self) -> int:
        """When the slot after the last one served is due."""
        return self.zero_ns + -(-(self._served + 1) * 1_000_000_000 * self._per // self._hz)

    def serve(self, now_ns: int) -> int | None:
        """Serve the newest slot that is due and return how many were skipped; None when none is due."""
        due = (now_ns - self.zero_ns) * self._hz // (self._per * 1_000_000_000)
        if due <= self._served:
            return None
        skipped = due - self._served - 1
        self._served = due
        return skipped
