"""What figures are drawn from: the index and the frames of the earlier steps, read from files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from evenground.analysis.devices import unlike_in
from evenground.analysis.experiment import Experiment, alone, of_condition, read_led
from evenground.analysis.groups import INVALID, RUN, group
from evenground.analysis.normalise import TIMELINES, read_frame, read_timeline, timeline_file
from evenground.analysis.quality import BUSY
from evenground.analysis.tables import TABLES
from evenground.records.index import Condition, read_index
from evenground.records.plan import Dataset, Engine
from evenground.report.style import EngineStyle, engine_styles, is_drawable

NO_RUN = "no finished run"
NO_GPU = "no GPU on this machine"
POWER = "gpu_power_w"
# Share of a training by which runs may differ in length before a mean over them smears phases.
MAX_SPREAD = 0.05
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
    """A condition, the style of each engine, and its rows of the frames and of three tables."""

    condition: Condition
    styles: dict[str, EngineStyle]
    timelines: Path
    """The folder of the runs' normalised timelines."""
    mean: pd.DataFrame
    phases: pd.DataFrame
    missing: pd.DataFrame
    by_phase: pd.DataFrame
    runs: pd.DataFrame
    answer: pd.DataFrame
    quality: pd.DataFrame
    renamed: tuple[str, ...] = ()
    """Names drawn in place of labels, as the figures' font lacks letters of these."""

    def lines(self, dataset: str, engine: str) -> Iterator[tuple[int, pd.DataFrame]]:
        """Repetition and timeline of each finished run, one after the other.

        Raises EvengroundError for a file that is missing or broken.
        """
        for run in self.condition.group_runs(dataset, engine):
            if run.status == "finished":
                file = timeline_file(self.timelines, self.condition, run)
                yield run.repetition, read_timeline(file)

    def typical(self, dataset: str, engine: str) -> int | None:
        """The repetition of median training time, if the runs are of different length.

        A mean over such runs mixes their phases, and shows what no run did; None: it may be drawn.
        """
        runs = group(self.runs, dataset, engine)
        times = runs[runs["training_s"].notna()].sort_values("training_s")
        if len(times) < 2:
            return None
        # Of an even number the shorter one of the two in the middle.
        middle = times.iloc[(len(times) - 1) // 2]
        spread_s = times["training_s"].iloc[-1] - times["training_s"].iloc[0]
        if spread_s <= MAX_SPREAD * middle["training_s"]:
            return None
        return int(middle["repetition"])

    def has_none(self, column: str, dataset: str, engine: str) -> bool:
        """Whether no run of an engine on a dataset measured a column of its timeline."""
        missing = group(self.missing, dataset, engine)
        missing = missing[missing["column"] == column]
        return bool((missing["n_missing"] == missing["n"]).any())

    def counts(self, dataset: str, engine: str) -> str:
        """`n = FINISHED of WANTED` of one dataset and engine."""
        wanted = self.condition.group_runs(dataset, engine)
        return f"n = {sum(run.status == 'finished' for run in wanted)} of {len(wanted)}"

    def main_counts(self, dataset: str) -> str:
        """`LABEL n = FINISHED of WANTED` of every main engine."""
        main = self.condition.main
        return ", ".join(f"{each.label} {self.counts(dataset, each.name)}" for each in main)

    def main_rows(self, frame: pd.DataFrame, dataset: str) -> pd.DataFrame:
        """The rows of the main engines, without arms, on one dataset."""
        main = [engine.name for engine in self.condition.main]
        return frame[(frame["dataset"] == dataset) & frame["engine"].isin(main)]

    def main_styles(self, data: pd.DataFrame) -> dict[str, EngineStyle]:
        """Name -> style of the main engines with a row in `data`, in the order of the condition."""
        names = set(data["engine"])
        return {e.name: self.styles[e.name] for e in self.condition.main if e.name in names}

    def against(self, dataset: str | None = None, engine: str | None = None) -> str:
        """What makes runs of these doubtful, as sentences of a caption; empty if nothing does.

        Invalid runs, and those before which something else kept the machine busy.
        """
        findings = self.quality
        if dataset is not None:
            findings = findings[findings["dataset"] == dataset]
        if engine is not None:
            findings = findings[findings["engine"] == engine]
        of_runs = findings[findings["repetition"].notna()]
        told = {
            "Invalid": of_runs[of_runs["state"] == INVALID],
            "Started on a busy machine": of_runs[of_runs["finding"] == BUSY],
        }
        sentences = ""
        for words, found in told.items():
            runs = found.drop_duplicates(RUN)
            counts = runs["engine"].value_counts(sort=False)
            named = [f"{self.styles[str(name)].label} {count}" for name, count in counts.items()]
            if named:
                sentences += f"{words}, runs (table quality): {', '.join(named)}. "
        return sentences

    @property
    def machine(self) -> str:
        """The last sentences of every caption: the machine, and devices that differ, if any."""
        machine = f"Machine: {self.condition.machine.description} ({self.condition.deployment})."
        devices = unlike_in(self.condition, self.runs)
        if devices:
            machine += f" Computed on unlike devices: {devices}."
        if self.renamed:
            names = ", ".join(self.renamed)
            machine += f" Named so as the font has not all letters of their labels: {names}."
        return machine

    def why_empty(self, column: str, dataset: str, engines: list[str]) -> str:
        """Why a panel of `column` is empty: there is no GPU, or the recorded reasons."""
        if column in GPU_COLUMNS and not self.condition.machine.has_gpu:
            return NO_GPU
        missing = self.missing[self.missing["engine"].isin(engines)]
        missing = missing[(missing["dataset"] == dataset) & (missing["column"] == column)]
        reasons = missing["reason"].unique().tolist()
        if reasons == [NO_RUN]:
            return NO_RUN
        why = "; ".join(reasons) or "no value at any step the runs share"
        return f"not measured ({why})"


@dataclass(frozen=True)
class ReportData:
    """What figures are drawn from: each condition, and tables over all of them."""

    experiment: Experiment
    materials: list[Material]
    """Of each condition, in the order of the experiment."""
    summary: pd.DataFrame
    ratios: pd.DataFrame


def read_report_data(where: Path, normalised: Path, tables: Path) -> ReportData:
    """Read the index file at `where` and all else; raises EvengroundError for a broken file."""
    index = read_index(where)
    experiment = alone(index)
    frames = {}
    for name in ("mean", "phases", "missing", "by_phase"):
        frames[name] = read_frame(experiment, normalised, name)
    read = {}
    for name in ("runs", "answer", "quality", "summary", "ratios"):
        read[name] = read_led(tables / f"{name}.csv", experiment, TABLES[name])
    for name in ("runs", "answer", "quality"):
        frames[name] = read[name]
    styles = engine_styles([named(engine) for engine in index.engines])
    materials = []
    for placed in experiment.conditions:
        condition, renamed = drawn_as(placed.condition)
        material = Material(
            condition=condition,
            renamed=renamed,
            styles=styles,
            timelines=normalised / TIMELINES,
            **{name: of_condition(frame, placed) for name, frame in frames.items()},
        )
        materials.append(material)
    return ReportData(
        experiment=experiment,
        materials=materials,
        summary=read["summary"],
        ratios=read["ratios"],
    )


def named(engine: Engine) -> Engine:
    """The engine, under its name if the font of the figures lacks letters of its label."""
    if is_drawable(engine.label):
        return engine
    return engine.model_copy(update={"label": engine.name})


def drawn_as(condition: Condition) -> tuple[Condition, tuple[str, ...]]:
    """The condition with labels and titles that can be drawn, and the names put in their place."""
    engines = tuple(map(named, condition.engines))
    renamed = [one.name for one, was in zip(engines, condition.engines, strict=True) if one != was]
    datasets = []
    for dataset in condition.datasets:
        if not is_drawable(dataset.title):
            dataset = dataset.model_copy(update={"title": dataset.name})
            renamed.append(dataset.name)
        datasets.append(dataset)
    drawn = condition.model_copy(update={"engines": engines, "datasets": tuple(datasets)})
    return drawn, tuple(renamed)


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
