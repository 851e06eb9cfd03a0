"""Figures over several conditions: which there are, what they show and say, and of which details."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from analysis.synthetic import Made, MadeResults, write_results
from evenground.analysis.experiment import alone
from evenground.analysis.files import read_rows
from evenground.analysis.tables import columns_of
from evenground.records.index import Condition
from evenground.records.plan import Machine
from evenground.report.curves import MAX_PANELS, curves
from evenground.report.draw import MAX_DETAILED, drawings
from evenground.report.material import RESOURCES, ReportData
from evenground.report.sheet import Drawing
from evenground.report.side_by_side import MAX_INCHES, side_by_side_drawing
from evenground.report.style import fixed_style
from made_records import PARAMETERS, index_of, made_condition, made_run, made_wanted
from report.made import analysed, data_of, made_data
from report.touching import overlaps

A, B = "a-cpu-2c-8g-nogpu-aaa111", "b-cpu-16c-64g-made-card-bbb222"
DIGITS = (("digits", "Digits", "mlp"),)
SIZES = (16, 32, 64)
OVER_ALL = [
    "samples_digits",
    *(f"scaling_digits_batch_size_{name}" for name in ("time", "memory", "vram")),
    "side_by_side",
]
DETAILS = [
    "training_time",
    *("timeline_digits_keras", "timeline_digits_jax"),
    *(f"compare_digits_{resource.name}" for resource in RESOURCES),
    "instruments_digits",
    *("phases_digits_cpu", "phases_digits_memory"),
]


@pytest.fixture(autouse=True)
def styled() -> Iterator[None]:
    """The settings under which figures are made."""
    with fixed_style():
        yield


def results(machine: str, lost: Any = None, **values: Any) -> MadeResults:
    """A condition: B is eight times as fast, and a larger batch twice."""
    factor = (1.0 if machine == A else 1 / 8) * 32 / values.get("batch_size", 32)

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        of_run = factor * (2 / 3 if engine == "jax" else 1.0) * (1 + 0.02 * (repetition - 2))
        memory = (200 + values.get("batch_size", 32)) * 2**20 + repetition * 2**16
        return Made(
            first_batch_s=0.5 * of_run,
            steady_s=1.5 * of_run,
            rss_bytes=memory,
            vram_bytes=2 * memory,
            gpu=gpu,
        )

    return MadeResults(
        machine=machine,
        values=values,
        gpu="-nogpu-" not in machine,
        datasets=DIGITS,
        make=make,
        lost=lost or {},
    )


def drawn(data: ReportData) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in drawings(data)}


def words(drawing: Drawing) -> str:
    """All texts of a figure."""
    texts = drawing.figure.findobj(Text)
    return " ".join(text.get_text() for text in texts if isinstance(text, Text))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three batch sizes on two machines; of one engine nothing finished at one of them."""
    lost = {("digits", "jax", k): ("failed", "out-of-memory") for k in (1, 2, 3)}
    root = tmp_path_factory.mktemp("swept")
    conditions = [results(machine, batch_size=size) for machine in (A, B) for size in SIZES]
    conditions[1] = results(A, lost, batch_size=32)
    return analysed(write_results(root, *conditions))


@pytest.fixture(scope="module")
def of_sweep(swept: Path) -> dict[str, Drawing]:
    with fixed_style():
        return drawn(data_of(swept))


def test_a_sweep_on_two_machines_has_curves_and_machines_side_by_side(
    of_sweep: dict[str, Drawing],
) -> None:
    assert list(of_sweep) == OVER_ALL, "six conditions are too many for details of each"
    for drawing in of_sweep.values():
        assert overlaps(drawing) == [], drawing.name


def test_curves_say_what_they_show(of_sweep: dict[str, Drawing]) -> None:
    time, memory, vram = (of_sweep[name].caption for name in OVER_ALL[1:4])
    assert "its 95 % interval by Student's t" in time and "n = 0 to 3" in time
    assert "smallest to largest run (n = 3)" not in time and "from zero" in memory
    assert "smallest to largest run" in memory and "the whole card's" in vram
    assert "The upright axis is logarithmic" in time
    assert "; the axis of batch size is logarithmic" in time
    for caption in (time, memory):
        assert "A panel for each machine and other setting" in caption
        assert f"{A} is Made CPU, 2 cores, 8 GiB, no GPU; {B} is Made CPU" in caption
    # One of the machines has no card, and no panel.
    assert "A panel for each" not in vram and len(of_sweep[OVER_ALL[3]].figure.axes) == 1
    assert "Training time by batch size: Digits" in words(of_sweep[OVER_ALL[1]])


