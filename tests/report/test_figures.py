"""Figures by their words, their data and their bytes; how they look was judged by eye."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from analysis.synthetic import made_sheet, write_sheet
from evenground.analysis.files import read_rows
from evenground.analysis.normalise import FRAMES
from evenground.errors import EvengroundError
from evenground.records.contact_sheet import ContactSheet
from evenground.records.plan import Dataset, Engine, FileBeside
from evenground.report.bars import training_time_drawing
from evenground.report.compare import compare_data, compare_drawing
from evenground.report.draw import FORMS, draw_all, drawings
from evenground.report.material import RESOURCES, Material, byte_scale
from evenground.report.phases import phases_drawing
from evenground.report.samples import samples_drawing
from evenground.report.sheet import save
from evenground.report.style import engine_styles, fixed_style
from evenground.report.timelines import timeline_drawing
from logged import logged
from report.made import data_of, data_with, material_of, with_longer_lines
from report.touching import overlaps

NAMES = [
    "samples_digits",
    "training_time",
    "timeline_digits_keras",
    "timeline_digits_jax",
    "compare_digits_cpu",
    "compare_digits_memory",
    "compare_digits_gpu",
    "compare_digits_vram",
    "compare_digits_power",
    "instruments_digits",
    "phases_digits_cpu",
    "phases_digits_memory",
]
GPU_NAMES = [
    name for name in NAMES if "timeline" in name or name.endswith(("gpu", "vram", "power"))
]
NO_GPU = "no GPU on this machine"


@pytest.fixture(scope="module")
def drawn_without(without_gpu: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures-without")
    assert draw_all(data_of(without_gpu), folder) == NAMES
    return folder


@pytest.fixture(scope="module")
def drawn_with(with_gpu: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures-with")
    draw_all(data_of(with_gpu), folder)
    return folder


@pytest.fixture
def styled() -> Iterator[None]:
    """The settings under which figures are made."""
    with fixed_style():
        yield


def svg(folder: Path, name: str) -> str:
    """An SVG as text; its words stand in comments, as its letters are outlines."""
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


def test_every_figure_has_svg_png_csv_and_an_entry(drawn_without: Path) -> None:
    listed = json.loads((drawn_without / "figures.json").read_text())
    assert [entry["name"] for entry in listed] == NAMES
    found = {path.name for path in drawn_without.iterdir()} - {"figures.json"}
    assert found == {f"{name}.{form}" for name in NAMES for form in ("svg", "png", "csv")}
    captions = {entry["name"]: entry["caption"] for entry in listed}
    for name, made_after in (
        ("samples_digits", "figure 1"),
        ("timeline_digits_jax", "figures 9 and 10"),
        ("compare_digits_memory", "figure 15"),
    ):
        assert captions[name].endswith(f"Made after {made_after} of the thesis.")
    assert "Made after" not in captions["compare_digits_power"]


def test_same_data_gives_the_same_bytes(
    without_gpu: Path, drawn_without: Path, tmp_path: Path
) -> None:
    draw_all(data_of(without_gpu), tmp_path)
    for path in sorted(drawn_without.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_users_own_settings_change_nothing(
    without_gpu: Path, drawn_without: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "font.size", 20.0)
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "black")
    material = material_of(without_gpu)
    with fixed_style():
        save(training_time_drawing(material), tmp_path)
    assert svg(tmp_path, "training_time") == svg(drawn_without, "training_time")
    assert mpl.rcParams["font.size"] == 20.0


@pytest.mark.parametrize("name", NAMES[1:])
def test_caption_in_the_picture_names_n_and_machine(drawn_without: Path, name: str) -> None:
    caption = {
        e["name"]: e["caption"] for e in json.loads((drawn_without / "figures.json").read_text())
    }[name]
    assert "Made CPU, 2 cores, 8 GiB, no GPU" in caption
    comments = re.findall(r"<!-- (.*?) -->", svg(drawn_without, name))
    drawn = " ".join(comments)
    assert caption in drawn
    assert "n = 2 of 3" in drawn or "keras" in name
    assert "n = 3 of 3" in drawn or "jax" in name


def test_no_date_and_no_version_in_the_files(drawn_without: Path) -> None:
    for name in NAMES:
        assert "dc:date" not in svg(drawn_without, name)
        assert "Matplotlib" not in svg(drawn_without, name)
        assert b"Matplotlib" not in (drawn_without / f"{name}.png").read_bytes()


@pytest.mark.parametrize("name", GPU_NAMES)
def test_missing_gpu_is_said_only_where_there_is_none(
    drawn_without: Path, drawn_with: Path, name: str
) -> None:
    assert NO_GPU in svg(drawn_without, name)
    assert NO_GPU not in svg(drawn_with, name)


def test_missing_gpu_is_never_a_line_at_zero(drawn_without: Path) -> None:
    data = pd.read_csv(drawn_without / "timeline_digits_keras.csv")
    assert data["gpu_util_pct_mean"].isna().all() and data["gpu_power_w_max"].isna().all()
    assert len(pd.read_csv(drawn_without / "compare_digits_vram.csv")) == 0


def test_csv_beside_a_comparison_is_what_the_normalised_frames_hold(
    with_gpu: Path, drawn_with: Path
) -> None:
    data = pd.read_csv(drawn_with / "compare_digits_gpu.csv")
    assert set(data["run"]) == {"1", "2", "3", "mean"}
    mean = read_rows(with_gpu / "normalised" / "mean.csv", FRAMES["mean"])
    known = mean[mean["gpu_util_pct"].notna()]
    drawn = data[data["run"] == "mean"]
    assert drawn["gpu_util_pct"].tolist() == known["gpu_util_pct"].tolist()
    assert drawn["t_s"].tolist() == known["t_s"].tolist()


def test_phases_are_drawn_of_what_was_measured_and_hold_its_means(
    with_gpu: Path, drawn_with: Path
) -> None:
    names = {path.stem for path in drawn_with.glob("phases_*.csv")}
    assert names == {f"phases_digits_{resource.name}" for resource in RESOURCES}
    data = pd.read_csv(drawn_with / "phases_digits_gpu.csv", float_precision="round_trip")
    frame = read_rows(with_gpu / "normalised" / "by_phase.csv", FRAMES["by_phase"])
    known = frame[(frame["column"] == "gpu_util_pct") & frame["mean"].notna()]
    assert data["mean"].tolist() == known["mean"].tolist() and set(data["engine"]) == {
        "keras",
        "jax",
    }
    caption = {
        e["name"]: e["caption"] for e in json.loads((drawn_with / "figures.json").read_text())
    }
    assert (
        "whole card" in caption["phases_digits_vram"]
        and "whole card" not in caption["phases_digits_cpu"]
    )


def test_arms_are_not_among_the_phases(with_gpu: Path, styled: None) -> None:
    material = material_of(with_gpu)
    keras, jax = material.condition.engines
    engines = (keras, jax.model_copy(update={"arm_of": "keras"}))
    arm = replace(material, condition=material.condition.model_copy(update={"engines": engines}))
    drawing = phases_drawing(arm, arm.condition.datasets[0], RESOURCES[0])
    assert drawing is not None and set(drawing.data["engine"]) == {"keras"}


def test_names_of_many_phases_stay_apart(with_gpu: Path, styled: None) -> None:
    material = material_of(with_gpu)
    epochs = pd.concat(
        [
            material.by_phase[material.by_phase["phase"] == "epoch 2"].assign(phase=f"epoch {k}")
            for k in range(1, 61)
        ]
    )
    places = epochs["place"] % 1 + epochs["phase"].str.removeprefix("epoch ").astype(int) - 1
    many = replace(material, by_phase=epochs.assign(place=places))
    drawing = phases_drawing(many, many.condition.datasets[0], RESOURCES[0])
    assert drawing is not None and overlaps(drawing) == []
    labels = [label.get_text() for label in drawing.figure.axes[0].get_xticklabels()]
    labels = [label for label in labels if label]
    assert labels[0] == "epoch 3" and 5 < len(labels) < 15, "as many as fit, none beyond the axis"


def test_csv_of_a_timeline_names_phases_and_range(drawn_with: Path) -> None:
    data = pd.read_csv(drawn_with / "timeline_digits_keras.csv")
    at = data.set_index("t_s")
    assert at.loc[-1.0, "phase"] == "load"
    assert at.loc[0.0, "phase"] == "first batch"
    assert at.loc[2.0, "phase"] == "epoch 2"
    assert (at["rss_bytes_min"].dropna() <= at["rss_bytes_mean"].dropna() + 1e-6).all()
    assert at.loc[2.0, "cpu_pct_mean"] == pytest.approx(75.0)


def test_bars_show_every_finished_run_and_its_mean(drawn_without: Path) -> None:
    data = pd.read_csv(drawn_without / "training_time.csv")
    jax = data[data["engine"] == "jax"]
    assert jax["status"].tolist() == ["finished", "failed", "finished"]
    assert jax["mean_s"].tolist() == pytest.approx([(2.0 * 2.08) ** 0.5] * 3)
    assert len(jax["training_s"].dropna()) == 2


def found(engine: str, repetition: int, finding: str, state: str = "warned") -> dict[str, object]:
    """A row of the table `quality`."""
    row = {"dataset": "digits", "engine": engine, "repetition": repetition, "state": state}
    return row | {"finding": finding, "value": 2.0, "limit": 1.0, "reason": ""}


def test_captions_name_runs_that_are_invalid_or_began_on_a_busy_machine(
    with_gpu: Path, styled: None
) -> None:
    material = material_of(with_gpu)
    rows = [found("keras", 1, "load"), found("keras", 2, "load"), found("jax", 3, "idle")]
    rows.append(found("jax", 2, "swapping", "invalid"))
    doubtful = replace(material, quality=pd.DataFrame(rows))
    dataset, keras = material.condition.datasets[0], material.condition.engines[0]
    busy = "Started on a busy machine, runs (table quality): Keras 2. "
    both = f"Invalid, runs (table quality): JAX 1. {busy}"
    assert both in training_time_drawing(doubtful).caption
    assert both in compare_drawing(doubtful, dataset, RESOURCES[0]).caption
    of_keras = timeline_drawing(doubtful, dataset, keras).caption
    assert busy in of_keras and "Invalid" not in of_keras
    assert "busy" not in training_time_drawing(material).caption


def test_runs_of_unlike_length_are_stood_for_by_the_one_of_median_length(
    with_gpu: Path, styled: None
) -> None:
    material = material_of(with_gpu)
    dataset, keras = material.condition.datasets[0], material.condition.engines[0]
    assert material.typical("digits", "keras") is None
    assert "line: mean of the runs" in timeline_drawing(material, dataset, keras).caption
    # Repetition 3 takes half as long again, and is the longest.
    longer = material.runs["training_s"].where(material.runs["repetition"] < 3, 9.0)
    unlike = replace(material, runs=material.runs.assign(training_s=longer))
    assert unlike.typical("digits", "keras") == 2
    drawing = timeline_drawing(unlike, dataset, keras)
    assert "line: repetition 2, the run of median training time" in drawing.caption
    assert "dashed: their mean up to the shortest one, as the thesis drew it" in drawing.caption
    (of_run,) = [line for number, line in unlike.lines("digits", "keras") if number == 2]
    drawn = drawing.data.set_index("t_s")["rss_bytes_run"].dropna()
    assert drawn.tolist() == of_run.set_index("t_s")["rss_bytes"].dropna().tolist()
    caption = compare_drawing(unlike, dataset, RESOURCES[1]).caption
    assert (
        "bold line: the run of median training time, as lengths differ by more than 5%" in caption
    )


def test_figures_of_an_engine_no_longer_wanted_are_removed(
    without_gpu: Path, tmp_path: Path
) -> None:
    stale = [f"timeline_digits_elixir.{form}" for form in FORMS]
    for name in [*stale, "my_own.svg"]:
        (tmp_path / name).write_text("old")
    draw_all(data_of(without_gpu), tmp_path)
    assert not any((tmp_path / name).exists() for name in stale)
    assert (tmp_path / "my_own.svg").exists()


def test_no_text_touches_another_or_leaves_the_figure(
    without_gpu: Path, with_gpu: Path, styled: None
) -> None:
    for folder in (without_gpu, with_gpu):
        for drawing in drawings(data_of(folder)):
            assert overlaps(drawing) == [], drawing.name


def test_the_check_for_touching_text_finds_some(with_gpu: Path, styled: None) -> None:
    drawing = training_time_drawing(material_of(with_gpu))
    drawing.figure.text(0.02, 0.06, "a word that lies on the caption and leaves the sheet" * 3)
    found = overlaps(drawing)
    assert any(second == "edge" for _, second in found)
    assert any("leaves the sheet" in first + second and second != "edge" for first, second in found)


def stretched(material: Material) -> Material:
    """The same with names as long as they come and twenty epochs in a short training after a long load."""
    title = "CIFAR-10, 12,000 images decoded from a public JPEG copy"
    words = "Processor with a very long name, " * 4
    changes = {
        "datasets": (Dataset(name="digits", title=title, network="mlp", train_examples=60_000),),
        "machine": material.condition.machine.model_copy(update={"description": words}),
    }
    index = material.condition.model_copy(update=changes)
    rows = [("load", -30.0, 0.0), ("first batch", 0.0, 0.1)]
    rows += [(f"epoch {k}", 0.1 * k, 0.1 * k + 0.1) for k in range(1, 21)]
    rows += [("evaluate", 2.1, 2.15), ("linger", 2.15, 2.4), ("exit", 2.4, 2.5)]
    phases = pd.DataFrame(rows, columns=["phase", "start_s", "end_s"])
    wide = material.mean.assign(t_s=material.mean["t_s"] * 6.0)
    phases = phases.assign(dataset="digits", engine="keras", repetition=1)
    return replace(material, condition=index, phases=phases, mean=wide)


def test_long_names_and_many_epochs_still_fit(with_gpu: Path, tmp_path: Path, styled: None) -> None:
    material = stretched(with_longer_lines(material_of(with_gpu), 6.0, tmp_path))
    dataset, engine = material.condition.datasets[0], material.condition.engines[0]
    drawing = timeline_drawing(material, dataset, engine)
    words = [text.get_text() for text in drawing.figure.findobj(Text) if isinstance(text, Text)]
    assert "epochs 1–20" in words and "epoch 2" not in words
    assert overlaps(drawing) == []
    assert overlaps(compare_drawing(material, dataset, RESOURCES[0])) == []
    assert overlaps(training_time_drawing(material)) == []


def test_engine_without_a_finished_run_is_said(with_gpu: Path, styled: None) -> None:
    material = material_of(with_gpu)
    empty = {name: getattr(material, name).iloc[:0] for name in ("mean", "phases", "by_phase")}
    runs = material.runs.assign(status="failed", training_s=float("nan"))
    failed = {"status": "failed"}
    wanted = tuple(run.model_copy(update=failed) for run in material.condition.runs)
    lost = replace(material, **empty, runs=runs, condition=material.condition.with_runs(wanted))
    for drawing in drawings(data_with(lost)):
        words = " ".join(
            text.get_text() for text in drawing.figure.findobj(Text) if isinstance(text, Text)
        )
        assert "n = 0 of 3" in words or drawing.name.startswith("samples")
        assert (
            "no finished" in words or "not measured" in words or drawing.name.startswith("samples")
        )
        assert overlaps(drawing) == []


def test_engines_are_told_apart_without_their_colours() -> None:
    styles = engine_styles([Engine(name=name, label=name, colour="#0072B2") for name in "abcd"])
    for what in ("line", "marker", "hatch"):
        assert len({str(getattr(style, what)) for style in styles.values()}) == 4


def test_bytes_are_shown_in_units_people_read() -> None:
    assert byte_scale(300 * 2**20) == (2.0**20, "MiB")
    assert byte_scale(8 * 2**30) == (2.0**30, "GiB")


def test_a_gap_in_the_samples_breaks_the_line(with_gpu: Path, styled: None) -> None:
    material = material_of(with_gpu)
    gone = material.mean["t_s"].between(0.95, 1.55)
    holed = replace(
        material, mean=material.mean.assign(rss_bytes=material.mean["rss_bytes"].mask(gone))
    )
    memory = RESOURCES[1]
    assert len(compare_data(holed, "digits", memory)) < len(
        compare_data(material, "digits", memory)
    )
    axes = compare_drawing(holed, holed.condition.datasets[0], memory).figure.axes[0]
    # Beside the marks at the end of training, of the same width.
    lines = [line for line in axes.lines if not line.get_marker()]
    bold = [line for line in lines if line.get_linewidth() == 1.8]
    assert len(bold) == 2
    assert all(np.isnan(np.asarray(line.get_ydata())).sum() == 1 for line in bold)


def test_each_picture_stands_below_its_class(without_gpu: Path, styled: None) -> None:
    material = material_of(without_gpu)
    drawing = samples_drawing(material, material.condition.datasets[0])
    assert "(28 x 28 pixels, n = 1,000 training images)" in drawing.caption
    assert drawing.data.to_numpy().tolist() == [
        [row, label, 10 * row + label, label, str(label)] for label in range(10) for row in (0, 1)
    ]
    sheet = made_sheet("0123456789")
    drawn = drawing.figure.axes[0].images
    for picture, example, row in zip(drawn, sheet.examples, drawing.data.itertuples(), strict=True):
        left, right, bottom, top = picture.get_extent()
        assert (round(left / 0.614), round(top / 0.614)) == (row.column, row.row)
        assert right > left and bottom > top
        shown = np.asarray(picture.get_array())
        assert (shown == sheet.picture(example)[..., 0]).all()


def test_pictures_of_a_hundred_classes_keep_their_names_apart(
    with_gpu: Path, tmp_path: Path, styled: None
) -> None:
    classes = [f"aquarium_fish_{k} of a long name" for k in range(100)]
    sheet = made_sheet(classes[:40], each=1, channels=3).model_copy(
        update={"classes": tuple(classes)}
    )
    many = named(material_of(with_gpu), tmp_path, sheet)
    drawing = samples_drawing(many, many.condition.datasets[0])
    assert overlaps(drawing) == []
    assert drawing.data["class"].tolist() == classes[:40]
    assert drawing.data["row"].tolist() == [k // 10 for k in range(40)]
    assert "40 of its 100 classes" in drawing.caption


def named(material: Material, root: Path, sheet: ContactSheet) -> Material:
    """The material of an index below `root` that names this contact sheet."""
    file = FileBeside.model_validate(write_sheet(root, "sheet.json", sheet))
    dataset = material.condition.datasets[0].model_copy(update={"contact_sheet": file})
    index = material.condition.model_copy(update={"datasets": (dataset,)}).below(root)
    return replace(material, condition=index)


def test_no_contact_sheet_is_said_and_another_one_is_refused(
    with_gpu: Path, tmp_path: Path, styled: None, capsys: pytest.CaptureFixture[str]
) -> None:
    material = material_of(with_gpu)
    drawing = samples_drawing(material, material.condition.datasets[0])
    assert "no pictures, no contact sheet was recorded" in drawing.caption and drawing.data.empty
    assert logged(capsys.readouterr().err) == [
        "warning: figure samples_digits is without pictures: no contact sheet was recorded"
    ]
    given = named(material, tmp_path, made_sheet("01"))
    write_sheet(tmp_path, "sheet.json", made_sheet("012"))
    with pytest.raises(EvengroundError, match=r"the file is not the one recorded .*: run the"):
        samples_drawing(given, given.condition.datasets[0])
    (tmp_path / "sheet.json").unlink()
    with pytest.raises(EvengroundError, match=r"the file is missing .*: run the pipeline again"):
        samples_drawing(given, given.condition.datasets[0])


def test_script_draws_and_ends_with_one_line_for_bad_input(
    without_gpu: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import runpy

    script = Path(__file__).parents[2] / "scripts" / "figures.py"
    arguments = ["--index", str(without_gpu / "index.json"), "--normalised", str(tmp_path), "--tables",
                 str(without_gpu / "tables"), "--output-dir", str(tmp_path / "out")]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["figures.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 1
    assert "error: the file is missing (" in capsys.readouterr().err
