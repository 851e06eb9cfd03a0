"""Curves of a measure over a swept parameter: which are drawn, with which panels and captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from evenground.analysis.experiment import Experiment, Value, parameter_words
from evenground.records.plan import Dataset
from evenground.report.material import ReportData, byte_scale
from evenground.report.scaling import LOG_Y, Curves, scaling_drawing
from evenground.report.sheet import Drawing

MAX_PANELS = 8
UNITS = {"sampling_rate_hz": "Hz"}


@dataclass(frozen=True)
class Measure:
    """A measure as curves show it: which number is the mark, and between which two its bar is."""

    name: str
    column: str
    title: str
    middle: str
    low: str
    high: str
    explained: str


INTERVAL = (
    "Marks: mean over the runs of one condition (N); bars: its 95 % interval by Student's t, from "
    "two runs on"
)
RANGE = "Marks: median over the runs of one condition (N); bars: smallest to largest run"
CARD = f"{RANGE}. The values are the whole card's"
MEASURES = (
    Measure("time", "training_s", "Training time", "mean", "low_95", "high_95", INTERVAL),
    Measure("memory", "peak_rss_bytes", "Peak memory", "median", "min", "max", RANGE),
    Measure("vram", "peak_vram_used_bytes", "Peak VRAM", "median", "min", "max", CARD),
)


@dataclass(frozen=True)
class _Chosen:
    """What one figure is of."""

    data: ReportData
    dataset: Dataset
    parameter: str
    measure: Measure

    @property
    def experiment(self) -> Experiment:
        return self.data.experiment

    @property
    def words(self) -> str:
        """The parameter in words."""
        return _words(self.parameter)

    @property
    def others(self) -> list[str]:
        """The other swept parameters."""
        return [name for name in self.experiment.swept if name != self.parameter]


def curves(data: ReportData) -> Iterator[Drawing]:
    """Every curve: by dataset, numeric parameter and measure, where anything was measured."""
    for dataset in data.materials[0].condition.datasets:
        for parameter in data.experiment.swept:
            for measure in MEASURES:
                chosen = _Chosen(data=data, dataset=dataset, parameter=parameter, measure=measure)
                panels = _panels(chosen)
                if panels and len(_numbers(chosen)) > 1:
                    yield _drawing(chosen, panels)


def _values(chosen: _Chosen) -> set[Value]:
    return {placed.lead[chosen.parameter] for placed in chosen.experiment.conditions}


def _numbers(chosen: _Chosen) -> set[Value]:
    """The values of the parameter that have a place on an axis: `all` threads have none."""
    # Beside a word, numbers are words, too.
    values = _values(chosen)
    return {value for value in values if not isinstance(value, str) or value.isdecimal()}


def _drawing(chosen: _Chosen, panels: Mapping[str, pd.DataFrame]) -> Drawing:
    """The figure of the first panels; `panels`: title -> rows of the table `summary`."""
    measure = chosen.measure
    shown = dict(list(panels.items())[:MAX_PANELS])
    rows = pd.concat(shown.values(), ignore_index=True)
    scale, unit = 1.0, "s"
    if measure.name != "time":
        # Of one run the largest value is known, and an interval's end is not.
        scale, unit = byte_scale(float(rows["max"].max()))
    axis = chosen.words
    if chosen.parameter in UNITS:
        axis = f"{axis} [{UNITS[chosen.parameter]}]"
    drawn = Curves(
        name=f"scaling_{chosen.dataset.name}_{chosen.parameter}_{measure.name}",
        title=f"{measure.title} by {chosen.words}: {chosen.dataset.title}",
        x=axis,
        y=f"{measure.title[0].lower()}{measure.title[1:]} [{unit}]",
        panels={title: _plotted(of_panel, chosen, scale) for title, of_panel in shown.items()},
        data=rows,
    )
    caption = _caption(chosen, drawn, len(panels))
    return scaling_drawing(drawn, caption, chosen.data.materials[0].styles)


def _panels(chosen: _Chosen) -> dict[str, pd.DataFrame]:
    """Title -> rows of every combination of machine and other parameters that has a value.

    The machines of one combination follow each other, so that the first panels show all of them.
    """
    summary, parameter = chosen.data.summary, chosen.parameter
    main = [engine.name for engine in chosen.experiment.engines if engine.arm_of is None]
    rows = summary[(summary["dataset"] == chosen.dataset.name) & summary["engine"].isin(main)]
    rows = rows[rows["measure"] == chosen.measure.column]
    rows = rows[rows[parameter].isin(_numbers(chosen))]
    # The deployment is the same in all conditions; a single parameter has no others.
    settings = ["deployment", *chosen.others]
    panels = {}
    for _, together in rows.groupby(settings, sort=False):
        for _, of_panel in together.groupby("machine", sort=False):
            if of_panel[chosen.measure.middle].notna().any():
                panels[_title(chosen, of_panel)] = of_panel
    return panels


def _title(chosen: _Chosen, of_panel: pd.DataFrame) -> str:
    first = of_panel.iloc[0]
    words = []
    if len(chosen.experiment.machines) > 1:
        words.append(first["machine"])
    for name in chosen.others:
        words.append(f"{_words(name)} {first[name]} {UNITS.get(name, '')}".strip())
    return ", ".join(words)


def _plotted(rows: pd.DataFrame, chosen: _Chosen, scale: float) -> pd.DataFrame:
    """The rows as the panel draws them."""
    measure = chosen.measure
    plotted = rows[["engine"]].assign(x=rows[chosen.parameter].astype("float64"))
    for name, column in (("y", measure.middle), ("low", measure.low), ("high", measure.high)):
        plotted[name] = rows[column].astype("float64") / scale
    return plotted


def _words(parameter: str) -> str:
    return parameter_words(parameter.removesuffix("_hz"))


def _caption(chosen: _Chosen, drawn: Curves, panels: int) -> str:
    """What is shown, what the bars mean, how the axes go, what is left out, and the machines."""
    words = chosen.words
    sentences = [
        f"{chosen.dataset.title}: {chosen.measure.title} by {words}, a line per engine",
        chosen.measure.explained.replace("N", _counts(drawn.data)),
        _axes(drawn, words),
    ]
    if panels > 1:
        sentences.append(
            "A panel for each machine and other setting that has a value, on equal axes"
        )
    if panels > MAX_PANELS:
        sentences.append(
            f"Only the first {MAX_PANELS} of {panels} panels are drawn: tables/summary.csv has all"
        )
    if without := sorted(str(value) for value in _values(chosen) - _numbers(chosen)):
        sentences.append(f"Without {words} {', '.join(without)}, which has no place on the axis")
    if any(engine.arm_of for engine in chosen.experiment.engines):
        sentences.append("Arms are in tables/summary.csv")
    return f"{'. '.join(sentences)}. {machines_of(chosen.experiment)}"


def _counts(rows: pd.DataFrame) -> str:
    """How many runs are behind the marks."""
    fewest, most = rows["n"].min(), rows["n"].max()
    if fewest == most:
        return f"n = {fewest}"
    return f"n = {fewest} to {most}"


def _axes(drawn: Curves, words: str) -> str:
    """Which axis is logarithmic, and where the other begins."""
    y = "from zero"
    if drawn.log_y:
        y = f"logarithmic, as values differ by {LOG_Y:g} times or more"
    x = ""
    if drawn.log_x:
        x = f"; the axis of {words} is logarithmic"
    return f"The upright axis is {y}{x}"


def machines_of(experiment: Experiment) -> str:
    """The machines as the last sentence, by the names of their classes as over the panels."""
    machines = experiment.machines
    noun = "Machine" if len(machines) == 1 else "Machines"
    words = [f"{machine.class_name} is {machine.description}" for machine in machines]
    return f"{noun}: {'; '.join(words)} ({experiment.conditions[0].condition.deployment})."
