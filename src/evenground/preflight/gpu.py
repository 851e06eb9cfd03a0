"""What is to be said of this machine's GPU before anything is trained on it, and why it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evenground.engines import Engine
from evenground.gpus.choice import NO_RIGHT, VISIBLE, Chosen, hides_all
from evenground.gpus.look import kernel_version
from evenground.judged import reasons
from evenground.pins import Driver, PinnedEngine, Pins, version_key
from evenground.preflight.finding import Finding, State
from evenground.preflight.gpu_card import System, description, has_failed, of_card, text_of
from evenground.preflight.trial import LIMIT_S, fault_of, try_card
from evenground.runs.machine import Machine
from evenground.runs.plan import Plan
from evenground.runs.variables import DRIVER, kernel_folder, of_a_step

NVIDIA, DISPLAYS = "0x10de", ("0x0300", "0x0302")
"""As the kernel writes a PCI device's vendor, and the beginning of its class."""
SYSTEM = System()
NOT_LOADED = "Driver Not Loaded"
"""NVML's words where there is no kernel module."""
NOT_USED = "set accelerator: cpu"
MENDS = {
    "version mismatch": "restart this machine: its driver was updated while it was at work "
    "(nvidia-smi: Driver/library version mismatch)",
    NOT_LOADED: "as root: modprobe nvidia",
}
FIX_CARD = "see what nvidia-smi -q says of it; trainings are on another card"


