"""Made cards, and plans of this working copy on a machine that has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evenground.config import load_experiment
from evenground.gpus.choice import choose
from evenground.gpus.look import Card, Instance, Look
from evenground.preflight.gpu_card import System
from evenground.runs import plan as planning
from evenground.runs.machine import Machine
from evenground.runs.plan import RUNS, Plan
from planned import make_plan
from working_copy import ROOT, WorkingCopy, fresh_copy

GIB = 2**30
DRIVER = "580.95.05"
UUID, OTHER = "GPU-8f0c3a51-4d2e-5b17-9a64-c08e71d3f200", "GPU-9f0c3a51-4d2e-5b17-9a64-c08e71d3f201"
MIG = "MIG-0f0c3a51-4d2e-5b17-9a64-c08e71d3f208"
CARD = Card(
    index=0,
    name="NVIDIA Made 1000",
    uuid=UUID,
    pci="00000000:01:00.0",
    memory_bytes=8 * GIB,
    free_bytes=7 * GIB,
    capability="8.6",
    ecc=False,
    power_limit_w=200.0,
    power_default_w=200.0,
    clocks={},
    persistence=True,
    compute_mode="default",
    display=False,
    near_cpus=(0, 1, 2, 3),
    computing=(),
    drawing=(),
)
INSTANCE = Instance(MIG, "1g.10gb", 10 * GIB, 9 * GIB, ())
PLAIN = Look((CARD,), DRIVER)
NO_SYSTEM = System(Path("/none"), Path("/none"), Path("/none"))


def looking(**changes: Any) -> Look:
    """One card, which is plain but for `changes`."""
    return Look((replace(CARD, **changes),), DRIVER)


def machine_of(look: Look, gpu: str = "auto", given: Mapping[str, str] | None = None) -> Machine:
    """A machine of which the driver says `look`."""
    choice = choose(look, gpu, given or {})
    chosen = choice.chosen
    model, driver = (chosen.model, look.driver) if chosen else (None, None)
    return Machine("Made CPU", 2, 8 * GIB, model, driver, look, choice)


Planned = Callable[..., list[Plan]]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    """Plans on a machine with a GPU: planned(look, given={}, **settings)."""
    copy = fresh_copy(tmp_path_factory.mktemp("copy"))
    shutil.copytree(
        ROOT / "scripts" / "engines", copy.root / "scripts" / "engines", dirs_exist_ok=True
    )
    return lambda look, given=None, **settings: plans_of(copy, look, given, **settings)


def plans_of(
    copy: WorkingCopy, look: Look, given: Mapping[str, str] | None, **settings: Any
) -> list[Plan]:
    """The plan of the working copy's experiment with other settings, on a machine with these cards."""
    wanted = {**copy.settings, "engines": ["jax"], **settings}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(planning, "this_machine", lambda gpu: machine_of(look, gpu, given or {}))
        return [make_plan(load_experiment(wanted), copy.root)]


def finish(plan: Plan) -> None:
    """Let all wanted runs be recorded."""
    for run in plan.runs:
        folder = plan.root / RUNS / run.path
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()


def process(proc: Path, pid: int, name: str) -> None:
    """A process in a made /proc."""
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(name[:15] + os.linesep)
