"""What is not plain about the card that trainings get: who is on it, and how it is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evenground.gpus.choice import Chosen
from evenground.gpus.judge import watts_lost
from evenground.gpus.look import Card, OnCard, near_text
from evenground.judged import reasons
from evenground.preflight.finding import Finding
from evenground.runs.machine import Machine
from evenground.runs.variables import SHARED_CARD

GIB, MIB = 2**30, 2**20
FREE_AT_LEAST_BYTES = 2 * GIB
"""An engine's context, the libraries' workspaces, a dataset as float32 and the networks take less."""
MPS = "nvidia-cuda-mps"
"""Names of its server and its control, which the kernel cuts here."""
NAMED = 3
# What a kind of card, or a driver, simply has not.
LACKING = ("Not Supported", "Function Not Found")


@dataclass(frozen=True)
class System:
    """Where the kernel tells of devices and processes."""

    proc: Path = Path("/proc")
    devices: Path = Path("/sys/bus/pci/devices")
    dev: Path = Path("/dev")


def description(here: Machine, chosen: Chosen) -> str:
    """What the chosen card is, in words."""
    card, look = chosen.card, here.look
    count = len(look.cards) + len(look.forbidden) + len(look.lost)
    words = [f"{chosen.model}, card {card.index} of {count}, {chosen.uuid}"]
    if chosen.memory_bytes is not None and chosen.free_bytes is not None:
        words.append(f"{_gib(chosen.free_bytes)} of {_gib(chosen.memory_bytes)} free")
    if card.capability:
        words.append(f"compute capability {card.capability}")
    if card.ecc is not None:
        words.append(f"ECC {'on' if card.ecc else 'off'}")
    near = near_text(card)
    return ", ".join([*words, f"near CPU {near}"] if near else words)


def of_card(chosen: Chosen, system: System, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What is not plain about the chosen card."""
    yield from _odd_name(chosen)
    yield from _memory(chosen)
    yield from _compute_mode(chosen.card)
    yield from _mps(system, environ)
    yield from _computing(chosen, system)
    yield from _neighbours(chosen)
    yield from _desktop(chosen.card, system)
    yield from _settings(chosen)
    yield from _not_known(chosen)


def _odd_name(chosen: Chosen) -> Iterator[Finding]:
    if "\\" in chosen.model or not chosen.model.isprintable():
        fix = "see that nvidia-smi names the card: this name is in the machine's class"
        yield Finding(
            "GPU name",
            "warning",
            f"the driver gives it a name that is no text: {chosen.model}",
            fix,
        )


def _memory(chosen: Chosen) -> Iterator[Finding]:
    free_bytes = chosen.free_bytes
    if free_bytes is not None and free_bytes < FREE_AT_LEAST_BYTES:
        fix = f"end what holds it (nvidia-smi names it): {_gib(FREE_AT_LEAST_BYTES)} are needed"
        yield Finding("GPU memory", "lack", f"{_gib(free_bytes)} free", fix)


def _compute_mode(card: Card) -> Iterator[Finding]:
    mode = card.compute_mode
    if mode == "prohibited":
        fix = "as administrator: nvidia-smi -c DEFAULT, or name another card"
        yield Finding("GPU compute mode", "lack", "prohibited: nobody may compute there", fix)
    elif mode is not None and mode.startswith("exclusive"):
        yield Finding(
            "GPU compute mode", "ok", f"{mode}: a training, or a calibration, has it alone"
        )


def _mps(system: System, environ: Mapping[str, str]) -> Iterator[Finding]:
    running, told = is_served_by_mps(system.proc), SHARED_CARD[0] in environ
    if running or told:
        seen = "its server is running" if running else f"{SHARED_CARD[0]} is set"
        stop = "stop it (echo quit | nvidia-cuda-mps-control)"
        fix = f"{stop}: it hides which process has how much memory, runs are flagged"
        yield Finding("MPS", "warning", seen, fix, flags_runs=True)


