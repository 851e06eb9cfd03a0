"""One, two, five and twelve engines with long and foreign labels: each text is whole and by itself."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.text import Text

from analysis.synthetic import Made, MadeResults, made_run, made_sheet, write_results
from evenground.report.draw import drawings
from evenground.report.sheet import Drawing
from evenground.report.style import engine_styles, fixed_style
from evenground.report.ticks import log_ticks
from report.made import analysed, data_of
from report.touching import overlaps

# Markup, formulas, formats, foreign letters, and more letters than a legend has room for.
LABELS = [
    "An engine whose label has forty letters.",
    '<i>slanted</i> & "quoted"',
    r"$\sqrt{x}$ 100% _low_",
    "计算引擎",
    "Framework, Ltd.",
    "bar | slash\\",
    "`code` [link](http://a.example)",
    "Ünïcödé Ελληνικά",
    "a label without any end " * 5,
    "$half a formula",
    "{format} {{ template }}",
    "anotherlabeloffortyletterswithoutanyspace",
]
ARMS_FROM = 5
TITLE = "A dataset whose title has as many as 40 l."


def made(n: int, repetitions: int) -> MadeResults:
    """`n` engines, the last of which takes ten thousand times as long as the first."""
    names = tuple(f"engine{k}" for k in range(n))

    def make(dataset: str, engine: str, repetition: int, gpu: bool) -> Made:
        run = made_run(dataset, engine, repetition, gpu)
        place = names.index(engine)
        factor = 0.3 * 10 ** (4 * place / 11)
        steady_s = run.steady_s * factor
        memory = int(run.rss_bytes * (1 + place))
        spacing_s = max(0.1, steady_s / 60)
        return replace(run, steady_s=steady_s, rss_bytes=memory, spacing_s=spacing_s, gpu=gpu)

    return MadeResults(
        datasets=(("digits", TITLE, "mlp"), ("shapes", "Shapes", "cnn")),
        engines=names,
        repetitions=repetitions,
        make=make,
        grid_s=5.0,
        lost={("digits", names[-1], 1): ("failed", "out-of-memory")},
        sheet=made_sheet("0123456789"),
    )


def with_labels(where: Path, arms: bool) -> Path:
    """The results of an index whose engines have the labels, every third one is an arm."""
    index = json.loads(where.read_text())
    for engine in index["conditions"][0]["engines"]:
        place = int(engine["name"].removeprefix("engine"))
        engine["label"] = LABELS[place]
        if arms and place % 3 == 2:
            engine["arm_of"] = "engine0"
    where.write_text(json.dumps(index))
    return analysed(where)


@pytest.fixture(scope="module", params=[(1, 1), (2, 4), (5, 2), (12, 1)], ids=str)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    n, repetitions = request.param
    root = tmp_path_factory.mktemp(f"of-{n}")
    return with_labels(write_results(root, made(n, repetitions)), arms=n >= ARMS_FROM)


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Iterator[list[Drawing]]:
    # A letter that the font lacks would be a warning, and an empty box.
    with fixed_style(), warnings.catch_warnings():
        warnings.simplefilter("error")
        yield list(drawings(data_of(folder)))


def texts(drawing: Drawing) -> str:
    found = drawing.figure.findobj(Text)
    return " ".join(text.get_text() for text in found if isinstance(text, Text))


def test_no_text_touches_another_or_leaves_the_picture(drawn: list[Drawing]) -> None:
    assert {drawing.name: overlaps(drawing) for drawing in drawn} == {
        drawing.name: [] for drawing in drawn
    }


def test_every_label_is_drawn_whole(folder: Path, drawn: list[Drawing]) -> None:
    (times,) = [drawing for drawing in drawn if drawing.name == "training_time"]
    words = texts(times).replace("\n", "").replace(" ", "")
    for engine in json.loads((folder / "index.json").read_text())["conditions"][0]["engines"]:
        label = engine["label"]
        if label == "计算引擎":
            label = engine["name"]
        assert label.replace(" ", "") in words


def test_a_name_in_place_of_a_label_is_said(drawn: list[Drawing]) -> None:
    (times,) = [drawing for drawing in drawn if drawing.name == "training_time"]
    said = "Named so as the font has not all letters of their labels: engine3."
    assert (said in times.caption) == (times.data["engine"].nunique() > 3)


def test_of_twelve_engines_of_one_colour_no_two_look_alike(folder: Path) -> None:
    engines = data_of(folder).materials[0].condition.engines
    alike = [engine.model_copy(update={"colour": "#000000"}) for engine in engines]
    styles = engine_styles(alike).values()
    assert len({style.marker for style in styles}) == len(engines)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.5, 2.0, ["0.5", "1", "2"]),
        (0.9, 30.0, ["1", "2", "5", "10", "20"]),
        (1e-4, 1e4, ["0.001", "1", "1000"]),
        (2.1, 2.6, ["2.3"]),
    ],
)
def test_ticks_have_room(low: float, high: float, ticks: list[str]) -> None:
    assert list(log_ticks(low, high, 1.05).values()) == ticks
