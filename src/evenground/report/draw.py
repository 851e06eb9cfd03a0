"""All figures of an experiment in one go, and the list of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evenground.analysis.experiment import Experiment, Placed, name_of, words_of
from evenground.files import write_json
from evenground.report.bars import training_time_drawing
from evenground.report.compare import compare_drawing
from evenground.report.curves import curves
from evenground.report.instruments import instruments_drawing
from evenground.report.material import RESOURCES, Material, ReportData
from evenground.report.phases import phases_drawing
from evenground.report.samples import samples_drawing
from evenground.report.sheet import Drawing, save
from evenground.report.side_by_side import side_by_side_drawing
from evenground.report.style import fixed_style
from evenground.report.timelines import timeline_drawing

FORMS = ("svg", "png", "csv")
# Of more conditions only what is drawn over all of them: a page holds some dozens of figures.
MAX_DETAILED = 4


def drawings(data: ReportData) -> Iterator[Drawing]:
    """Every figure, one at a time: over all conditions, then of each in the order of the thesis."""
    first = data.materials[0]
    for dataset in first.condition.datasets:
        yield samples_drawing(first, dataset)
    if len(data.materials) == 1:
        yield from _details(first)
        return
    yield from curves(data)
    if data.experiment.peers:
        yield side_by_side_drawing(data.experiment, data.ratios)
    if len(data.materials) <= MAX_DETAILED:
        for material, placed in zip(data.materials, data.experiment.conditions, strict=True):
            yield from _of_several(material, placed, data.experiment)


def _of_several(material: Material, placed: Placed, experiment: Experiment) -> Iterator[Drawing]:
    """The figures of one condition of several, whose names and titles say which it is."""
    words = ", ".join(words_of(placed, experiment))
    datasets = []
    for dataset in material.condition.datasets:
        datasets.append(dataset.model_copy(update={"title": f"{dataset.title} ({words})"}))
    condition = material.condition.model_copy(update={"datasets": tuple(datasets)})
    name = name_of(placed, experiment)
    for drawing in _details(replace(material, condition=condition)):
        title = drawing.title
        # One figure of all datasets has their titles over its panels.
        if words not in title:
            title += f" ({words})"
        place = drawing.place
        if place == "answer":
            # What is drawn over all conditions stands there.
            place = "more"
        yield replace(drawing, name=f"{drawing.name}_{name}", title=title, place=place)


def _details(material: Material) -> Iterator[Drawing]:
    """The figures of one condition."""
    yield training_time_drawing(material)
    for dataset, engine in material.condition.groups():
        yield timeline_drawing(material, dataset, engine)
    for resource in RESOURCES:
        for dataset in material.condition.datasets:
            yield compare_drawing(material, dataset, resource)
    for dataset in material.condition.datasets:
        if drawing := instruments_drawing(material, dataset):
            yield drawing
    for resource in RESOURCES:
        for dataset in material.condition.datasets:
            # That nothing was measured is said in the comparison over time, not once more.
            if drawing := phases_drawing(material, dataset, resource):
                yield drawing


def draw_all(data: ReportData, folder: Path) -> list[str]:
    """Write every figure of an experiment, one at a time, and `figures.json`; returns their names.

    Figures that an earlier invocation left in all forms, and this one does not draw, are removed.
    """
    before = _in_all_forms(folder)
    entries = []
    with fixed_style():
        for drawing in drawings(data):
            save(drawing, folder)
            entry = {
                "name": drawing.name,
                "title": drawing.title,
                "caption": drawing.caption,
                "place": drawing.place,
            }
            entries.append(entry)
    names = [str(entry["name"]) for entry in entries]
    for name in before - set(names):
        for form in FORMS:
            (folder / f"{name}.{form}").unlink()
    write_json(folder / "figures.json", entries)
    return names


def _in_all_forms(folder: Path) -> set[str]:
    """Names with pictures and data: only figures of ours have all of them."""
    # figures.json does not help: Snakemake removes it, an output, before a figure is drawn.
    stems = [{path.stem for path in folder.glob(f"*.{form}")} for form in FORMS]
    return set.intersection(*stems)
