"""Axes cover what is drawn, and the CSV beside a figure holds nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.synthetic import Made, MadeResults, made_run, write_results
from evenground.analysis.experiment import alone
from evenground.records.plan import Engine, Machine
from evenground.report.draw import drawings
from evenground.report.material import RESOURCES, Material
from evenground.report.phases import phases_drawing
from evenground.report.scaling import Curves, scaling_drawing
from evenground.report.sheet import Drawing
from evenground.report.side_by_side import side_by_side_drawing
from evenground.report.style import engine_styles, fixed_style
from made_records import index_of, made_condition, made_wanted
from made_records import made_run as planned_run
from report.made import analysed, data_with, material_of

DIGITS = (("digits", "Digits", "mlp"),)
# Of the arm itself.
OF_ARMS = {"timeline_digits_slow", "training_time"}


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    """The settings under which figures are made."""
    with fixed_style():
        yield


def slow_arm(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
    """The arm takes ten times as long, and ten times as much, as the engine it is an arm of."""
    made = made_run(dataset, "keras" if engine == "slow" else engine, repetition, gpu)
    if engine != "slow":
        return made
    ten = {"load_s": 20.0, "steady_s": 10 * made.steady_s, "linger_s": 10.0, "cpu_pct": 1500.0}
    return replace(made, **ten, rss_bytes=10 * made.rss_bytes, vram_bytes=10 * made.vram_bytes)


@pytest.fixture(scope="module")
def with_arm(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Keras, JAX and an arm of Keras that is larger in every way."""
    made = MadeResults(
        datasets=DIGITS,
        engines=("keras", "jax", "slow"),
        gpu=True,
        make=slow_arm,
        environment={"cores": 2, "memory_bytes": 8 * 2**30},
    )
    material = material_of(analysed(write_results(tmp_path_factory.mktemp("arm"), made)))
    engines = (
        *material.condition.engines[:2],
        Engine(name="slow", label="Slow", colour="#009E73", arm_of="keras"),
    )
    index = material.condition.model_copy(update={"engines": engines})
    return replace(material, condition=index, styles=engine_styles(engines))


def without(material: Material, engine: str) -> Material:
    """The same as if that engine had never run."""
    frames = ("mean", "phases", "missing", "by_phase", "runs")
    kept = {name: getattr(material, name).query(f"engine != '{engine}'") for name in frames}
    engines = tuple(e for e in material.condition.engines if e.name != engine)
    runs = tuple(run for run in material.condition.runs if run.engine != engine)
    index = material.condition.model_copy(update={"engines": engines, "runs": runs})
    return replace(material, **kept, condition=index)


def limits(drawing: Drawing) -> list[tuple[float, float]]:
    """Both limits of every axis of a figure."""
    return [limit for axes in drawing.figure.axes for limit in (axes.get_xlim(), axes.get_ylim())]


def test_an_arm_ten_times_as_long_changes_no_figure_it_is_not_in(with_arm: Material) -> None:
    alone = {drawing.name: drawing for drawing in drawings(data_with(without(with_arm, "slow")))}
    found = {drawing.name: drawing for drawing in drawings(data_with(with_arm))}
    assert found.keys() - alone.keys() == {"timeline_digits_slow"}
    for name in found.keys() - OF_ARMS:
        assert limits(found[name]) == limits(alone[name]), name
        pd.testing.assert_frame_equal(
            found[name].data.reset_index(drop=True), alone[name].data.reset_index(drop=True)
        )
    # Where it is drawn, it does count.
    assert limits(found["training_time"])[0][1] > 5 * limits(alone["training_time"])[0][1]


def test_axes_over_time_end_with_their_lines(with_arm: Material) -> None:
    for drawing in drawings(data_with(with_arm)):
        if not drawing.name.startswith(("compare", "instruments", "timeline")):
            continue
        t_s = drawing.data["t_s"]
        for axes in drawing.figure.axes:
            assert axes.get_xlim() == pytest.approx((t_s.min(), t_s.max())), drawing.name


def test_phases_begin_with_the_first_that_is_drawn(with_arm: Material) -> None:
    later = replace(with_arm, by_phase=with_arm.by_phase.query("phase != 'load'"))
    drawing = phases_drawing(later, later.condition.datasets[0], RESOURCES[0])
    assert drawing is not None
    assert drawing.figure.axes[0].get_xlim() == (1, 8)
    assert drawing.figure.axes[0].get_xticklabels()[0].get_text() == "first batch"


def test_scaling_axes_leave_out_values_without_a_mark() -> None:
    engines = (Engine(name="a", label="A", colour="#0072B2"),)
    rows = [
        ("a", 1.0, 5.0, 4.0, 6.0),
        ("a", 2.0, 7.0, 6.0, 8.0),
        ("a", 1000.0, np.nan, np.nan, 900.0),
    ]
    data = pd.DataFrame(rows, columns=["engine", "x", "y", "low", "high"])
    curves = Curves("scaling", "T", "x", "y", {"": data}, data)
    axes = scaling_drawing(curves, "made", engine_styles(engines)).figure.axes[0]
    assert axes.get_xlim()[1] < 2.5 and axes.get_ylim()[1] < 10


def test_ratios_that_are_not_drawn_do_not_widen_the_axis() -> None:
    machines = ("made-nogpu-1", "made-nogpu-2")
    rows = [
        *((machine, "d", "a", "b", 1.5, 1.2, 1.9) for machine in machines),
        # A pair that one machine alone has is not in the figure.
        (machines[0], "d", "a", "c", 900.0, 800.0, 1000.0),
    ]
    names = ["machine", "dataset", "baseline", "engine", "ratio", "low_95", "high_95"]
    frame = pd.DataFrame(rows, columns=names).assign(measure="training_s")
    classes = [Machine(class_name=name, description=name) for name in machines]
    conditions = [made_condition(made_wanted(planned_run()), machine=one) for one in classes]
    drawing = side_by_side_drawing(alone(index_of(*conditions)), frame)
    assert drawing.figure.axes[0].get_xlim()[1] < 3
    assert set(drawing.data["engine"]) == {"b"}


def test_the_time_between_epochs_is_hatched_where_it_can_be_seen(tmp_path: Path) -> None:
    material = material_of(
        analysed(write_results(tmp_path, MadeResults(datasets=DIGITS, repetitions=1)))
    )
    spans = material.phases
    waits = spans["phase"] == "after epoch 1"
    later = 0.4 * (spans["start_s"] >= spans[waits]["start_s"].min())
    widened = spans.assign(end_s=spans["end_s"] + later, start_s=spans["start_s"] + later * ~waits)
    for phases, count in ((spans, 0), (widened, 1)):
        drawing = next(
            d
            for d in drawings(data_with(replace(material, phases=phases)))
            if d.name == "timeline_digits_keras"
        )
        strip = drawing.figure.axes[0]
        hatched = [bar for bar in strip.patches if bar.get_hatch()]
        assert len(hatched) == count
        assert "hatched between phases" in drawing.caption
