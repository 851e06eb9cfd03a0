"""Which one card an invocation trains on: chosen once, and named by its UUID from then on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenground.gpus.look import MIG_IN_NAME, Card, Instance, Look

AUTO = "auto"
VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
BY_PCI = "PCI_BUS_ID"
# First entries of CUDA_VISIBLE_DEVICES that mean "no card" to CUDA and to schedulers.
NO_CARD = ("", "-1", "NoDevFiles", "none", "void")
INDEX = re.compile("[0-9]{1,9}")
NO_RIGHT = "this user, or this job of a scheduler, may not use it"
ASK_FOR_ONE = (
    "ask for one (Slurm: --gres=gpu:1; else access to /dev/nvidia*), or set accelerator: cpu"
)
FIX_DRIVER = "fix NVIDIA's driver (nvidia-smi has to answer)"
FIX_CARD = "fix the card, or name another one"
MAKE_INSTANCE = (
    "as administrator: nvidia-smi mig -cgi PROFILE -C makes one, nvidia-smi -mig 0 ends MIG mode"
)
NAME_ONE = (
    "name one card by its UUID (nvidia-smi -L lists them), or hide all with CUDA_VISIBLE_DEVICES="
)


@dataclass(frozen=True)
class Chosen:
    """One card, or one MIG instance of it."""

    card: Card
    instance: Instance | None = None

    @property
    def part(self) -> Card | Instance:
        """The card or instance, which an engine sees as a card."""
        return self.instance or self.card

    @property
    def uuid(self) -> str:
        """Its name in CUDA_VISIBLE_DEVICES."""
        uuid = self.part.uuid
        assert uuid is not None, "`candidates` holds nothing without a UUID"
        return uuid

    @property
    def model(self) -> str:
        """The product's name, for an instance with its profile."""
        name = self.card.name
        if name is None:
            reason = self.card.missing.get("name", "no reason")
            name = f"a card of unknown name ({reason})"
        if self.instance is None:
            return name
        return f"{name.partition(MIG_IN_NAME)[0]}{MIG_IN_NAME}{self.instance.profile or 'instance'}"

    @property
    def memory_bytes(self) -> int | None:
        """The memory that an engine can have at most."""
        return self.part.memory_bytes

    @property
    def free_bytes(self) -> int | None:
        """The memory that no process holds."""
        return self.part.free_bytes


@dataclass(frozen=True)
class Choice:
    """The card of an invocation.

    Without a card, `fault` is the reason; it is None where the machine has no card or all are
    hidden on purpose.
    """

    chosen: Chosen | None = None
    fault: str | None = None
    fix: str = ""


class _NoCard(Exception):
    """No card can be chosen: why, and what to do about it."""

    def __init__(self, fault: str, fix: str) -> None:
        super().__init__(fault)
        self.fault, self.fix = fault, fix


def choose(look: Look, gpu: str = AUTO, environ: Mapping[str, str] | None = None) -> Choice:
    """Choose the card that `gpu` of the experiment and CUDA_VISIBLE_DEVICES of the caller name.

    `gpu`: `auto`, an index as in nvidia-smi, or a UUID of a card or a MIG instance. `auto` takes
    the card that the caller's variable names, else the idle card with the most free memory, and of
    equal ones the first on the bus.
    """
    try:
        return Choice(chosen=_choose(look, gpu, environ or {}))
    except _NoCard as error:
        return Choice(fault=error.fault, fix=error.fix)


def _choose(look: Look, gpu: str, environ: Mapping[str, str]) -> Chosen | None:
    if gpu == AUTO and hides_all(environ):
        return None
    if look.fault:
        raise _NoCard(look.fault, FIX_DRIVER)
    if gpu == AUTO and VISIBLE in environ:
        return _only_one(_visible(look, environ), environ)
    if gpu == AUTO:
        return _best(look)
    chosen = _by_key(look, gpu)
    if VISIBLE in environ and chosen not in _visible(look, environ):
        what = f"gpu: {gpu} is not the card of {VISIBLE}={environ[VISIBLE]}"
        raise _NoCard(what, "set one of the two only")
    return chosen


def candidates(look: Look) -> list[Chosen]:
    """All cards that an engine could be given, and the instances of those in MIG mode."""
    found: list[Chosen] = []
    for card in look.cards:
        if card.is_mig:
            found += [Chosen(card, instance) for instance in card.instances if instance.uuid]
        elif card.uuid:
            found.append(Chosen(card))
    return found


def _best(look: Look) -> Chosen | None:
    """The card that `auto` takes; None on a machine without cards."""
    usable = candidates(look)
    if usable:
        return min(usable, key=_order)
    why = _unusable(look)
    if why:
        fix = FIX_DRIVER
        if not look.lost and all(card.is_mig for card in look.cards):
            fix = MAKE_INSTANCE
        raise _NoCard(f"no card can be used: {why}", fix)
    if look.forbidden:
        indices = ", ".join(map(str, look.forbidden))
        raise _NoCard(f"no card can be used: card {indices}: {NO_RIGHT}", ASK_FOR_ONE)
    return None


def _unusable(look: Look) -> str:
    """The cards that cannot be chosen, and why; without those that this user may not use."""
    usable = {chosen.card.index for chosen in candidates(look)}
    reasons = {card.index: _why_not(card) for card in look.cards if card.index not in usable}
    reasons |= look.lost
    return "; ".join(f"card {index}: {reason}" for index, reason in sorted(reasons.items()))