def is_served_by_mps(proc: Path) -> bool:
    """Whether a server is running that lets several processes share a card."""
    return any(text_of(comm).startswith(MPS) for comm in proc.glob("[0-9]*/comm"))


def _computing(chosen: Chosen, system: System) -> Iterator[Finding]:
    listed = chosen.part.computing or ()
    there = [entry for entry in listed if not _name(entry, system).startswith(MPS)]
    if there:
        known = [entry.used_bytes for entry in there if entry.used_bytes]
        memory = (
            f"{sum(known) / MIB:.0f} MiB"
            if len(known) == len(there)
            else "an unknown amount of memory"
        )
        seen = f"{len(there)} compute on it already, with {memory}: {_named(there, system)}"
        fix = (
            "end them, or name another card: times will be those of a shared card, runs are flagged"
        )
        yield Finding("GPU use", "warning", seen, fix, flags_runs=True)


def _named(entries: Sequence[OnCard], system: System) -> str:
    """The first of some processes, by name and number."""
    names = [f"{_name(entry, system) or 'process'} {entry.pid}" for entry in entries[:NAMED]]
    more = f" and {len(entries) - NAMED} more" if len(entries) > NAMED else ""
    return f"{', '.join(names)}{more}"


def _name(entry: OnCard, system: System) -> str:
    return text_of(system.proc / str(entry.pid) / "comm")


def _neighbours(chosen: Chosen) -> Iterator[Finding]:
    """Of a card that is cut up only its instances' memory is apart."""
    busy = [
        part for part in chosen.card.instances if part is not chosen.instance and part.computing
    ]
    if chosen.instance and busy:
        seen = f"others compute on {len(busy)} other MIG instances of the card"
        fix = "power, energy and clocks are the whole card's: wait until they end, or do not read them"
        yield Finding("GPU neighbours", "warning", seen, fix)


def _desktop(card: Card, system: System) -> Iterator[Finding]:
    drawing = card.drawing or ()
    parts = [f"{len(drawing)} draw on it ({_named(drawing, system)})"] if drawing else []
    if card.display:
        parts.append("a screen is lit by it")
    if parts:
        fix = "end the desktop, or train on a card without one: runs are flagged"
        yield Finding("GPU desktop", "warning", "; ".join(parts), fix, flags_runs=True)


def _settings(chosen: Chosen) -> Iterator[Finding]:
    card = chosen.card
    # A desktop keeps the driver at work anyway.
    if card.persistence is False and not card.display and not card.drawing:
        seen = "off: the driver starts the card anew for each training"
        yield Finding("GPU persistence", "warning", seen, "as administrator: nvidia-smi -pm 1")
    limit_w, default_w = card.power_limit_w, card.power_default_w
    if limit_w is not None and default_w is not None and watts_lost(limit_w, default_w):
        fix = f"as administrator: nvidia-smi -i {card.index} -pl {default_w:g}"
        yield Finding(
            "GPU power limit", "warning", f"{limit_w:g} W, of {default_w:g} W by default", fix
        )


def _not_known(chosen: Chosen) -> Iterator[Finding]:
    """Values that could not be had; where the driver failed, and does not just lack them, it is a warning."""
    of_instance = chosen.instance.missing if chosen.instance else {}
    one = replace(chosen.card, missing={**chosen.card.missing, **of_instance})
    if one.missing:
        failed = any(has_failed(reason) for reason in one.missing.values())
        fix = "see what nvidia-smi -q says of the card" if failed else ""
        yield Finding(
            "GPU values", "warning" if failed else "ok", f"not known: {reasons(one)}", fix
        )


def has_failed(reason: str) -> bool:
    """Whether the driver failed, and the card does not just lack such a value."""
    return not reason.endswith(LACKING)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"


def text_of(path: Path) -> str:
    """What a small file says, in one printable line; empty where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(letter for letter in text.strip() if letter.isprintable())
