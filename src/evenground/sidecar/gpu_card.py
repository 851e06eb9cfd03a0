"""One card and its MIG instances: their values, and what the header has on them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from evenground.sidecar.columns import CARD_COLUMNS, Missing
from evenground.sidecar.gpu_processes import Lists
from evenground.sidecar.nvml import (
    MAX_BYTES,
    MAX_W,
    Driver,
    Implausible,
    Reading,
    Reason,
    Value,
)
from evenground.sidecar.output import Cell

KEPT_DISTANCES = 1000
# A counter of energy may lag behind the time by so much.
LATE_S = 2.0
VALUE_COLUMNS = tuple(CARD_COLUMNS)[2:]
Values = dict[str, Reading]
"""By the names of CARD_COLUMNS."""
OF_WHOLE_CARD = Reason(
    "a MIG instance is measured: the driver tells this of the whole card only, which others may "
    "use as well"
)
NOT_OF_INSTANCE = ("util_pct", "mem_util_pct", "power_w", "power_instant_w", "energy_j")


class Energy:
    """Joules since the first reading of a counter that never falls."""

    def __init__(self) -> None:
        self._first_mj: int | None = None
        self._last_mj = 0
        self._last_ns = 0
        self._fell = False

    def since_first_j(self, counter_mj: int, now_ns: int) -> float:
        """Joules since the first reading, from the counter in mJ at monotonic time `now_ns`.

        Raises ValueError once the counter has fallen, and from then on: how much it left out is
        unknown. Raises Implausible if it has risen by more than any card can draw; the next reading
        may be right again.
        """
        if self._first_mj is None:
            self._first_mj = self._last_mj = counter_mj
            self._last_ns = now_ns
        rise_mj = counter_mj - self._last_mj
        self._fell = self._fell or rise_mj < 0
        if self._fell:
            raise ValueError("the counter fell, as when a card is reset")
        if rise_mj > 1000 * MAX_W * ((now_ns - self._last_ns) / 1e9 + LATE_S):
            raise Implausible(f"the counter rose by {rise_mj / 1000:g} J at once")
        self._last_mj = counter_mj
        self._last_ns = now_ns
        return (counter_mj - self._first_mj) / 1000


class Device:
    """A card or a MIG instance. A value that fails is None, and its reason stands in `missing`."""

    def __init__(
        self, driver: Driver, handle: Any, text: str, missing: Missing, prefix: str
    ) -> None:
        """`handle` is the driver's, or a Reason; `prefix` goes before the names in `missing`."""
        self._driver = driver
        self._handle = handle
        self._missing = missing
        self._prefix = prefix
        self.text = text
        """As in the column `card` of samples.cards.csv."""
        self.facts: dict[str, Any] = {
            "name": self._known("name", self._query(driver.name)),
            "uuid": self._known("uuid", self._query(driver.uuid)),
            "memory_total_bytes": self._known(
                "memory_total_bytes", self._query(driver.memory_total_bytes)
            ),
        }
        """Entries of the header that cards and instances share."""

    def memory(self) -> Values:
        """Memory that is used, and that is reserved."""
        memory = self._query(self._driver.memory)
        if isinstance(memory, Reason):
            return {"vram_used_bytes": memory, "vram_reserved_bytes": memory}
        return {
            "vram_used_bytes": memory.used_bytes,
            "vram_reserved_bytes": memory.reserved_bytes,
        }

    def used_bytes(self) -> Reading:
        """Memory that is used now."""
        return self.memory()["vram_used_bytes"]

    def processes(self) -> Lists:
        """The driver's lists of processes."""
        query = self._driver.ask
        max_bytes = self.facts["memory_total_bytes"] or MAX_BYTES
        return Lists(
            compute=query(self._driver.processes, self._handle, "Compute", max_bytes),
            graphics=query(self._driver.processes, self._handle, "Graphics", max_bytes),
        )

    def row(self, unix_ns: int, values: Values) -> list[Cell]:
        """Values as a row in the order of CARD_COLUMNS."""
        cells: list[Cell] = [unix_ns, self.text]
        for name in VALUE_COLUMNS:
            cells.append(self._known(name, values.get(name)))
        return cells

    def _known(self, name: str, value: Value | Reason | None) -> Value | None:
        """`value`, or None when it is a reason, which is noted for `name` then."""
        if isinstance(value, Reason):
            self._missing.expect(self._prefix + name, value)
            return None
        return value

    def _query(self, function: Callable[..., Value], *more: Any) -> Value | Reason:
        return self._driver.ask(function, self._handle, *more)


class Instance(Device):
    """A MIG instance, with memory and processes; clocks and temperature are its card's."""

    def __init__(self, card: Card, driver: Driver, handle: Any, index: int, missing: Missing):
        text = f"{card.text}/mig{index}"
        super().__init__(driver, handle, text, missing, prefix=f"{text} ")
        self.card = card

    def values(self, values: dict[str, Values]) -> Values:
        """What holds for the instance in a reading of its card."""
        others: Values = dict.fromkeys(NOT_OF_INSTANCE, OF_WHOLE_CARD)
        return values[self.card.text] | others | values[self.text]

    def energy_mj(self) -> Reason:
        """Unknown."""
        return OF_WHOLE_CARD

    def power_w(self) -> Reason:
        """Unknown."""
        return OF_WHOLE_CARD