def _order(chosen: Chosen) -> tuple[bool, int, str, int]:
    """Idle cards first, then those with more free memory, then in the order of the bus."""
    card, free_bytes = chosen.card, chosen.free_bytes or 0
    # Where it is not known whether a process computes there, the card counts as idle.
    return bool(chosen.part.computing), -free_bytes, card.pci or "", card.index


def _why_not(card: Card) -> str:
    if card.is_mig:
        return "it is in MIG mode, and has no instance"
    return card.missing.get("uuid", "it has no UUID")


def _by_key(look: Look, gpu: str) -> Chosen:
    """The card that the experiment's key `gpu` names."""
    source = f"gpu: {gpu}"
    if not INDEX.fullmatch(gpu):
        return _by_uuid(look, gpu, source)
    index = int(gpu)
    for card in look.cards:
        if card.index == index:
            return _of_card(card, source)
    if index in look.forbidden:
        raise _NoCard(f"{source}: {NO_RIGHT}", ASK_FOR_ONE)
    if index in look.lost:
        raise _NoCard(f"{source}: {look.lost[index]}", FIX_CARD)
    raise _no_such_card(look, source)


def _of_card(card: Card, source: str) -> Chosen:
    """The card itself, or its only instance."""
    if not card.is_mig:
        if card.uuid:
            return Chosen(card)
        raise _NoCard(f"{source}: {_why_not(card)}", FIX_CARD)
    instances = [instance for instance in card.instances if instance.uuid]
    if len(instances) == 1:
        return Chosen(card, instances[0])
    if not instances:
        raise _NoCard(f"{source}: {_why_not(card)}", "make an instance, or name another card")
    known = ", ".join(str(instance.uuid) for instance in instances)
    raise _NoCard(f"{source} has {len(instances)} MIG instances: {known}", "name one of them")


def _by_uuid(look: Look, uuid: str, source: str) -> Chosen:
    """The card or instance whose UUID begins with `uuid`: CUDA takes the beginning, too."""
    found = [chosen for chosen in candidates(look) if uuid and chosen.uuid.startswith(uuid)]
    if len(found) == 1:
        return found[0]
    if found:
        raise _NoCard(f"{source} names {len(found)} cards", NAME_ONE)
    # A card in MIG mode is no candidate, but its UUID may stand for its only instance.
    for card in look.cards:
        if card.uuid == uuid:
            return _of_card(card, source)
    raise _no_such_card(look, source)


def _visible(look: Look, environ: Mapping[str, str]) -> list[Chosen]:
    """The cards that CUDA_VISIBLE_DEVICES names; raises _NoCard if its first entry names none."""
    if hides_all(environ):
        return []
    if not look.cards:
        # No engine would see a card, whatever the variable names: raise the reason, if any.
        _best(look)
        return []
    entries = [entry.strip() for entry in environ[VISIBLE].split(",")]
    visible = [_of_entry(look, entries[0], environ)]
    # CUDA ends the list at the first entry that names no card.
    with contextlib.suppress(_NoCard):
        for entry in entries[1:]:
            visible.append(_of_entry(look, entry, environ))
    return visible


def _only_one(visible: Sequence[Chosen], environ: Mapping[str, str]) -> Chosen | None:
    if len(visible) > 1:
        what = (
            f"{VISIBLE}={environ[VISIBLE]} names {len(visible)} cards, and one training is on one"
        )
        raise _NoCard(what, "name one of them, there or with the key `gpu`")
    return next(iter(visible), None)


def hides_all(environ: Mapping[str, str]) -> bool:
    """Whether the caller's CUDA_VISIBLE_DEVICES hides every card."""
    return VISIBLE in environ and environ[VISIBLE].split(",")[0].strip() in NO_CARD


def _of_entry(look: Look, entry: str, environ: Mapping[str, str]) -> Chosen:
    """The card of one entry of CUDA_VISIBLE_DEVICES: an index as CUDA counts, or a UUID."""
    source = f"{VISIBLE}={environ[VISIBLE]}"
    if not INDEX.fullmatch(entry):
        return _by_uuid(look, entry, source)
    cards = sorted(look.cards, key=lambda card: (card.pci or "", card.index))
    # Equal cards are counted by the bus either way.
    if environ.get(ORDER) != BY_PCI and len({card.name for card in cards}) > 1:
        raise _NoCard(
            f"{source}: CUDA counts the fastest card first, nvidia-smi by the bus, "
            "and the cards are unlike",
            f"set {ORDER}={BY_PCI} beside it, or give the UUID",
        )
    has_hidden = bool(look.lost) or any(card.pci is None for card in cards)
    if has_hidden and len(cards) + len(look.lost) > 1:
        raise _NoCard(
            f"{source}: where CUDA counts a card that cannot be asked is not clear: {_known(look)}",
            "give the UUID of a card (nvidia-smi -L lists them)",
        )
    index = int(entry)
    if index >= len(cards):
        raise _no_such_card(look, source)
    return _of_card(cards[index], source)


def _no_such_card(look: Look, source: str) -> _NoCard:
    return _NoCard(f"{source}: there is no such card; there are: {_known(look)}", NAME_ONE)


def _known(look: Look) -> str:
    """The cards that can be chosen, and those that cannot."""
    usable = [f"{chosen.card.index} {chosen.uuid}" for chosen in candidates(look)]
    known = ", ".join(usable) or "none"
    why = _unusable(look)
    if why:
        known += f"; not to be used: {why}"
    return known
