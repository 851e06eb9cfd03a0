"""All that figures are drawn from: the index and the frames of the earlier steps, read from their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.devices import unlike_in
from evenground.analysis.files import read_csv
from evenground.analysis.index import Dataset, Index, read_index
from evenground.report.style import EngineStyle, engine_styles

NO_RUN = "no finished run"
NO_GPU = "no GPU on this machine"
POWER = "gpu_power_w"
GPU_COLUMNS = ("gpu_util_pct", "vram_used_bytes", POWER)
# What the thesis's own instrument shows.
AS_PUBLISHED = ("cpu_since_boot_pct", "free_used_bytes")
GROUP = ("dataset", "engine")
# The thesis shows MNIST (a dense network) first and CIFAR-10 (a convolutional one) second.
FIRST, SECOND = "mlp", "cnn"


@dataclass(frozen=True)
class Resource:
    """A resource as figures show it; `thesis` numbers its comparisons on MNIST and CIFAR-10 there."""

    name: str
    column: str
    title: str
    unit: str
    thesis: tuple[int, ...]


RESOURCES = (
    Resource("cpu", "cpu_pct", "CPU", "% of the machine", (13, 14)),
    Resource("memory", "rss_bytes", "Memory", "bytes", (15, 16)),
    Resource("gpu", "gpu_util_pct", "GPU", "%", (17, 18)),
    Resource("vram", "vram_used_bytes", "VRAM", "bytes", (19, 20)),
    Resource("power", POWER, "GPU power", "W", ()),
)


@dataclass(frozen=True)
class Material:
    """The index, the style per engine and the frames (columns as in `normalise.Normalised` and `tables`)."""

    index: Index
    styles: dict[str, EngineStyle]
    timelines: pd.DataFrame
    mean: pd.DataFrame
    phases: pd.DataFrame
    missing: pd.DataFrame
    by_phase: pd.DataFrame
    runs: pd.DataFrame

    def counts(self, dataset: str, engine: str) -> str:
        """`n = FINISHED of WANTED` of one dataset and engine."""
        wanted = self.index.group_runs(dataset, engine)
        return f"n = {sum(run.status == 'finished' for run in wanted)} of {len(wanted)}"

    def counts_of_main(self, dataset: str) -> str:
        """The same of every main engine, by its label."""
        return ", ".join(f"{one.label} {self.counts(dataset, one.name)}" for one in self.index.main)

    @property
    def machine(self) -> str:
        """The machine, and unlike devices if there are any, as the last sentences of every caption."""
        devices = unlike_in(self.index, self.runs)
        unlike = f" Computed on unlike devices: {devices}." if devices else ""
        return f"Machine: {self.index.machine.description} ({self.index.deployment}).{unlike}"

    def why_empty(self, column: str, dataset: str, engines: list[str]) -> str:
        """What an empty panel of `column` says: that there is no GPU, else the reasons on record."""
        if column in GPU_COLUMNS and not self.index.machine.has_gpu:
            return NO_GPU
        mine = self.missing[
            (self.missing["dataset"] == dataset) & self.missing["engine"].isin(engines)
        ]
        reasons = mine[mine["column"] == column]["reason"].unique().tolist()
        if reasons == [NO_RUN]:
            return NO_RUN
        return f"not measured ({'; '.join(map(str, reasons)) or 'no value at any step the runs share'})"


def read_material(index: Path, normalised: Path, tables: Path) -> Material:
    """Read all files. EvengroundError when one is missing, broken or lacks a column."""
    content = read_index(index)
    columns = tuple(resource.column for resource in RESOURCES)
    return Material(
        content,
        engine_styles(content.engines),
        read_csv(normalised / "timelines.csv", (*GROUP, "repetition", "t_s", *columns)),
        read_csv(normalised / "mean.csv", (*GROUP, "t_s", "n", *columns, *AS_PUBLISHED)),
        read_csv(normalised / "phases.csv", (*GROUP, "repetition", "phase", "start_s", "end_s")),
        read_csv(normalised / "missing.csv", (*GROUP, "column", "reason")),
        read_csv(
            normalised / "by_phase.csv", (*GROUP, "column", "phase", "place", "mean", "min", "max")
        ),
        read_csv(tables / "runs.csv", (*GROUP, "repetition", "status", "device", "training_s")),
    )


def of_card(column: str) -> str:
    """What a caption says of values of the card; nothing of other resources."""
    if column not in GPU_COLUMNS:
        return ""
    mean = ", each the driver's mean over up to a second" if column == POWER else ""
    return f" The values are the whole card's{mean}."


def thesis_number(dataset: Dataset, first_and_second: tuple[int, ...]) -> tuple[int, ...]:
    """The thesis figure a figure of this dataset is made after; none for a network it does not have."""
    order = {FIRST: 0, SECOND: 1}
    if dataset.network not in order or not first_and_second:
        return ()
    return (first_and_second[order[dataset.network]],)


def after_thesis(numbers: tuple[int, ...]) -> str:
    """The sentence of a caption that names the thesis figures it is made after."""
    if not numbers:
        return ""
    many = "s" if len(numbers) > 1 else ""
    return f" Made after figure{many} {' and '.join(map(str, numbers))} of the thesis."


def byte_scale(largest_bytes: float) -> tuple[float, str]:
    """Divisor and unit for an axis in bytes: GiB from 2 GiB on, MiB below."""
    return (2.0**30, "GiB") if largest_bytes >= 2 * 2**30 else (2.0**20, "MiB")


def axis_scale(resource: Resource, largest: float) -> tuple[float, str]:
    """Divisor and unit for an axis of this resource."""
    return byte_scale(largest) if resource.unit == "bytes" else (1.0, resource.unit)
