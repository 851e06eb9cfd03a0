"""Checks of the card that trainings get: who uses it, and how it is set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evenground.gpus.choice import Chosen
from evenground.gpus.judge import watts_lost
from evenground.gpus.look import Card, OnCard, near_text
from evenground.judged import first, reasons
from evenground.preflight.finding import Finding, error, ok, warning
from evenground.runs.machine import Machine
from evenground.runs.variables import SHARED_CARD
from evenground.validation import one_line

GIB, MIB = 2**30, 2**20
# A context, the libraries' workspaces, a dataset as float32 and the networks take less.
MIN_FREE_BYTES = 2 * GIB
# How its processes' names begin; the kernel cuts them after 15 bytes.
MPS = "nvidia-cuda-mps"
# The ends of NVML's messages where a kind of card, or a driver, does not have a value.
UNSUPPORTED = ("Not Supported", "Function Not Found")


@dataclass(frozen=True)
class System:
    """Where the kernel lists devices and processes."""

    proc: Path = Path("/proc")
    devices: Path = Path("/sys/bus/pci/devices")
    dev: Path = Path("/dev")


def description(here: Machine, chosen: Chosen) -> str:
    """Return model, UUID, memory and other properties of the chosen card in one line."""
    card, look = chosen.card, here.look
    count = len(look.cards) + len(look.forbidden) + len(look.lost)
    parts = [f"{chosen.model}, card {card.index} of {count}, {chosen.uuid}"]
    if chosen.memory_bytes is not None and chosen.free_bytes is not None:
        parts.append(f"{_gib(chosen.free_bytes)} of {_gib(chosen.memory_bytes)} free")
    if card.capability:
        parts.append(f"compute capability {card.capability}")
    if card.ecc is not None:
        parts.append("ECC on" if card.ecc else "ECC off")
    near = near_text(card)
    if near:
        parts.append(f"near CPU {near}")
    return ", ".join(parts)


def of_card(chosen: Chosen, system: System, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield a finding for everything about the chosen card that a user should know."""
    yield from _name(chosen)
    yield from _memory(chosen)
    yield from _compute_mode(chosen.card)
    yield from _mps(system, environ)
    yield from _computing(chosen, system)
    yield from _neighbours(chosen)
    yield from _desktop(chosen.card, system)
    yield from _persistence(chosen.card)
    yield from _power_limit(chosen.card)
    yield from _unknown_values(chosen)


def _name(chosen: Chosen) -> Iterator[Finding]:
    # Bytes that are no text were escaped with backslashes when the name was read.
    if "\\" in chosen.model or not chosen.model.isprintable():
        seen = f"the driver gives it a name that is not text: {chosen.model}"
        fix = "see that nvidia-smi names the card: this name is in the machine's class"
        yield warning("GPU name", seen, fix)


def _memory(chosen: Chosen) -> Iterator[Finding]:
    free_bytes = chosen.free_bytes
    if free_bytes is not None and free_bytes < MIN_FREE_BYTES:
        fix = f"end what holds it (nvidia-smi names it): {_gib(MIN_FREE_BYTES)} are needed"
        yield error("GPU memory", f"{_gib(free_bytes)} free", fix)


def _compute_mode(card: Card) -> Iterator[Finding]:
    mode = card.compute_mode or ""
    if mode == "prohibited":
        fix = "as administrator: nvidia-smi -c DEFAULT, or name another card"
        yield error("GPU compute mode", "prohibited: no process may compute there", fix)
    elif mode.startswith("exclusive"):
        seen = f"{mode}: a training, or a calibration, has it alone"
        yield ok("GPU compute mode", seen)


