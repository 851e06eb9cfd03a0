"""`gpu` in `environment.json`: the card that a training was given, and what of NVIDIA's it loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from evenground.gpus.choice import Chosen
from evenground.gpus.look import MIG_IN_NAME, near_text
from evenground.gpus.record import Accelerator, GpuRecord
from evenground.runs.installed import without_paths
from evenground.runs.machine import Machine

# What decides the numbers and the times on a GPU, and is a file of its own: CUDA, its libraries, XLA.
LIBRARIES = re.compile(
    r"lib(cuda|cudart|cudnn\w*|cublas\w*|cufft|curand|cusolver\w*|cusparse\w*|cupti|nccl|nvrtc[\w-]*"
    r"|nvJitLink|nvshmem\w*|nvidia-ptxjitcompiler|xla_extension|xla_cuda_plugin|exla|tensorflow_cc)\.so(\.|$)"
)
NOT_LISTED = "the sampler left no list of the files that were mapped"


def gpu_record(
    machine: Machine, accelerator: Accelerator, places: Mapping[str, str] | str | None, root: Path
) -> GpuRecord | None:
    """The record of one training; None where the machine has no card.

    `places`: file that was mapped as code -> where it lies, in words, or the reason why that is not known.
    `root`: the working copy, whose path is not told.
    """
    chosen = machine.choice.chosen
    if chosen is None:
        return None
    card = chosen.card
    missing = {**card.missing, **(chosen.instance.missing if chosen.instance else {})}
    for name in ("computing", "drawing", "free_bytes"):
        missing.pop(name, None)
    libraries = None
    if isinstance(places, str) or places is None:
        missing["libraries"] = places or NOT_LISTED
    else:
        libraries = loaded(places, root)
    return GpuRecord(
        accelerator=accelerator,
        name=None if card.name is None else card.name.partition(MIG_IN_NAME)[0],
        uuid=chosen.uuid,
        mig=_profile(chosen),
        pci=card.pci,
        memory_bytes=chosen.memory_bytes,
        capability=card.capability,
        ecc=card.ecc,
        power_limit_w=card.power_limit_w,
        power_default_w=card.power_default_w,
        clocks=None if card.clocks is None else dict(card.clocks),
        persistence=card.persistence,
        compute_mode=card.compute_mode,
        display=card.display,
        cards=len(machine.look.cards) + len(machine.look.forbidden) + len(machine.look.lost),
        near_cpus=near_text(card),
        libraries=libraries,
        missing=missing,
    )


def _profile(chosen: Chosen) -> str | None:
    return chosen.instance.profile if chosen.instance else None


def loaded(places: Mapping[str, str], root: Path) -> dict[str, str]:
    """Library of NVIDIA's -> where the file lies that was loaded; of two files of one name, both."""
    found: dict[str, set[str]] = {}
    for path, place in places.items():
        name = Path(path).name
        if LIBRARIES.match(name):
            found.setdefault(name, set()).add(place or without_paths(str(Path(path).parent), root))
    return {name: " and ".join(sorted(where)) for name, where in sorted(found.items())}
