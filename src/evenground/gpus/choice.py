"""Which one card a call trains on: chosen once, and named by its UUID from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenground.gpus.look import MIG_IN_NAME, Card, Instance, Look

AUTO = "auto"
VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
BY_PCI = "PCI_BUS_ID"
# What CUDA, and those who set it, take for "no card".
NO_CARD = ("", "-1", "NoDevFiles", "none", "void")
INDEX = re.compile("[0-9]{1,9}")
OLD_MIG = re.compile(r"MIG-(GPU-[0-9a-f-]+)/\d+/\d+")
NO_RIGHT = "this user, or this job of a scheduler, may not use it"
ASK_FOR_ONE = (
    "ask for one (Slurm: --gres=gpu:1; else access to /dev/nvidia*), or set accelerator: cpu"
)
FIX_DRIVER = "fix NVIDIA's driver (nvidia-smi has to answer)"
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
        """What an engine sees as a card."""
        return self.instance or self.card

    @property
    def uuid(self) -> str:
        """Its name in CUDA_VISIBLE_DEVICES."""
        found = self.part.uuid
        assert found is not None, "what has no UUID is not chosen"
        return found

    @property
    def model(self) -> str:
        """What it is called: of an instance with its profile."""
        name = (
            self.card.name
            or f"a card of unknown name ({self.card.missing.get('name', 'no reason')})"
        )
        if self.instance is None:
            return name
        return f"{name.partition(MIG_IN_NAME)[0]}{MIG_IN_NAME}{self.instance.profile or 'instance'}"

    @property
    def memory_bytes(self) -> int | None:
        """All that an engine can have."""
        return self.part.memory_bytes

    @property
    def free_bytes(self) -> int | None:
        """What nobody holds."""
        return self.part.free_bytes

    @property
    def is_idle(self) -> bool:
        """Whether nobody computes there; what is not known counts as idle."""
        return not self.part.computing


@dataclass(frozen=True)
class Choice:
    """The card of a call; without one, `fault` is why, and None where there is none or none is wanted."""

    chosen: Chosen | None = None
    fault: str | None = None
    fix: str = ""


def choose(look: Look, gpu: str = AUTO, given: Mapping[str, str] | None = None) -> Choice:
    """The card that `gpu` of the experiment and the caller's CUDA_VISIBLE_DEVICES name.

    `gpu`: `auto`, an index of nvidia-smi's, or a UUID of a card or a MIG instance. `auto` takes what the
    caller's variable names, else the idle card with the most free memory, and of equal ones the first on the
    bus.
    """
    given = given or {}
    if gpu == AUTO and hides_all(given):
        return Choice()
    if look.fault:
        return Choice(None, look.fault, FIX_DRIVER)
    by_caller = _of_variable(look, given) if VISIBLE in given else None
    if gpu == AUTO:
        return _best(look) if by_caller is None else _only(by_caller, given)
    by_key = _of_key(look, gpu)
    if by_caller is None or by_key.chosen is None:
        return by_key
    if by_caller and by_caller[0].fault:
        return by_caller[0]
    if by_key.chosen.uuid in [choice.chosen.uuid for choice in by_caller if choice.chosen]:
        return by_key
    what = f"gpu: {gpu} is not the card of {VISIBLE}={given[VISIBLE]}"
    return Choice(None, what, "set one of the two only")


def candidates(look: Look) -> list[Chosen]:
    """All that an engine could be given: cards, or the instances of those that are cut up."""
    found: list[Chosen] = []
    for card in look.cards:
        if card.is_mig:
            found += [Chosen(card, instance) for instance in card.instances if instance.uuid]
        elif card.uuid:
            found.append(Chosen(card))
    return found


def _best(look: Look) -> Choice:
    found = candidates(look)
    if found:
        return Choice(min(found, key=_order))
    if look.forbidden and not look.cards and not look.lost:
        indices = ", ".join(map(str, look.forbidden))
        return Choice(None, f"no card can be used: card {indices}: {NO_RIGHT}", ASK_FOR_ONE)
    why = _unusable(look)
    cut_up = not look.lost and all(card.is_mig for card in look.cards)
    fix = MAKE_INSTANCE if cut_up else FIX_DRIVER
    return Choice(None, f"no card can be used: {why}", fix) if why else Choice()


def _unusable(look: Look) -> str:
    """The cards that cannot be chosen, and why, in words; those that may not be used are not among them."""
    usable = {one.card.index for one in candidates(look)}
    why = {card.index: _why_not(card) for card in look.cards if card.index not in usable} | dict(
        look.lost
    )
    return "; ".join(f"card {index}: {reason}" for index, reason in sorted(why.items()))


def _order(one: Chosen) -> tuple[bool, int, str, int]:
    """The idle ones first, then those with more free memory, then as they are on the bus."""
    return not one.is_idle, -(one.free_bytes or 0), one.card.pci or "", one.card.index


def _why_not(card: Card) -> str:
    if card.is_mig:
        return "it is in MIG mode, and has no instance"
    return card.missing.get("uuid", "it has no UUID")


def _of_key(look: Look, gpu: str) -> Choice:
    if INDEX.fullmatch(gpu):
        return _of_index(look, int(gpu), f"gpu: {gpu}")
    return _of_uuid(look, gpu, f"gpu: {gpu}")


def _of_index(look: Look, index: int, who: str) -> Choice:
    """The card that nvidia-smi shows with this index."""
    card = next((card for card in look.cards if card.index == index), None)
    if card is not None:
        return _of_card(card, who)
    if index in look.forbidden:
        return Choice(None, f"{who}: {NO_RIGHT}", ASK_FOR_ONE)
    if index in look.lost:
        return Choice(None, f"{who}: {look.lost[index]}", "fix the card, or name another one")
    return Choice(None, f"{who}: there is no such card; there are: {_known(look)}", NAME_ONE)


def _of_card(card: Card, who: str) -> Choice:
    """The card itself, or its only instance."""
    if not card.is_mig:
        if card.uuid:
            return Choice(Chosen(card))
        return Choice(None, f"{who}: {_why_not(card)}", "fix the card, or name another one")
    instances = [instance for instance in card.instances if instance.uuid]
    if len(instances) == 1:
        return Choice(Chosen(card, instances[0]))
    if not instances:
        return Choice(None, f"{who}: {_why_not(card)}", "make an instance, or name another card")
    known = ", ".join(str(instance.uuid) for instance in instances)
    return Choice(None, f"{who} has {len(instances)} MIG instances: {known}", "name one of them")


def _of_uuid(look: Look, uuid: str, who: str) -> Choice:
    """The card or instance whose UUID begins so, as CUDA itself takes it."""
    found = [one for one in candidates(look) if uuid and one.uuid.startswith(uuid)]
    if len(found) == 1:
        return Choice(found[0])
    if found:
        return Choice(None, f"{who} names {len(found)} cards", NAME_ONE)
    old = OLD_MIG.fullmatch(uuid)
    cards = [card for card in look.cards if card.uuid and card.uuid == (old[1] if old else uuid)]
    if cards:
        return _of_card(cards[0], who)
    return Choice(None, f"{who}: there is no such card; there are: {_known(look)}", NAME_ONE)


def _of_variable(look: Look, given: Mapping[str, str]) -> list[Choice]:
    """The cards that CUDA_VISIBLE_DEVICES names, in any of its forms; where the first is none, why not."""
    if hides_all(given):
        return []
    if not look.cards:
        # No engine would see one either: there is none, or it is said why none can be used.
        none = _best(look)
        return [none] if none.fault else []
    words = [word.strip() for word in given[VISIBLE].split(",")]
    found = [_of_word(look, words[0], given)]
    for word in words[1:]:
        of_word = _of_word(look, word, given)
        # CUDA ends the list at the first that names none.
        if word in NO_CARD or of_word.chosen is None:
            break
        found.append(of_word)
    return found


def _only(named: Sequence[Choice], given: Mapping[str, str]) -> Choice:
    """The one that the caller named."""
    if not named:
        return Choice()
    if len(named) == 1:
        return named[0]
    what = f"{VISIBLE}={given[VISIBLE]} names {len(named)} cards, and one training is on one"
    return Choice(None, what, "name one of them, there or with the key `gpu`")


def hides_all(given: Mapping[str, str]) -> bool:
    """Whether the caller's variable lets nobody see a card."""
    return VISIBLE in given and given[VISIBLE].split(",")[0].strip() in NO_CARD