def test_panels_are_of_machines_with_equal_axes(of_sweep: dict[str, Drawing]) -> None:
    left, right = of_sweep["scaling_digits_batch_size_time"].figure.axes
    titles = [axes.get_title(loc="left").replace("\n", "") for axes in (left, right)]
    assert titles == [A, B]
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert left.get_xscale() == left.get_yscale() == "log"
    assert named_ticks(left) == ["16", "32", "64"]


def named_ticks(axes: Axes) -> list[str]:
    """The names at the axis of the parameter."""
    axes.figure.canvas.draw()  # type: ignore[attr-defined]
    return [label.get_text() for label in axes.get_xticklabels() if label.get_text()]


def test_data_of_curves_are_rows_of_the_table(swept: Path, of_sweep: dict[str, Drawing]) -> None:
    columns = columns_of(data_of(swept).experiment, "summary")
    table = read_rows(swept / "tables/summary.csv", columns)
    found = of_sweep["scaling_digits_batch_size_time"].data
    rows = table[table["measure"] == "training_s"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, rows)
    jax = found[(found["machine"] == A) & (found["engine"] == "jax")].set_index("batch_size")
    assert jax.loc[16, "mean"] == pytest.approx(2 * 2 / 3 * 2)
    # Nothing finished: a gap in the line, no zero.
    assert math.isnan(jax.loc[32, "mean"]) and jax.loc[32, "n"] == 0
    assert jax.loc[64, "mean"] == pytest.approx(2 * 2 / 3 / 2)


def test_a_line_breaks_where_nothing_finished(of_sweep: dict[str, Drawing]) -> None:
    left = of_sweep["scaling_digits_batch_size_time"].figure.axes[0]
    lines = [line for line in left.lines if line.get_linewidth() == 1.8]
    gaps = [[math.isnan(float(y)) for y in line.get_ydata()] for line in lines]
    assert gaps == [[False] * 3, [False, True, False]]


def test_a_pair_is_side_by_side_at_each_value_that_both_machines_have(
    of_sweep: dict[str, Drawing],
) -> None:
    data = of_sweep["side_by_side"].data
    found = list(zip(data["batch_size"], data["machine"], strict=True))
    assert found == [(size, machine) for size in (16, 64) for machine in (A, B)]
    assert data["ratio"].tolist() == pytest.approx([2 / 3] * 4)
    shown = words(of_sweep["side_by_side"])
    assert "jax / keras, digits, batch size 16" in shown.replace("\n", " ")
    assert "batch size 32" not in shown.replace("\n", " ")


def test_more_pairs_than_a_sheet_has_room_for_are_counted() -> None:
    conditions = conditions_of({}, machines=(A, B))
    found = [("d", "a", f"e{k}", machine, 2.0, 1.5, 2.5) for k in range(300) for machine in (A, B)]
    names = ["dataset", "baseline", "engine", "machine", "ratio", "low_95", "high_95"]
    ratios = pd.DataFrame(found, columns=names).assign(measure="training_s")
    drawing = side_by_side_drawing(alone(index_of(*conditions)), ratios)
    left_out = 300 - drawing.data["engine"].nunique()
    assert 0 < left_out < 300 and drawing.figure.get_figheight() < MAX_INCHES + 2
    assert f"{left_out} more pairs are only in the table `ratios`." in drawing.caption


def test_two_machines_have_details_of_each(tmp_path: Path) -> None:
    data = data_of(analysed(write_results(tmp_path, results(A), results(B))))
    found = drawn(data)
    of_card = [f"phases_digits_{name}" for name in ("gpu", "vram", "power")]
    names = [f"{name}_{A}" for name in DETAILS] + [f"{name}_{B}" for name in (*DETAILS, *of_card)]
    assert list(found) == ["samples_digits", "side_by_side", *names]
    for name, drawing in found.items():
        assert overlaps(drawing) == [], name
        machine = A if name.endswith(A) else B
        if name not in ("samples_digits", "side_by_side"):
            assert f"({machine})" in drawing.title and machine in words(drawing)


