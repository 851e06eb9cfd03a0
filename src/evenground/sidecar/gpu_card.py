"""One card: its values, its MIG instances and what the header says of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Concatenate, Final, NamedTuple

from evenground.sidecar.columns import CARD_COLUMNS
from evenground.sidecar.nvml import Asked, Driver, Memory, OnCard, Reading, Reason, Value

KEPT_DISTANCES: Final = 1000
VALUE_COLUMNS: Final = tuple(CARD_COLUMNS)[2:]
CardRow = tuple[float | str | None, ...]
"""In the order of CARD_COLUMNS."""
UtilSample = tuple[str, int, float]
"""In the order of UTIL_SAMPLE_COLUMNS."""


class Instance(NamedTuple):
    """A MIG instance: its text in the rows, its handle, and what the header says of it."""

    card: str
    handle: Any
    about: dict[str, Any]


class Energy:
    """Joules since the first reading of a counter that never falls."""

    def __init__(self) -> None:
        self._first_mj: int | None = None
        self._last_mj = 0
        self._fell = False

    def since_first_j(self, counter_mj: int) -> float:
        """ValueError once the counter has fallen, and from then on: nobody knows what it left out."""
        first_mj = self._first_mj = counter_mj if self._first_mj is None else self._first_mj
        self._fell = self._fell or counter_mj < self._last_mj
        if self._fell:
            raise ValueError("the counter fell, as when a card is reset")
        self._last_mj = counter_mj
        return (counter_mj - first_mj) / 1000


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
        self._about = {"index": index, **self._facts(handle, "")}
        self._instances = self._find_instances()

    def about(self) -> dict[str, Any]:
        """What the header says of the card."""
        window_s = self._window_s
        reason = {"util_window_reason": window_s} if isinstance(window_s, Reason) else {}
        return {
            **self._about,
            "mig": [instance.about for instance in self._instances],
            "util_window_s": None if reason else window_s,
            **reason,
            "missing": dict(self._missing),
        }

    def read(self) -> dict[str, Reading]:
        """The values of every row."""
        driver = self._driver
        util = self._ask(driver.utilisation_pct)
        return {
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

    def rows(self, unix_ns: int, values: dict[str, Reading]) -> list[CardRow]:
        """`values` as a row, and a row for each MIG instance, which has nothing but memory."""
        temp_c, self._new_temp_c = self._new_temp_c, None
        rows = [self._row(unix_ns, self.text, values if temp_c is None else values | {"temp_c": temp_c})]
        for card, handle, _ in self._instances:
            memory = _columns(self._ask_of(handle, self._driver.memory))
            rows.append(self._row(unix_ns, card, memory))
        return rows

    def temp_c(self) -> Reading:
        """Temperature; it goes into the card's next row too."""
        self._new_temp_c = reading = self._ask(self._driver.temperature_c)
        return reading

    def pcie_bytes_per_s(self, direction: str) -> Reading:
        """`direction` is TX or RX."""
        return self._ask(self._driver.pcie_bytes_per_s, direction)

    def processes(self) -> list[list[OnCard]] | Reason:
        """Those of each MIG instance, where there are any: the list of the whole card needs more rights."""
        found: list[list[OnCard]] = []
        for handle in [instance.handle for instance in self._instances] or [self._handle]:
            entries = self._ask_of(handle, self._driver.processes)
            if isinstance(entries, Reason):
                return entries
            found.append(entries)
        return found

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
        return self._energy.since_first_j(self._driver.energy_mj(handle))

    def _find_instances(self) -> list[Instance]:
        handles = self._ask(self._driver.instances)
        if isinstance(handles, Reason):
            self._note("mig", handles)
            return []
        named = [(f"{self.text}/mig{index}", handle) for index, handle in handles.items()]
        return [Instance(card, it, {"card": card, **self._facts(it, f"{card} ")}) for card, it in named]

    def _facts(self, handle: Any, of: str) -> dict[str, Any]:
        driver = self._driver
        return {
            "name": self._known(f"{of}name", self._ask_of(handle, driver.name)),
            "uuid": self._known(f"{of}uuid", self._ask_of(handle, driver.uuid)),
            "memory_total_bytes": self._known(
                f"{of}memory_total_bytes", self._ask_of(handle, driver.memory_total_bytes)
            ),
        }

    def _row(self, unix_ns: int, card: str, values: dict[str, Reading]) -> CardRow:
        of = "" if card == self.text else f"{card} "
        return (unix_ns, card, *(self._known(of + name, values.get(name)) for name in VALUE_COLUMNS))

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
        self, call: Callable[Concatenate[Any, Asked], Value], *more: Asked.args, **named: Asked.kwargs
    ) -> Value | Reason:
        return self._ask_of(self._handle, call, *more, **named)

    def _ask_of(
        self,
        handle: Any,
        call: Callable[Concatenate[Any, Asked], Value],
        *more: Asked.args,
        **named: Asked.kwargs,
    ) -> Value | Reason:
        return handle if isinstance(handle, Reason) else self._driver.ask(call, handle, *more, **named)


def _columns(memory: Memory | Reason) -> dict[str, Reading]:
    return {
        "vram_used_bytes": memory if isinstance(memory, Reason) else memory.used_bytes,
        "vram_reserved_bytes": memory if isinstance(memory, Reason) else memory.reserved_bytes,
    }


def _median(numbers: deque[int]) -> float:
    """Written out, because importing `statistics` costs every start several milliseconds."""
    ordered = sorted(numbers)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