class Card(Device):
    """One card of the machine."""

    def __init__(self, driver: Driver, index: int, handle: Any) -> None:
        """`handle` is the driver's, or the Reason why it gives none."""
        super().__init__(driver, handle, text=str(index), missing=Missing(), prefix="")
        self.card = self
        self._index = index
        self._energy = Energy()
        self._new_temp_c: Reading | None = None
        self._newest_us = 0
        self._distances_us: deque[int] = deque(maxlen=KEPT_DISTANCES)
        self._window_s: Reading = Reason("the driver has not buffered two samples yet")
        self.instances: list[Instance] = []
        instances = self._known("mig", self._query(driver.instances)) or {}
        for number, instance in instances.items():
            self.instances.append(Instance(self, driver, instance, number, self._missing))

    @property
    def hidden_uuid(self) -> str | None:
        """Why its UUID, or one of its instances', is not known; None if all are."""
        for name, why in self._missing.reasons().items():
            if name == "mig" or name.endswith("uuid"):
                return why
        return None

    def about(self) -> dict[str, Any]:
        """The card's entry in `gpus` of the header."""
        instances = [{"card": instance.text} | instance.facts for instance in self.instances]
        window_s = self._window_s
        about = {"index": self._index} | self.facts
        about |= {"mig": instances, "util_window_s": window_s}
        if isinstance(window_s, Reason):
            about |= {"util_window_s": None, "util_window_reason": window_s}
        about["missing"] = self._missing.reasons()
        return about

    def read(self) -> dict[str, Values]:
        """Read the values of every row, by the text of the card and of its instances."""
        driver = self._driver
        shares = self._query(driver.utilisation_pct)
        if isinstance(shares, Reason):
            shares = (shares, shares)
        values = self.memory() | {
            "util_pct": shares[0],
            "mem_util_pct": shares[1],
            "power_w": self.power_w(),
            "power_instant_w": self._query(driver.power_instant_w),
            "energy_j": self._query(self._energy_j),
            "sm_clock_mhz": self._query(driver.clock_mhz, "SM"),
            "mem_clock_mhz": self._query(driver.clock_mhz, "MEM"),
            "throttle_reasons": self._query(driver.throttle_reasons),
        }
        of_devices = {self.text: values}
        for instance in self.instances:
            of_devices[instance.text] = instance.memory()
        return of_devices

    def rows(self, unix_ns: int, values: dict[str, Values]) -> list[list[Cell]]:
        """What was read as a row, and a row for each MIG instance, which has only memory."""
        of_card = values[self.text]
        if self._new_temp_c is not None:
            of_card = of_card | {"temp_c": self._new_temp_c}
            self._new_temp_c = None
        rows = [self.row(unix_ns, of_card)]
        for instance in self.instances:
            rows.append(instance.row(unix_ns, values[instance.text]))
        return rows

    def values(self, values: dict[str, Values]) -> Values:
        """What holds for the card in a reading of it."""
        return values[self.text]

    def temp_c(self) -> Reading:
        """Temperature; it goes into the card's next row too."""
        self._new_temp_c = self._query(self._driver.temperature_c)
        return self._new_temp_c

    def energy_mj(self) -> int | Reason:
        """The energy counter itself."""
        return self._query(self._driver.energy_mj)

    def power_w(self) -> Reading:
        """Power as the driver reads or averages it."""
        return self._query(self._driver.power_w)

    def processes(self) -> Lists:
        """The driver's lists of processes; of a card with instances theirs together."""
        if not self.instances:
            return super().processes()
        return Lists.together([instance.processes() for instance in self.instances])

    def util_samples(self, since_us: int) -> list[list[Cell]]:
        """What the driver has buffered since the last call: rows as UTIL_SAMPLE_COLUMNS.

        Samples from before the Unix time `since_us` are left out.
        """
        samples = self._query(self._driver.util_samples, self._newest_us)
        if isinstance(samples, Reason):
            # A window that was found before stays known.
            if isinstance(self._window_s, Reason):
                self._window_s = samples
            return []
        rows: list[list[Cell]] = []
        for time_us, pct in samples:
            if self._newest_us and time_us > self._newest_us:
                self._distances_us.append(time_us - self._newest_us)
            self._newest_us = time_us
            if time_us >= since_us:
                rows.append([self.text, time_us, pct])
        if self._distances_us:
            self._window_s = _median(self._distances_us) / 1e6
        return rows

    def _energy_j(self, handle: Any) -> float:
        return self._energy.since_first_j(self._driver.energy_mj(handle), time.monotonic_ns())


def _median(numbers: deque[int]) -> float:
    # Importing `statistics` would cost every start several milliseconds.
    ordered = sorted(numbers)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


Counted = Card | Instance
"""What the whole-card columns are of."""
