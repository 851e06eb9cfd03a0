"""Made experiments whose right verdicts are known: the thesis's own numbers, and the contrary of each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.remade import measure
from analysis.synthetic import Made, MadeResults, write_results
from analysis.test_tables import analyse, call
from evenground.claims.model import Claims, read_claims
from evenground.claims.verdicts import Judged, judge_all
from evenground.records.index import read_index

ROOT = Path(__file__).resolve().parents[2]
DATASETS = (("mnist", "MNIST", "mlp"), ("cifar10", "CIFAR-10", "cnn"))
THESIS_MACHINE = "intel-core-i5-3570-4c-16g-nvidia-geforce-rtx-3060-ti-abc123"
# Eight cores, so that a CPU that is little used (3 % of them) is not idle (a fifth of one).
FACTS = {"cores": 8, "memory_bytes": 16 * 2**30}
GIB = 2**30
World = Mapping[tuple[str, str], Made]


def run(
    training_s: float, ram_pct: float, gpu: tuple[int, int], vram_pct: float, **more: Any
) -> Made:
    """A fifth of the published time; memory in percent of 16 and 8 GB; on a machine that was just started."""
    return Made(
        first_batch_s=1.0,
        steady_s=training_s / 5 - 1.0,
        rss_bytes=int(ram_pct / 100 * 16 * GIB),
        gpu_first_pct=gpu[0],
        gpu_pct=gpu[1],
        vram_bytes=int(vram_pct / 100 * 8 * GIB),
        gpu=True,
        **{"cpu_pct": 24.0, "since_boot_rise_pct": 1.0, "linger_s": 2.0, "up_s": 20.0, **more},
    )


# As published; Python is told to free its memory, and V3 cannot be true beside V1.
THESIS: World = {
    ("mnist", "axon"): run(20.4, 11.92, (80, 5), 13.42, gpu_zero_s=0.9),
    ("mnist", "keras"): run(15.2, 12.52, (19, 11), 11.49, kept=0.1),
    ("cifar10", "axon"): run(28.5, 18.71, (80, 17), 38.85, gpu_zero_s=0.4),
    ("cifar10", "keras"): run(23.0, 23.95, (25, 12), 38.85, kept=0.1),
}
# The contrary in everything: Elixir is faster, takes more memory and frees it, and its GPU never rests.
FASTER = {"cpu_pct": 160.0, "since_boot_rise_pct": 20.0, "vram_end": 0.5, "kept": 0.1}
SLOWER = {"cpu_pct": 240.0, "since_boot_rise_pct": 40.0, "vram_end": 0.5}
CONTRARY: World = {
    ("mnist", "axon"): run(15.2, 25.0, (10, 11), 11.49, **FASTER),
    ("mnist", "keras"): run(20.4, 12.0, (80, 5), 13.42, **SLOWER),
    ("cifar10", "axon"): run(23.0, 25.0, (4, 5), 20.0, **FASTER),
    ("cifar10", "keras"): run(28.5, 12.0, (80, 17), 30.0, **SLOWER),
}


def changed(world: World, **fields: Any) -> World:
    """The world with these fields in every run of Elixir."""
    return {
        name: replace(made, **fields) if name[1] == "axon" else made for name, made in world.items()
    }


def on(world: World, device: str) -> World:
    """The world with every training on this device."""
    return {name: replace(made, device=device) for name, made in world.items()}


def noisy(
    world: World, spread: float, dataset: str, engine: str, repetition: int, gpu: bool
) -> Made:
    """The run of the world, with a known noise on its time and its memory."""
    # Five repetitions whose mean is that of the world, with another order for each group.
    shift = sum(map(ord, dataset + engine))
    factor = 1 + spread * ((repetition + shift) % 5 - 2)
    made = world[dataset, engine]
    return replace(
        made,
        accuracy=0.96 if dataset == "mnist" else 0.6,
        gpu=gpu,
        first_batch_s=made.first_batch_s * factor,
        steady_s=made.steady_s * factor,
        rss_bytes=int(made.rss_bytes * factor),
        cpu_pct=made.cpu_pct * factor,
        since_boot_rise_pct=made.since_boot_rise_pct * factor,
        vram_bytes=int(made.vram_bytes * factor),
    )


def experiment(to: Path, world: World = THESIS, spread: float = 0.01, **settings: Any) -> Path:
    """Write the results of a world; the path of the index. `settings` are those of `MadeResults`."""
    return write_results(to, made_results(world, spread, **settings))


def made_results(world: World = THESIS, spread: float = 0.01, **settings: Any) -> MadeResults:
    """The results of a world, as one condition of several."""
    given = {
        "datasets": DATASETS,
        "engines": ("keras", "axon"),
        "repetitions": 5,
        "gpu": True,
        "environment": FACTS,
        "make": functools.partial(noisy, world, spread),
        **settings,
    }
    return MadeResults(**given)


@functools.cache
def claims() -> Claims:
    """The claims of this working copy."""
    return read_claims(ROOT).claims


def verdicts(
    index: Path, stand_ins: Mapping[str, str] | None = None
) -> dict[tuple[str, str], Judged]:
    """Claim and instrument -> its verdict; `stand_ins` replaces those of the index."""
    read = read_index(index)
    measured, condition = measure(read), read.first
    if stand_ins is not None:
        report = condition.report.model_copy(update={"stand_ins": stand_ins})
        condition = condition.model_copy(update={"report": report})
    judged = judge_all(condition, measured, claims(), read.lines)
    return {(one.evidence.claim.id, one.evidence.instrument): one for one in judged}


def judge_files(index: Path) -> Path:
    """Call the scripts up to the verdicts as the rules do; the folder of the tables."""
    analyse(index)
    judge_again(index)
    return index.parent / "tables"


def judge_again(index: Path) -> None:
    """Call the script with the frames and tables that are there."""
    where = index.parent
    folders = ["--normalised", str(where / "normalised"), "--output-dir", str(where / "tables")]
    call("verdicts.py", index, *folders, "--record", str(where / "verdicts.json"))
