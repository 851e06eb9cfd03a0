"""One card: its values, its MIG instances and what the header says of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple

from evenground.sidecar.columns import CARD_COLUMNS
from evenground.sidecar.gpu_processes import Lists
from evenground.sidecar.nvml import (
    MAX_BYTES,
    MAX_W,
    Asked,
    Driver,
    Implausible,
    Memory,
    Reading,
    Reason,
    Value,
)

KEPT_DISTANCES = 1000
LATE_S = 2.0
"""A counter of energy may lag behind the time by so much."""
VALUE_COLUMNS = tuple(CARD_COLUMNS)[2:]
CardRow = tuple[float | str | None, ...]
"""In the order of CARD_COLUMNS."""
UtilSample = tuple[str, int, float]
"""In the order of UTIL_SAMPLE_COLUMNS."""


class Instance(NamedTuple):
    """A MIG instance: its text in the rows, its handle, and what the header says of it."""

    card: str
    handle: Any
    about: dict[str, Any]


class Taken(NamedTuple):
    """What a card told at one moment: its values by the names of CARD_COLUMNS, and its instances' memory."""

    values: dict[str, Reading]
    instances: dict[str, dict[str, Reading]]


class Energy:
    """Joules since the first reading of a counter that never falls."""

    def __init__(self) -> None:
        self._first_mj: int | None = None
        self._last_mj = self._last_ns = 0
        self._fell = False

    def since_first_j(self, counter_mj: int, now_ns: int) -> float:
        """ValueError once the counter has fallen, and from then on: nobody knows what it left out.

        Implausible where it has risen by more than any card can draw; the next reading may be right again.
        """
        if self._first_mj is None:
            self._first_mj, self._last_mj, self._last_ns = counter_mj, counter_mj, now_ns
        self._fell = self._fell or counter_mj < self._last_mj
        if self._fell:
            raise ValueError("the counter fell, as when a card is reset")
        if counter_mj - self._last_mj > 1000 * MAX_W * ((now_ns - self._last_ns) / 1e9 + LATE_S):
            raise Implausible(
                f"the counter rose by {(counter_mj - self._last_mj) / 1000:g} J at once"
            )
        self._last_mj, self._last_ns = counter_mj, now_ns
        return (counter_mj - self._first_mj) / 1000


