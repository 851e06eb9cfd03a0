"""Checks of this machine's GPUs before anything is trained, and why none can be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from evenground.containers.pins import Driver, PinnedEngine, Pins, version_key
from evenground.engines import Engine
from evenground.gpus.choice import NO_RIGHT, VISIBLE, Chosen, hides_all
from evenground.gpus.look import kernel_version
from evenground.preflight.finding import Finding, error, ok, warning
from evenground.preflight.gpu_card import System, description, of_card, text_of
from evenground.preflight.trial import fault_of, try_card
from evenground.runs.machine import Machine
from evenground.runs.plan import Plan
from evenground.runs.variables import DRIVER, kernel_folder, of_a_step

# NVIDIA as the vendor of a PCI device, and how the classes of display devices begin, as in sysfs.
NVIDIA, DISPLAYS = "0x10de", ("0x0300", "0x0302")
SYSTEM = System()
# The end of NVML's message where there is no kernel module.
NOT_LOADED = "Driver Not Loaded"
USE_CPU = "set accelerator: cpu"
FIXES = {
    "version mismatch": "restart this machine: its driver was updated while it was running "
    "(nvidia-smi: Driver/library version mismatch)",
    NOT_LOADED: "as root: modprobe nvidia",
}
FIX_CARD = "see what nvidia-smi -q reports of it; trainings are on another card"
# Engines, each with its plan.
Pairs = list[tuple[Plan, Engine]]


def findings(
    plans: Sequence[Plan],
    pins: Pins,
    system: System = SYSTEM,
    environ: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Check the card that trainings get here, or report why there is none, and the other cards.

    Nothing is an error if nothing will be trained here.
    """
    here = plans[0].here
    found = list(_of_chosen(plans, pins, system, environ))
    found += other_cards(here)
    if trained(plans):
        return found
    for number, finding in enumerate(found):
        if finding.state == "error":
            found[number] = replace(finding, state="warning")
    return found


def _of_chosen(
    plans: Sequence[Plan],
    pins: Pins,
    system: System,
    environ: Mapping[str, str],
) -> Iterator[Finding]:
    here = plans[0].here
    pairs = on_gpu(plans)
    chosen = here.choice.chosen
    if chosen is None:
        yield no_card(plans, pins, system, environ)
        return
    text = description(here, chosen)
    if not pairs:
        yield ok("GPU", f"{text}; {why_not_used(plans)}")
        return
    yield ok("GPU", text)
    yield driver(here.driver, pins)
    # If nothing is pending, all engines are checked.
    locks = {plan.environment(engine) for plan, engine in trained(plans) or pairs}
    for name, pinned in pins.engines.items():
        if pinned.lock in locks:
            yield from of_engine(name, pinned, chosen, here.driver)
    yield from of_card(chosen, system, environ)


def on_gpu(plans: Sequence[Plan]) -> Pairs:
    """Return the engines that are to compute on a GPU of this machine, if it has one."""
    pairs: Pairs = []
    for plan in plans:
        is_here = plan.machine == plan.here.name and not plan.experiment.nodes
        if is_here and plan.experiment.accelerator != "cpu":
            pairs += [(plan, engine) for engine in plan.engines if not engine.has_no_gpu]
    return pairs


def trained(plans: Sequence[Plan]) -> Pairs:
    """Return the engines of `on_gpu` that have something to train."""
    pairs: Pairs = []
    for plan, engine in on_gpu(plans):
        runs = (run for run in plan.runs if run.engine == engine.name)
        if plan.trains and any(run.path in plan.pending for run in runs):
            pairs.append((plan, engine))
    return pairs


def why_not_used(plans: Sequence[Plan]) -> str:
    """Return why no engine of these plans computes on a GPU of this machine."""
    if plans[0].experiment.nodes:
        return "not used: trainings are on a cluster's nodes"
    if all(plan.experiment.accelerator == "cpu" for plan in plans):
        return "not used (accelerator: cpu)"
    if any(plan.machine == plan.here.name for plan in plans):
        return "not used: no engine here can use one"
    return "not used: recorded runs of another machine are drawn"


def no_card(
    plans: Sequence[Plan], pins: Pins, system: System, environ: Mapping[str, str]
) -> Finding:
    """Return why no card was chosen, which is fine if none is needed."""
    choice = plans[0].here.choice
    unserved = unserved_card(pins.driver, system)
    if choice.fault:
        return _no_card_by_fault(plans, choice.fault, choice.fix, unserved is not None)
    if not on_gpu(plans):
        return ok("GPU", f"none; {why_not_used(plans)}")
    seen, fix = "none", "set accelerator: auto or cpu, or install NVIDIA's driver"
    # A card that the caller hides is not missed.
    if hides_all(environ):
        unserved = None
        seen, fix = f"none: {VISIBLE}={environ[VISIBLE]} hides all", f"unset {VISIBLE}"
    if unserved:
        seen, fix = unserved
    if _must_use_gpu(plans):
        return error("GPU", seen, fix)
    seen += ": engines compute on the processor"
    if unserved:
        return warning("GPU", seen, fix)
    return ok("GPU", seen)