def _mps(system: System, environ: Mapping[str, str]) -> Iterator[Finding]:
    # NVIDIA's server that lets several processes share a card.
    names = [text_of(comm) for comm in system.proc.glob("[0-9]*/comm")]
    if any(name.startswith(MPS) for name in names):
        seen = "its server is running"
    elif SHARED_CARD[0] in environ:
        seen = f"{SHARED_CARD[0]} is set"
    else:
        return
    stop = "stop it (echo quit | nvidia-cuda-mps-control)"
    fix = f"{stop}: it hides which process has how much memory, runs are flagged"
    yield warning("MPS", seen, fix, flags_runs=True)


def _computing(chosen: Chosen, system: System) -> Iterator[Finding]:
    listed = chosen.part.computing or ()
    computing = [entry for entry in listed if not _process_name(entry, system).startswith(MPS)]
    if not computing:
        return
    sizes = [entry.used_bytes for entry in computing if entry.used_bytes]
    memory = "an unknown amount of memory"
    if len(sizes) == len(computing):
        memory = f"{sum(sizes) / MIB:.0f} MiB"
    seen = f"{len(computing)} processes compute on it, with {memory}: {_named(computing, system)}"
    fix = "end them, or name another card: times will be those of a shared card, runs are flagged"
    yield warning("GPU use", seen, fix, flags_runs=True)


def _named(entries: Sequence[OnCard], system: System) -> str:
    """Return the first of some processes, by name and number."""
    return first([f"{_process_name(entry, system) or 'process'} {entry.pid}" for entry in entries])


def _process_name(entry: OnCard, system: System) -> str:
    return text_of(system.proc / str(entry.pid) / "comm")


def _neighbours(chosen: Chosen) -> Iterator[Finding]:
    # Of a card's instances only the memory is separate.
    if chosen.instance is None:
        return
    others = [part for part in chosen.card.instances if part is not chosen.instance]
    busy = [part for part in others if part.computing]
    if busy:
        seen = f"other processes compute on {len(busy)} other MIG instances of the card"
        fix = (
            "power, energy and clocks are the whole card's: "
            "wait until they end, or do not read them"
        )
        yield warning("GPU neighbours", seen, fix)


def _desktop(card: Card, system: System) -> Iterator[Finding]:
    parts = []
    if card.drawing:
        parts.append(f"{len(card.drawing)} processes draw on it ({_named(card.drawing, system)})")
    if card.display:
        parts.append("it drives a screen")
    if parts:
        fix = "end the desktop, or train on a card without one: runs are flagged"
        yield warning("GPU desktop", "; ".join(parts), fix, flags_runs=True)


def _persistence(card: Card) -> Iterator[Finding]:
    # A desktop keeps the driver loaded anyway.
    if card.persistence is False and not card.display and not card.drawing:
        seen = "off: the driver starts the card again for each training"
        yield warning("GPU persistence", seen, "as administrator: nvidia-smi -pm 1")


def _power_limit(card: Card) -> Iterator[Finding]:
    limit_w, default_w = card.power_limit_w, card.power_default_w
    if limit_w is not None and default_w is not None and watts_lost(limit_w, default_w):
        seen = f"{limit_w:g} W, of {default_w:g} W by default"
        fix = f"as administrator: nvidia-smi -i {card.index} -pl {default_w:g}"
        yield warning("GPU power limit", seen, fix)


def _unknown_values(chosen: Chosen) -> Iterator[Finding]:
    # Only a failure of the driver is a warning, and not a value that the card does not have.
    missing = dict(chosen.card.missing)
    if chosen.instance:
        missing |= chosen.instance.missing
    if not missing:
        return
    seen = f"not known: {reasons(replace(chosen.card, missing=missing))}"
    if any(_has_failed(reason) for reason in missing.values()):
        yield warning("GPU values", seen, "see what nvidia-smi -q reports of the card")
    else:
        yield ok("GPU values", seen)


def _has_failed(reason: str) -> bool:
    """Return whether the driver failed, rather than not having such a value."""
    return not reason.endswith(UNSUPPORTED)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"


def text_of(path: Path) -> str:
    """Return a small file as one printable line; empty if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return one_line(text).strip()
