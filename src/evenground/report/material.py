"""What figures are drawn from: the index and the frames of the earlier steps, read from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.devices import unlike_in
from evenground.analysis.files import read_csv
from evenground.records.index import Index, read_index
from evenground.records.plan import Dataset
from evenground.report.style import EngineStyle, engine_styles

NO_RUN = "no finished run"
NO_GPU = "no GPU on this machine"
POWER = "gpu_power_w"
GPU_COLUMNS = ("gpu_util_pct", "vram_used_bytes", POWER)
# Networks: the thesis shows MNIST (a dense network) first, CIFAR-10 (a convolutional one) second.
FIRST, SECOND = "mlp", "cnn"


@dataclass(frozen=True)
class Resource:
    """A resource as figures show it.

    `thesis`: numbers of the thesis's figures that compare it on MNIST and on CIFAR-10, if any.
    """

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
    """The index, the style of each engine, and frames as in `normalise.Normalised` and `tables`."""

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

    def main_counts(self, dataset: str) -> str:
        """`LABEL n = FINISHED of WANTED` of every main engine."""
        main = self.index.main
        return ", ".join(f"{each.label} {self.counts(dataset, each.name)}" for each in main)

    def main_rows(self, frame: pd.DataFrame, dataset: str) -> pd.DataFrame:
        """The rows of the main engines, without arms, on one dataset."""
        main = [engine.name for engine in self.index.main]
        return frame[(frame["dataset"] == dataset) & frame["engine"].isin(main)]

    def main_styles(self, data: pd.DataFrame) -> dict[str, EngineStyle]:
        """Name -> style of the main engines with a row in `data`, in the order of the index."""
        names = set(data["engine"])
        return {e.name: self.styles[e.name] for e in self.index.main if e.name in names}

    @property
    def machine(self) -> str:
        """The last sentences of every caption: the machine, and devices that differ, if any."""
        machine = f"Machine: {self.index.machine.description} ({self.index.deployment})."
        devices = unlike_in(self.index, self.runs)
        if devices:
            machine += f" Computed on unlike devices: {devices}."
        return machine

    def why_empty(self, column: str, dataset: str, engines: list[str]) -> str:
        """Why a panel of `column` is empty: there is no GPU, or the recorded reasons."""
        if column in GPU_COLUMNS and not self.index.machine.has_gpu:
            return NO_GPU
        missing = self.missing[self.missing["engine"].isin(engines)]
        missing = missing[(missing["dataset"] == dataset) & (missing["column"] == column)]
        reasons = missing["reason"].unique().tolist()
        if reasons == [NO_RUN]:
            return NO_RUN
        why = "; ".join(reasons) or "no value at any step the runs share"
        return f"not measured ({why})"


def read_material(index: Path, normalised: Path, tables: Path) -> Material:
    """Read all files; raises EvengroundError if one is missing or broken."""
    content = read_index(index)
    return Material(
        index=content,
        styles=engine_styles(content.engines),
        timelines=read_csv(normalised / "timelines.csv"),
        mean=read_csv(normalised / "mean.csv"),
        phases=read_csv(normalised / "phases.csv"),
        missing=read_csv(normalised / "missing.csv"),
        by_phase=read_csv(normalised / "by_phase.csv"),
        runs=read_csv(tables / "runs.csv"),
    )


def of_card(column: str) -> str:
    """The sentence of a caption on values of the whole GPU; empty for other resources."""
    if column not in GPU_COLUMNS:
        return ""
    if column == POWER:
        return " The values are the whole card's, each the driver's mean over up to a second."
    return " The values are the whole card's."


def thesis_number(dataset: Dataset, first_and_second: tuple[int, ...]) -> tuple[int, ...]:
    """The thesis figure that a figure of this dataset is made after; empty for other networks."""
    if dataset.network == FIRST:
        return first_and_second[:1]
    if dataset.network == SECOND:
        return first_and_second[1:]
    return ()


def after_thesis(numbers: tuple[int, ...]) -> str:
    """The sentence of a caption that names the thesis's figures it is made after."""
    if not numbers:
        return ""
    figures = "figures"
    if len(numbers) == 1:
        figures = "figure"
    return f" Made after {figures} {' and '.join(map(str, numbers))} of the thesis."


def byte_scale(largest_bytes: float) -> tuple[float, str]:
    """Divisor and unit for an axis in bytes: GiB from 2 GiB on, MiB below."""
    if largest_bytes >= 2 * 2**30:
        return 2.0**30, "GiB"
    return 2.0**20, "MiB"


def axis_scale(resource: Resource, largest: float) -> tuple[float, str]:
    """Divisor and unit for an axis of this resource."""
    if resource.unit == "bytes":
        return byte_scale(largest)
    return 1.0, resource.unit