def _no_card_by_fault(plans: Sequence[Plan], fault: str, fix: str, is_on_bus: bool) -> Finding:
    """Return the finding for a driver that fails; `is_on_bus`: there are signs of a card."""
    for message, better in FIXES.items():
        if message in fault:
            fix = better
    if not on_gpu(plans):
        return warning("GPU", f"{fault}; {why_not_used(plans)}", fix)
    if is_on_bus or not fault.endswith(NOT_LOADED) or _must_use_gpu(plans):
        return error("GPU", fault, fix)
    # A cluster's login node often has the driver's packages and no card.
    seen = f"no card is seen here, and the driver is not loaded ({fault})"
    return warning("GPU", f"{seen}: engines compute on the processor", fix)


def _must_use_gpu(plans: Sequence[Plan]) -> bool:
    return any(plan.experiment.accelerator == "cuda" for plan, _ in on_gpu(plans))


def unserved_card(wanted: Driver, system: System) -> tuple[str, str] | None:
    """Return a sign of a card that the driver's library does not list, and the fix; else None."""
    loaded = kernel_version(system.proc / "driver/nvidia/version")
    if loaded:
        seen = f"NVIDIA's kernel module {loaded} is loaded, but {DRIVER[1]} lists no card"
        return seen, f"install that driver's libraries (in a container: --gpus all), or {USE_CPU}"
    cards = on_the_bus(system.devices)
    if cards:
        addresses = ", ".join(cards)
        seen = f"NVIDIA's card {addresses} is on the bus, but no driver of NVIDIA's is loaded"
        return seen, f"install NVIDIA's driver {wanted.minimum} or newer, or {USE_CPU}"
    # How the Windows Subsystem for Linux shows a GPU.
    if (system.dev / "dxg").exists():
        seen = f"Windows lets this machine use a GPU (/dev/dxg), but {DRIVER[1]} lists no card"
        return seen, f"install NVIDIA's driver for Windows, or {USE_CPU}"
    return None


def on_the_bus(devices: Path) -> list[str]:
    """Return the PCI addresses of NVIDIA's cards."""
    addresses = []
    for device in sorted(devices.glob("*")):
        if text_of(device / "vendor") == NVIDIA and text_of(device / "class").startswith(DISPLAYS):
            addresses.append(device.name)
    return addresses


def driver(version: str | None, pins: Pins) -> Finding:
    """Check the driver's version against the pins."""
    wanted = pins.driver
    if version is None:
        return warning("driver", "its version is not known", f"{wanted.minimum} or newer is needed")
    if version_key(version) < version_key(wanted.minimum):
        seen = f"{version} is too old for CUDA {pins.cuda_runtime.partition('.')[0]}"
        fix = f"install {wanted.minimum} or newer ({wanted.recommended} is tried), or {USE_CPU}"
        return error("driver", seen, fix)
    return ok("driver", version)


def of_engine(
    name: str, pinned: PinnedEngine, chosen: Chosen, version: str | None
) -> Iterator[Finding]:
    """Check that the engine's locked libraries run on the card, with this version of the driver."""
    what = f"GPU for {name}"
    able = pinned.capabilities
    capability = chosen.card.capability
    if capability is None:
        reason = chosen.card.missing.get("capability", "no reason")
        seen = f"it is not known whether its libraries run on the card: {reason}"
        fix = "see that its trainings are not much slower than on other cards"
        yield warning(what, seen, fix)
        return
    card = f"{chosen.model} (compute capability {capability})"
    way = able.way(capability)
    if way is None:
        served = f"{', '.join(able.native)} and later"
        if able.ptx:
            served += f", and by PTX from {able.ptx} on"
        seen = f"its libraries do not run on {card}: they run on {served}"
        yield error(what, seen, f"train it on another card, leave it out, or {USE_CPU}")
        return
    oldest = able.driver[way]
    by_ptx = ", by PTX" if way == "ptx" else ""
    if version is not None and version_key(version) < version_key(oldest):
        seen = f"driver {version} is too old for its libraries on {card}{by_ptx}"
        yield error(what, seen, f"install {oldest} or newer, or {USE_CPU}")
    elif by_ptx:
        seen = f"its libraries have no native code for {card}: the driver compiles it at first use"
        yield warning(what, seen, _kernels_kept())


def _kernels_kept() -> str:
    folder = kernel_folder()
    if folder is None:
        return "each warm-up waits minutes: nothing can be kept in /tmp"
    return f"the first warm-up waits minutes; then it is kept in {folder}"


def other_cards(here: Machine) -> list[Finding]:
    """Report the cards that do not answer, and those that this user may not use."""
    look = here.look
    found = [warning(f"GPU {index}", reason, FIX_CARD) for index, reason in look.lost.items()]
    if look.forbidden:
        # This is usual where a scheduler assigns cards to jobs.
        indices = ", ".join(map(str, look.forbidden))
        found.append(ok(f"GPU {indices}", NO_RIGHT))
    return found


def context(plans: Sequence[Plan]) -> list[Finding]:
    """Check that CUDA works on the chosen card: a separate process makes a context there.

    Empty if nothing will be trained on it.
    """
    chosen = plans[0].here.choice.chosen
    if chosen is None or not trained(plans):
        return []
    # The environment of a training step, as engines get it.
    env = of_a_step([], False, {**os.environ, VISIBLE: chosen.uuid})
    fault = fault_of(try_card(chosen.uuid, env), chosen.uuid)
    if fault:
        return [error("CUDA", fault.seen, f"{fault.fix}, or {USE_CPU}")]
    return [ok("CUDA", "a context on the card, and a MiB written and read there")]
