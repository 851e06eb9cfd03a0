"""`gpu` in `environment.json`: the card of a training, and the NVIDIA libraries that it loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from evenground.gpus.look import MIG_IN_NAME, near_text
from evenground.records.gpus import Accelerator, CardFacts, GpuRecord
from evenground.runs.installed import without_paths
from evenground.runs.machine import Machine

# What decides numbers and times on a GPU and is a file of its own: CUDA, its libraries, XLA.
LIBRARIES = re.compile(
    r"lib(cuda|cudart|cudnn\w*|cublas\w*|cufft|curand|cusolver\w*|cusparse\w*|cupti|nccl"
    r"|nvrtc[\w-]*|nvJitLink|nvshmem\w*|nvidia-ptxjitcompiler|xla_extension|xla_cuda_plugin"
    r"|exla|tensorflow_cc)\.so(\.|$)"
)
NOT_LISTED = "the sampler left no list of the files that were mapped"
# What changes while a training runs is in its samples, and no fact of the card.
CHANGING = ("computing", "drawing", "free_bytes")


def gpu_record(
    machine: Machine, accelerator: Accelerator, places: Mapping[str, str] | str | None, root: Path
) -> GpuRecord | None:
    """The record of one training; None if the machine has no card.

    `places`: file that was mapped as code -> label of where it lies, or the reason why that is
    unknown. `root`: the working copy, whose path is replaced by `.`.
    """
    chosen = machine.choice.chosen
    if chosen is None:
        return None
    card = chosen.card
    facts = {field.name: getattr(card, field.name) for field in fields(CardFacts)}
    missing = dict(card.missing)
    profile = libraries = None
    if chosen.instance:
        missing |= chosen.instance.missing
        profile = chosen.instance.profile
    for changing in CHANGING:
        missing.pop(changing, None)
    if isinstance(places, Mapping):
        libraries = loaded(places, root)
    else:
        missing["libraries"] = places or NOT_LISTED
    if card.name is not None:
        facts["name"] = card.name.partition(MIG_IN_NAME)[0]
    facts |= {"uuid": chosen.uuid, "memory_bytes": chosen.memory_bytes, "missing": missing}
    return GpuRecord(
        accelerator=accelerator,
        mig=profile,
        cards=len(machine.look.cards) + len(machine.look.forbidden) + len(machine.look.lost),
        near_cpus=near_text(card),
        libraries=libraries,
        **facts,
    )


def loaded(places: Mapping[str, str], root: Path) -> dict[str, str]:
    """NVIDIA library -> where the loaded file lies; both places if two files have the name."""
    found: dict[str, set[str]] = {}
    for path, place in places.items():
        library = Path(path)
        if LIBRARIES.match(library.name):
            # A foreign file has no label: its folder is named.
            where = place or without_paths(str(library.parent), root)
            found.setdefault(library.name, set()).add(where)
    return {name: " and ".join(sorted(where)) for name, where in sorted(found.items())}
