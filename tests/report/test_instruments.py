"""The figure that shows the same runs under both instruments."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.synthetic import MadeResults, write_results
from evenground.report.instruments import instruments_drawing
from report.made import analysed, material_of


def test_both_instruments_are_drawn_in_percent_of_the_machine(tmp_path: Path) -> None:
    """Keras keeps one core and a half of four busy, while the mean since boot stands at an eighth."""
    facts = {"cores": 4, "memory_bytes": 9 * 2**30}
    material = material_of(analysed(write_results(tmp_path, MadeResults(environment=facts))))
    drawing = instruments_drawing(material, material.condition.datasets[0])
    assert drawing is not None and set(drawing.data["engine"]) == {"keras", "jax"}
    keras = drawing.data[
        (drawing.data["engine"] == "keras") & drawing.data["t_s"].between(0.5, 2.5)
    ]
    shown = keras.groupby(["resource", "instrument"])["pct"].median()
    assert shown["cpu", "corrected"] == pytest.approx(150 / 4, rel=0.01)
    assert shown["cpu", "as-published"] == pytest.approx(12.5, rel=0.01)
    assert shown["memory", "corrected"] == pytest.approx(100 * 450 / (9 * 1024), rel=0.01)


def shown_of(index: Path) -> set[tuple[str, str]]:
    """Resource and instrument of every line that is drawn of an index."""
    material = material_of(analysed(index))
    drawing = instruments_drawing(material, material.condition.datasets[0])
    assert drawing is not None
    return set(zip(drawing.data["resource"], drawing.data["instrument"], strict=True))


def test_a_machine_of_unknown_size_shows_what_is_a_share_already(tmp_path: Path) -> None:
    known = write_results(tmp_path / "known", MadeResults(repetitions=1))
    assert shown_of(known) == {("cpu", "corrected"), ("cpu", "as-published")}
    unknown = write_results(
        tmp_path / "not", MadeResults(repetitions=1, environment={"cores": None})
    )
    assert shown_of(unknown) == {("cpu", "as-published")}


def test_nothing_finished_has_no_picture_of_instruments(tmp_path: Path) -> None:
    lost: dict[tuple[str, str, int], tuple[str, str | None]] = {
        ("digits", engine, 1): ("missing", None) for engine in ("keras", "jax")
    }
    made = MadeResults(datasets=(("digits", "Digits", "mlp"),), repetitions=1, lost=lost)
    material = material_of(analysed(write_results(tmp_path, made)))
    assert instruments_drawing(material, material.condition.datasets[0]) is None