def _of_word(look: Look, word: str, given: Mapping[str, str]) -> Choice:
    who = f"{VISIBLE}={given[VISIBLE]}"
    if not INDEX.fullmatch(word):
        return _of_uuid(look, word, who)
    cards = sorted(look.cards, key=lambda card: (card.pci or "", card.index))
    if given.get(ORDER) != BY_PCI and len({card.name for card in cards}) > 1:
        what = f"{who}: CUDA counts the fastest card first, nvidia-smi by the bus, and the cards are unlike"
        return Choice(None, what, f"set {ORDER}={BY_PCI} beside it, or give the UUID")
    number = int(word)
    hidden = look.lost or any(card.pci is None for card in cards)
    if hidden and len(cards) + len(look.lost) > 1:
        what = f"{who}: where CUDA counts a card that cannot be asked is not clear: {_known(look)}"
        return Choice(None, what, "give the UUID of a card (nvidia-smi -L lists them)")
    if number >= len(cards):
        return Choice(None, f"{who}: there is no such card; there are: {_known(look)}", NAME_ONE)
    return _of_card(cards[number], who)


def _known(look: Look) -> str:
    """What can be chosen, in words."""
    usable = ", ".join(f"{one.card.index} {one.uuid}" for one in candidates(look)) or "none"
    why = _unusable(look)
    return f"{usable}; not to be used: {why}" if why else usable