class Card:
    """One card of the machine. What cannot be had is None, and its reason stands in `about`."""

    def __init__(self, driver: Driver, index: int, handle: Any) -> None:
        """`handle` is the driver's, or the Reason why it gives none."""
        self._driver, self._handle = driver, handle
        self.text = str(index)
        self._missing: dict[str, str] = {}
        self._energy = Energy()
        self._new_temp_c: Reading | None = None
        self._newest_us = 0
        self._distances_us: deque[int] = deque(maxlen=KEPT_DISTANCES)
        self._window_s: Reading = Reason("the driver has not buffered two samples yet")
        self._about: dict[str, Any] = {"index": index, **self._facts(handle, "")}
        self.instances = self._find_instances()

    @property
    def uuid(self) -> str | None:
        """None where the driver does not tell it."""
        uuid: str | None = self._about["uuid"]
        return uuid

    @property
    def hidden_uuid(self) -> str | None:
        """Why its UUID, or one of its instances', is not known; None where all are."""
        reasons = (
            why for name, why in self._missing.items() if name == "mig" or name.endswith("uuid")
        )
        return next(reasons, None)

    @property
    def named(self) -> str:
        """Its UUID and its name for a message, as far as they are known."""
        return f"{self.uuid or f'card {self.text}'} ({self._about['name'] or 'no name'})"

    def about(self) -> dict[str, Any]:
        """What the header says of the card."""
        window_s = self._window_s
        reason = {"util_window_reason": window_s} if isinstance(window_s, Reason) else {}
        return {
            **self._about,
            "mig": [instance.about for instance in self.instances],
            "util_window_s": None if reason else window_s,
            **reason,
            "missing": dict(self._missing),
        }

    def read(self) -> Taken:
        """The values of every row."""
        driver = self._driver
        util = self._ask(driver.utilisation_pct)
        values = {
            "util_pct": util if isinstance(util, Reason) else util[0],
            "mem_util_pct": util if isinstance(util, Reason) else util[1],
            **_columns(self._ask(driver.memory)),
            "power_w": self._ask(driver.power_w),
            "power_instant_w": self._ask(driver.power_instant_w),
            "energy_j": self._ask(self._energy_j),
            "sm_clock_mhz": self._ask(driver.clock_mhz, "SM"),
            "mem_clock_mhz": self._ask(driver.clock_mhz, "MEM"),
            "throttle_reasons": self._ask(driver.throttle_reasons),
        }
        instances = {
            one.card: _columns(driver.ask(driver.memory, one.handle)) for one in self.instances
        }
        return Taken(values, instances)

    def rows(self, unix_ns: int, taken: Taken) -> list[CardRow]:
        """What was read as a row, and a row for each MIG instance, which has nothing but memory."""
        temp_c, self._new_temp_c = self._new_temp_c, None
        of_card = taken.values if temp_c is None else taken.values | {"temp_c": temp_c}
        of_instances = [
            self._row(unix_ns, card, memory) for card, memory in taken.instances.items()
        ]
        return [self._row(unix_ns, self.text, of_card), *of_instances]

    def temp_c(self) -> Reading:
        """Temperature; it goes into the card's next row too."""
        self._new_temp_c = reading = self._ask(self._driver.temperature_c)
        return reading

    def pcie_bytes_per_s(self, direction: str) -> Reading:
        """`direction` is TX or RX."""
        return self._ask(self._driver.pcie_bytes_per_s, direction)

    def energy_mj(self) -> int | Reason:
        """The counter itself."""
        return self._ask(self._driver.energy_mj)

    def power_w(self) -> Reading:
        """As the driver reads or averages it."""
        return self._ask(self._driver.power_w)

    def used_bytes(self, instance: Instance | None) -> Reading:
        """Memory that is used of the card, or of one of its instances."""
        handle = instance.handle if instance else self._handle
        memory = self._driver.ask(self._driver.memory, handle)
        return memory if isinstance(memory, Reason) else memory.used_bytes

    def processes(self, instance: Instance | None) -> Lists:
        """The lists of one instance; of a whole card those of each of its instances, or its own."""
        parts = [instance] if instance else self.instances
        if parts:
            lists = [self._lists(one.handle, one.about["memory_total_bytes"]) for one in parts]
        else:
            lists = [self._lists(self._handle, self._about["memory_total_bytes"])]
        return Lists.together(lists)

    def _lists(self, handle: Any, total_bytes: int | None) -> Lists:
        most = MAX_BYTES if total_bytes is None else total_bytes
        compute, graphics = (
            self._driver.ask(self._driver.processes, handle, kind, most)
            for kind in ("Compute", "Graphics")
        )
        return Lists(compute, graphics)

    def util_samples(self, since_us: int) -> list[UtilSample]:
        """What the driver has buffered since this was asked last, as far as it is of `since_us` or later."""
        pairs = self._ask(self._driver.util_samples, self._newest_us)
        if isinstance(pairs, Reason):
            self._window_s = pairs if isinstance(self._window_s, Reason) else self._window_s
            return []
        self._learn_window([time_us for time_us, _ in pairs])
        return [(self.text, time_us, pct) for time_us, pct in pairs if time_us >= since_us]

    def _learn_window(self, times_us: list[int]) -> None:
        for time_us in times_us:
            if self._newest_us and time_us > self._newest_us:
                self._distances_us.append(time_us - self._newest_us)
            self._newest_us = time_us
        if self._distances_us:
            self._window_s = _median(self._distances_us) / 1e6

    def _energy_j(self, handle: Any) -> float:
        return self._energy.since_first_j(self._driver.energy_mj(handle), time.monotonic_ns())

    def _find_instances(self) -> list[Instance]:
        handles = self._ask(self._driver.instances)
        if isinstance(handles, Reason):
            self._note("mig", handles)
            return []
        named = [(f"{self.text}/mig{index}", handle) for index, handle in handles.items()]
        return [
            Instance(card, it, {"card": card, **self._facts(it, f"{card} ")}) for card, it in named
        ]

    def _facts(self, handle: Any, of: str) -> dict[str, Any]:
        driver = self._driver
        return {
            "name": self._known(f"{of}name", driver.ask(driver.name, handle)),
            "uuid": self._known(f"{of}uuid", driver.ask(driver.uuid, handle)),
            "memory_total_bytes": self._known(
                f"{of}memory_total_bytes", driver.ask(driver.memory_total_bytes, handle)
            ),
        }

    def _row(self, unix_ns: int, card: str, values: dict[str, Reading]) -> CardRow:
        of = "" if card == self.text else f"{card} "
        return (
            unix_ns,
            card,
            *(self._known(of + name, values.get(name)) for name in VALUE_COLUMNS),
        )

    def _known(self, name: str, value: Value | Reason | None) -> Value | None:
        """`value`, or None when it is a reason, which is noted for `name` then."""
        if isinstance(value, Reason):
            self._note(name, value)
            return None
        return value

    def _note(self, name: str, reason: Reason) -> None:
        known = self._missing.get(name)
        if known is None or reason not in known:
            self._missing[name] = reason if known is None else f"{known}; {reason}"

    def _ask(
        self,
        call: Callable[Concatenate[Any, Asked], Value],
        *more: Asked.args,
        **named: Asked.kwargs,
    ) -> Value | Reason:
        return self._driver.ask(call, self._handle, *more, **named)


def _columns(memory: Memory | Reason) -> dict[str, Reading]:
    return {
        "vram_used_bytes": memory if isinstance(memory, Reason) else memory.used_bytes,
        "vram_reserved_bytes": memory if isinstance(memory, Reason) else memory.reserved_bytes,
    }


def _median(numbers: deque[int]) -> float:
    """Written out, because importing `statistics` costs every start several milliseconds."""
    ordered = sorted(numbers)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