def findings(
    plans: Sequence[Plan],
    pins: Pins,
    recorded_drivers: Sequence[str] = (),
    system: System = SYSTEM,
    environ: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """The card that trainings get here, or why none, and all that is not plain about it.

    Where nothing will be trained here nothing lacks. `recorded_drivers`: those of recorded runs.
    """
    here = plans[0].here
    found = [*_findings(plans, pins, recorded_drivers, system, environ), *others(here)]
    if trained(plans):
        return found
    return [replace(one, state="warning") if one.state == "lack" else one for one in found]


def _findings(
    plans: Sequence[Plan],
    pins: Pins,
    recorded_drivers: Sequence[str],
    system: System,
    environ: Mapping[str, str],
) -> Iterator[Finding]:
    here, pairs = plans[0].here, wanting(plans)
    chosen = here.choice.chosen
    if chosen is None:
        yield no_card(plans, pins, system, environ)
        return
    if not pairs:
        yield Finding("GPU", "ok", f"{description(here, chosen)}; {why_not_used(plans)}")
        return
    yield Finding("GPU", "ok", description(here, chosen))
    yield driver(here.driver, pins, recorded_drivers)
    yield from of_engines(trained(plans) or pairs, chosen, here.driver, pins)
    yield from of_card(chosen, system, environ)


def wanting(plans: Sequence[Plan]) -> list[tuple[Plan, Engine]]:
    """The engines that are to compute on a GPU of this machine, if it has one, each with its plan."""
    here = [plan for plan in plans if plan.machine == plan.here.name and not plan.experiment.nodes]
    asking = [plan for plan in here if plan.experiment.accelerator != "cpu"]
    return [(plan, engine) for plan in asking for engine in plan.engines if not engine.has_no_gpu]


def trained(plans: Sequence[Plan]) -> list[tuple[Plan, Engine]]:
    """Those of them that have something to train."""
    found = []
    for plan, engine in wanting(plans):
        runs = [run for run in plan.runs if run.engine == engine.name and run.place in plan.pending]
        if plan.trains and runs:
            found.append((plan, engine))
    return found


def why_not_used(plans: Sequence[Plan]) -> str:
    """Why no engine of these plans computes on a GPU of this machine."""
    first = plans[0].experiment
    if first.nodes:
        return "not used: trainings are on a cluster's nodes"
    if all(plan.experiment.accelerator == "cpu" for plan in plans):
        return "not used (accelerator: cpu)"
    if any(plan.machine == plan.here.name for plan in plans):
        return "not used: no engine here can use one"
    return "not used: recorded runs of another machine are drawn"


def no_card(
    plans: Sequence[Plan], pins: Pins, system: System, environ: Mapping[str, str]
) -> Finding:
    """Why there is none to train on, which may be quite right."""
    choice, pairs = plans[0].here.choice, wanting(plans)
    unserved = unserved_card(pins.driver, system)
    must = any(plan.experiment.accelerator == "cuda" for plan, _ in pairs)
    if choice.fault:
        fix = next((fix for words, fix in MENDS.items() if words in choice.fault), choice.fix)
        if not pairs:
            return Finding("GPU", "warning", f"{choice.fault}; {why_not_used(plans)}", fix)
        if must or unserved or not choice.fault.endswith(NOT_LOADED):
            return Finding("GPU", "lack", choice.fault, fix)
        # As on a cluster's login node, which has the driver's packages and no card.
        return _processor(f"none is seen here, and the driver is not loaded ({choice.fault})", fix)
    if not pairs:
        return Finding("GPU", "ok", f"none; {why_not_used(plans)}")
    seen, fix = "none", "set accelerator: auto or cpu, or install NVIDIA's driver"
    if hides_all(environ):
        seen, fix, unserved = (
            f"none: {VISIBLE}={environ[VISIBLE]} hides all",
            f"unset {VISIBLE}",
            None,
        )
    elif unserved:
        seen, fix = unserved
    if must:
        return Finding("GPU", "lack", seen, fix)
    return _processor(seen, fix if unserved else "")


def _processor(seen: str, fix: str) -> Finding:
    """Engines have no GPU; with a fix that is a warning."""
    state: State = "warning" if fix else "ok"
    return Finding("GPU", state, f"{seen}: engines compute on the processor", fix)


def unserved_card(wanted: Driver, system: System) -> tuple[str, str] | None:
    """A sign of a card that the driver's library does not tell of, and the fix; None without one."""
    loaded = kernel_version(system.proc / "driver/nvidia/version")
    if loaded:
        seen = f"NVIDIA's kernel module {loaded} is loaded, but {DRIVER[1]} tells of no card"
        return seen, f"install that driver's libraries (in a container: --gpus all), or {NOT_USED}"
    cards = on_the_bus(system.devices)
    if cards:
        seen = (
            f"NVIDIA's card {', '.join(cards)} is on the bus, but no driver of NVIDIA's is loaded"
        )
        return seen, f"install NVIDIA's driver {wanted.minimum} or newer, or {NOT_USED}"
    if (system.dev / "dxg").exists():
        seen = f"Windows lets this machine use a GPU (/dev/dxg), but {DRIVER[1]} tells of no card"
        return seen, f"install NVIDIA's driver for Windows, or {NOT_USED}"
    return None


def on_the_bus(devices: Path) -> list[str]:
    """PCI addresses of NVIDIA's cards."""
    found = []
    for device in sorted(devices.glob("*")):
        if text_of(device / "vendor") == NVIDIA and text_of(device / "class").startswith(DISPLAYS):
            found.append(device.name)
    return found


def driver(found: str | None, pins: Pins, recorded: Sequence[str] = ()) -> Finding:
    """The driver of the chosen card against its pins and against those of recorded runs."""
    wanted = pins.driver
    if found is None:
        fix = f"{wanted.minimum} or newer is needed"
        return Finding("driver", "warning", "its version is not known", fix)
    if version_key(found) < version_key(wanted.minimum):
        fix = f"install {wanted.minimum} or newer ({wanted.recommended} is tried), or {NOT_USED}"
        seen = f"{found} is too old for CUDA {pins.cuda_runtime.partition('.')[0]}"
        return Finding("driver", "lack", seen, fix)
    different = sorted(set(recorded) - {found})
    if different:
        fix = f"recorded runs had {', '.join(different)}: a class of its own"
        return Finding("driver", "warning", found, fix)
    return Finding("driver", "ok", found)


def of_engines(
    pairs: Sequence[tuple[Plan, Engine]], chosen: Chosen, found: str | None, pins: Pins
) -> Iterator[Finding]:
    """Of each engine whose libraries do not simply run on the card, why; `found` is the driver's version."""
    locks = {plan.environment(engine) for plan, engine in pairs}
    for name, pinned in pins.engines.items():
        if pinned.lock in locks:
            yield from of_engine(name, pinned, chosen, found)


def of_engine(
    name: str, pinned: PinnedEngine, chosen: Chosen, found: str | None
) -> Iterator[Finding]:
    """Whether the engine's locked libraries serve the card, and with this driver."""
    what, able = f"GPU for {name}", pinned.capabilities
    capability = chosen.card.capability
    if capability is None:
        reason = chosen.card.missing.get("capability", "no reason")
        seen = f"whether its libraries serve the card is not known: {reason}"
        yield Finding(
            what, "warning", seen, "see that its trainings are not much slower than on other cards"
        )
        return
    card = f"{chosen.model} (compute capability {capability})"
    way = able.way(capability)
    if way is None:
        by_ptx = f", and by PTX from {able.ptx} on" if able.ptx else ""
        seen = f"its libraries do not serve {card}: they serve {', '.join(able.native)} and later{by_ptx}"
        yield Finding(what, "lack", seen, f"train it on another card, leave it out, or {NOT_USED}")
        return
    oldest = able.driver[way]
    if found is not None and version_key(found) < version_key(oldest):
        seen = f"driver {found} is too old for its libraries on {card}{', by PTX' if way == 'ptx' else ''}"
        yield Finding(what, "lack", seen, f"install {oldest} or newer, or {NOT_USED}")
    elif way == "ptx":
        yield _compiled(what, card)


def _compiled(what: str, card: str) -> Finding:
    seen = (
        f"its libraries have no code of their own for {card}: the driver compiles it at first use"
    )
    folder = kernel_folder()
    if folder is None:
        return Finding(
            what, "warning", seen, "each warm-up waits minutes: nothing can be kept in /tmp"
        )
    return Finding(
        what, "warning", seen, f"the first warm-up waits minutes; then it is kept in {folder}"
    )


def others(here: Machine) -> list[Finding]:
    """The machine's other cards, where they are not plain; no training is on them."""
    look, chosen = here.look, here.choice.chosen
    found = {
        index: Finding(f"GPU {index}", "warning", why, FIX_CARD) for index, why in look.lost.items()
    }
    if look.forbidden:
        indices = ", ".join(map(str, look.forbidden))
        found[look.forbidden[0]] = Finding(f"GPU {indices}", "ok", NO_RIGHT)
    for card in look.cards:
        failed = {name: reason for name, reason in card.missing.items() if has_failed(reason)}
        if failed and not (chosen and chosen.card is card):
            seen = f"does not tell {reasons(replace(card, missing=failed))}"
            found[card.index] = Finding(f"GPU {card.index}", "warning", seen, FIX_CARD)
    return [found[index] for index in sorted(found)]


def context(plans: Sequence[Plan], limit_s: float = LIMIT_S) -> list[Finding]:
    """Whether CUDA works on the chosen card: a process makes a context there, where engines will."""
    chosen = plans[0].here.choice.chosen
    if chosen is None or not trained(plans):
        return []
    env = of_a_step([], False, {**os.environ, VISIBLE: chosen.uuid})
    fault = fault_of(try_card(chosen.uuid, env, limit_s), chosen.uuid)
    if fault:
        return [Finding("CUDA", "lack", fault.seen, f"{fault.fix}, or {NOT_USED}")]
    return [Finding("CUDA", "ok", "a context on the card, and a MiB written and read there")]
