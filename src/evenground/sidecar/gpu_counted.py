"""What the whole-card columns are of: a card, or one MIG instance of it."""

from __future__ import annotations

from typing import Any

from evenground.sidecar.gpu_card import Card, Instance, Taken
from evenground.sidecar.gpu_processes import Lists
from evenground.sidecar.nvml import Driver, Reading, Reason

OF_WHOLE_CARD = Reason(
    "a MIG instance is measured: the driver tells this of the whole card only, which others may use as well"
)
NOT_OF_INSTANCE = ("util_pct", "mem_util_pct", "power_w", "power_instant_w", "energy_j")


class NoSuchCard(Exception):
    """The card or MIG instance that was asked for is not there; the text says which are."""


class Counted:
    """A card that counts, or an instance that does; of its card it then has clocks and temperature."""

    def __init__(self, card: Card, instance: Instance | None = None) -> None:
        """The whole card, or that instance of it."""
        self.card, self._instance = card, instance
        self.text = instance.card if instance else card.text
        """As in the column `card` of samples.cards.csv."""

    def values(self, taken: Taken) -> dict[str, Reading]:
        """What counts of a reading of the card."""
        if self._instance is None:
            return taken.values
        others: dict[str, Reading] = dict.fromkeys(NOT_OF_INSTANCE, OF_WHOLE_CARD)
        return taken.values | others | taken.instances[self.text]

    def used_bytes(self) -> Reading:
        """Memory that is used now."""
        return self.card.used_bytes(self._instance)

    def energy_mj(self) -> int | Reason:
        """The counter of energy."""
        return OF_WHOLE_CARD if self._instance else self.card.energy_mj()

    def power_w(self) -> Reading:
        """As the driver reads or averages it."""
        return OF_WHOLE_CARD if self._instance else self.card.power_w()

    def pcie_bytes_per_s(self, direction: str) -> Reading:
        """`direction` is TX or RX."""
        return OF_WHOLE_CARD if self._instance else self.card.pcie_bytes_per_s(direction)

    def processes(self) -> Lists:
        """The driver's lists of processes."""
        return self.card.processes(self._instance)


def find_cards(driver: Driver) -> list[Card]:
    """All cards that this user may open; one that is lost stands among them. NVMLError without a driver."""
    driver.call("nvmlInit")
    forbidden, cards = driver.nvml.NVMLError_NoPermission, []
    for index in range(driver.card_count()):
        handle: Any
        try:
            handle = driver.call("nvmlDeviceGetHandleByIndex", index)
        except forbidden:  # somebody else's, as when Slurm deals out the cards
            continue
        except driver.nvml.NVMLError as error:
            handle = driver.why(error)
        cards.append(Card(driver, index, handle))
    return cards


def choose(cards: list[Card], uuid: str | None) -> list[Counted] | Reason:
    """Those that count: the one of that UUID, else all. NoSuchCard where none has it.

    A reason where one that does not tell its UUID may be it.
    """
    if uuid is None:
        return [Counted(card) for card in cards]
    whole = [Counted(card) for card in cards if card.uuid == uuid]
    parts = [
        Counted(card, one) for card in cards for one in card.instances if one.about["uuid"] == uuid
    ]
    if found := [*whole, *parts][:1]:
        return found
    for card in cards:
        if why := card.hidden_uuid:
            return Reason(
                f"no card tells the UUID {uuid}, and of card {card.text} not all is known: {why}"
            )
    raise NoSuchCard(f"no card has the UUID {uuid}: {_those(cards)}")


def _those(cards: list[Card]) -> str:
    """The UUIDs that there are, for a message."""
    names = [card.named for card in cards]
    names += [
        f"{one.about['uuid']} ({one.about['name']})" for card in cards for one in card.instances
    ]
    return f"here are {', '.join(names)}" if names else "the NVIDIA driver gives this user none"