def test_values_on_one_machine_have_curves_and_details_of_each(tmp_path: Path) -> None:
    conditions = [results(A, batch_size=size) for size in SIZES]
    assert len(conditions) <= MAX_DETAILED
    found = drawn(data_of(analysed(write_results(tmp_path, *conditions))))
    names = [f"{name}_batch_size-{size}" for size in SIZES for name in DETAILS]
    assert list(found) == [*OVER_ALL[:3], *names]
    drawing = found["timeline_digits_keras_batch_size-64"]
    assert drawing.title.endswith("Digits (batch size 64), Keras")
    time = found["scaling_digits_batch_size_time"]
    assert "A panel for each" not in time.caption and f"Machine: {A} is Made CPU, 2" in time.caption


def conditions_of(*values: dict[str, Any], machines: Sequence[str] = (A,)) -> list[Condition]:
    """Conditions of one run, which trained on the dataset `d` by the engine `a`."""
    conditions = []
    for machine in machines:
        described = Machine(class_name=machine, description=f"Made {machine[0]}")
        for one in values:
            parameters = PARAMETERS.model_copy(update=one)
            wanted = made_wanted(made_run(machine=machine))
            condition = made_condition(wanted, machine=described, values=one, parameters=parameters)
            conditions.append(condition)
    return conditions


def curves_of(conditions: list[Condition]) -> dict[str, Drawing]:
    """The curves of the time, which is longer in each condition than in the one before."""
    experiment = alone(index_of(*conditions))
    rows = []
    for number, placed in enumerate(experiment.conditions):
        row = {**placed.lead, "dataset": "d", "engine": "a", "measure": "training_s", "n": 1}
        rows.append(row | {"mean": 10.0 + number, "low_95": math.nan, "high_95": math.nan})
    summary = pd.DataFrame(rows)
    data = made_data(conditions, summary.assign(median=summary["mean"], min=0.0, max=99.0))
    return {drawing.name: drawing for drawing in curves(data)}


def test_a_word_among_numbers_has_no_place_on_the_axis() -> None:
    values = [{"threads": threads} for threads in (1, 2, "all")]
    (drawing,) = curves_of(conditions_of(*values)).values()
    assert drawing.name == "scaling_d_threads_time" and overlaps(drawing) == []
    assert named_ticks(drawing.figure.axes[0]) == ["1", "2"]
    assert "Without threads all, which has no place on the axis" in drawing.caption
    assert drawing.data["threads"].tolist() == ["1", "2"]


def test_one_number_beside_a_word_is_no_curve() -> None:
    assert curves_of(conditions_of({"threads": 1}, {"threads": "all"})) == {}


def test_a_word_may_stand_over_a_panel() -> None:
    values = [{"batch_size": size, "threads": n} for n in (1, "all") for size in (16, 64)]
    (drawing,) = curves_of(conditions_of(*values, machines=(A, B))).values()
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in drawing.figure.axes]
    assert [title.replace("- ", "-") for title in titles] == [
        f"{machine}, threads {threads}" for threads in ("1", "all") for machine in (A, B)
    ]
    assert overlaps(drawing) == []


def test_names_of_many_values_stay_apart() -> None:
    values = [{"batch_size": 4 * k} for k in range(2, 27)]
    (drawing,) = curves_of(conditions_of(*values)).values()
    axes = drawing.figure.axes[0]
    assert overlaps(drawing) == [] and axes.get_xscale() == "log"
    assert len(axes.get_xticks()) == 25 and 8 < len(named_ticks(axes)) < 25
    # One run has no interval, and no bar.
    assert "n = 1" in drawing.caption and drawing.data["low_95"].isna().all()


def test_the_first_panels_show_every_machine_and_the_rest_is_named() -> None:
    values = [{"batch_size": size, "epochs": k} for k in range(1, 6) for size in (16, 32)]
    found = curves_of(conditions_of(*values, machines=(A, B)))
    assert list(found) == ["scaling_d_batch_size_time", "scaling_d_epochs_time"]
    drawing = found["scaling_d_batch_size_time"]
    shown = drawing.data[["machine", "epochs"]].drop_duplicates().to_numpy().tolist()
    assert shown == [[machine, epochs] for epochs in range(1, 5) for machine in (A, B)]
    assert f"Only the first {MAX_PANELS} of 10 panels are drawn" in drawing.caption
    assert len(drawing.figure.axes) == MAX_PANELS and overlaps(drawing) == []


def test_a_unit_stands_at_the_axis() -> None:
    values = [{"sampling_rate_hz": rate} for rate in (1.0, 10.0)]
    (drawing,) = curves_of(conditions_of(*values)).values()
    assert drawing.figure.axes[0].get_xlabel() == "sampling rate [Hz]"
