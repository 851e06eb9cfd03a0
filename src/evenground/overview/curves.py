"""Which scaling curves are drawn, with which panels, and what their captions say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from evenground.overview.parts import Parts, Value
from evenground.records.plan import Dataset
from evenground.report.material import byte_scale
from evenground.report.scaling import LOG_Y, Curves, Panel, scaling_drawing
from evenground.report.sheet import Drawing
from evenground.report.style import engine_styles

MAX_PANELS = 8
UNITS = {"sampling_rate_hz": "Hz"}


@dataclass(frozen=True)
class Measure:
    """A measure as figures show it: which number is the mark, and between which two its bar is."""

    name: str
    column: str
    title: str
    middle: str
    low: str
    high: str
    explained: str


@dataclass(frozen=True)
class Chosen:
    """What one figure is of."""

    parts: Parts
    dataset: Dataset
    parameter: str
    measure: Measure


INTERVAL = "Marks: mean over the runs of one part (N); bars: its 95 % interval by Student's t, from two runs on"
RANGE = "Marks: median over the runs of one part (N); bars: smallest to largest run"
CARD = f"{RANGE}. The values are the whole card's"
MEASURES = (
    Measure("time", "training_s", "Training time", "mean", "low_95", "high_95", INTERVAL),
    Measure("memory", "peak_rss_bytes", "Peak memory", "median", "min", "max", RANGE),
    Measure("vram", "peak_vram_used_bytes", "Peak VRAM", "median", "min", "max", CARD),
)


def drawings(parts: Parts, scaling: pd.DataFrame) -> Iterator[Drawing]:
    """Every scaling curve: by dataset, numeric parameter and measure, where anything was measured.

    `scaling` is the table of that name.
    """
    for dataset in parts.datasets:
        for parameter in parts.swept:
            for measure in MEASURES:
                chosen = Chosen(parts, dataset, parameter, measure)
                panels = _panels(chosen, scaling)
                if panels and _numbers(parts, parameter) > 1:
                    yield _drawing(chosen, panels)


def _numbers(parts: Parts, parameter: str) -> int:
    """How many values of a parameter have a place on an axis: `all` threads have none."""
    values = {part.settings[parameter] for part in parts.parts}
    return sum(not isinstance(value, str) for value in values)


def _drawing(chosen: Chosen, panels: Sequence[tuple[str, pd.DataFrame]]) -> Drawing:
    """The figure of the first panels: title and rows of each."""
    parameter, measure = chosen.parameter, chosen.measure
    shown = panels[:MAX_PANELS]
    data = pd.concat([frame for _, frame in shown], ignore_index=True)
    # In a part with one run the largest value is there and an interval's end is not.
    scale, unit = (1.0, "s") if measure.name == "time" else byte_scale(float(data["max"].max()))
    curves = Curves(
        f"scaling_{chosen.dataset.name}_{parameter}_{measure.name}",
        f"{measure.title} by {_words(parameter)}: {chosen.dataset.title}",
        f"{_words(parameter)} [{UNITS[parameter]}]" if parameter in UNITS else _words(parameter),
        f"{measure.title[0].lower()}{measure.title[1:]} [{unit}]",
        [Panel(title, _plotted(frame, parameter, measure, scale)) for title, frame in shown],
        data,
    )
    return scaling_drawing(
        curves, _caption(chosen, curves, len(panels)), engine_styles(chosen.parts.engines)
    )


def _panels(chosen: Chosen, scaling: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Title and rows of every combination of machine and other parameters that has a value.

    The machines of one setting follow each other, so that the first panels show all of them.
    """
    parts, parameter = chosen.parts, chosen.parameter
    main = [engine.name for engine in parts.engines if engine.arm_of is None]
    mine = scaling[(scaling["dataset"] == chosen.dataset.name) & scaling["engine"].isin(main)]
    mine = mine[mine["measure"] == chosen.measure.column]
    mine = mine[mine[parameter].map(lambda value: not isinstance(value, str)).astype("bool")]
    found = []
    for others in _combinations(parts, parameter):
        rows = mine
        for name, value in others.items():
            rows = rows[rows[name] == value]
        if rows[chosen.measure.middle].notna().any():
            words = [str(others["machine"])] if len(parts.machines) > 1 else []
            words += [
                f"{_words(name)} {others[name]} {UNITS.get(name, '')}".strip()
                for name in parts.swept
                if name in others
            ]
            found.append((", ".join(words), rows.drop(columns=["dataset", "measure"])))
    return found


def _combinations(parts: Parts, parameter: str) -> list[dict[str, Value]]:
    """Machine and other parameters than this one, once each; machines in turn."""
    given = [
        {"machine": part.machine, **{k: v for k, v in part.settings.items() if k != parameter}}
        for part in parts.parts
    ]
    once = {tuple(one.values()): one for one in reversed(given)}
    settings = list(dict.fromkeys(tuple(one.values())[1:] for one in given))
    places = {values: i for i, values in enumerate(settings)}
    return sorted(
        once.values(),
        key=lambda one: (
            places[tuple(one.values())[1:]],
            parts.machines.index(str(one["machine"])),
        ),
    )


def _plotted(frame: pd.DataFrame, parameter: str, measure: Measure, scale: float) -> pd.DataFrame:
    """Rows as the panel draws them."""
    columns = {"y": measure.middle, "low": measure.low, "high": measure.high}
    placed = pd.DataFrame({"engine": frame["engine"], "x": frame[parameter].astype("float64")})
    return placed.assign(
        **{to: frame[name].astype("float64") / scale for to, name in columns.items()}
    )


def _words(parameter: str) -> str:
    return parameter.removesuffix("_hz").replace("_", " ")


def _caption(chosen: Chosen, curves: Curves, panels: int) -> str:
    """What is shown, what the bars mean, how the axes go, what is left out, and the machines."""
    parts, words = chosen.parts, _words(chosen.parameter)
    said = [
        f"{chosen.dataset.title}: {chosen.measure.title} by {words}, a line per engine",
        chosen.measure.explained.replace("N", _counts(curves.data)),
        _axes(curves, words),
    ]
    if panels > 1:
        said.append(
            "A panel for each of the other settings that has a value, all with the same axes"
        )
    if panels > MAX_PANELS:
        said.append(
            f"Only the first {MAX_PANELS} of {panels} panels are drawn: tables/scaling.csv has all"
        )
    values = (part.settings[chosen.parameter] for part in parts.parts)
    if without := sorted({value for value in values if isinstance(value, str)}):
        said.append(f"Without {words} {', '.join(without)}, which has no place on the axis")
    if any(engine.arm_of for engine in parts.engines):
        said.append("Arms are in tables/scaling.csv")
    return f"{'. '.join(said)}. {_machines(parts)}"


def _counts(data: pd.DataFrame) -> str:
    """How many runs are behind the marks."""
    fewest, most = data["n"].min(), data["n"].max()
    return f"n = {fewest}" if fewest == most else f"n = {fewest} to {most}"


def _axes(curves: Curves, words: str) -> str:
    """Which axis is logarithmic, and where the other begins."""
    y = f"logarithmic, as values differ by {LOG_Y:g} times or more" if curves.log_y else "from zero"
    x = f"; that of {words} is logarithmic" if curves.log_x else ""
    return f"The upright axis is {y}{x}"


def _machines(parts: Parts) -> str:
    """The machines as the last sentence; a class's name only where panels are called by it."""
    many = len(parts.machines) > 1
    words = [
        f"{m.class_name} is {m.description}" if many else m.description for m in parts.described()
    ]
    return f"Machine{'s' if many else ''}: {'; '.join(words)} ({parts.deployment})."
