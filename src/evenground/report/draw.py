"""All figures of an index in one go, and the list of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from evenground.files import write_json
from evenground.report.bars import training_time_drawing
from evenground.report.compare import compare_drawing
from evenground.report.instruments import instruments_drawing
from evenground.report.material import RESOURCES, Material
from evenground.report.phases import phases_drawing
from evenground.report.samples import samples_drawing
from evenground.report.sheet import Drawing, save
from evenground.report.style import fixed_style
from evenground.report.timelines import timeline_drawing

FORMS = ("svg", "png", "csv")


def drawings(material: Material) -> Iterator[Drawing]:
    """Every figure in the order of the thesis, one at a time."""
    for dataset in material.index.datasets:
        yield samples_drawing(material, dataset)
    yield training_time_drawing(material)
    for dataset, engine in material.index.groups():
        yield timeline_drawing(material, dataset, engine)
    for resource in RESOURCES:
        for dataset in material.index.datasets:
            yield compare_drawing(material, dataset, resource)
    for dataset in material.index.datasets:
        if drawing := instruments_drawing(material, dataset):
            yield drawing
    for resource in RESOURCES:
        for dataset in material.index.datasets:
            # That nothing was measured is said in the comparison over time, not once more.
            if drawing := phases_drawing(material, dataset, resource):
                yield drawing


def draw_all(material: Material, folder: Path) -> list[str]:
    """Write every figure of an index and the list of them; returns their names."""
    return write_figures(drawings(material), folder)


def write_figures(drawn: Iterable[Drawing], folder: Path) -> list[str]:
    """Write figures, made one at a time under the fixed style, and `figures.json`; returns names.

    Figures that an earlier invocation left in all forms, and this one does not draw, are removed.
    """
    before = _in_all_forms(folder)
    entries = []
    with fixed_style():
        for drawing in drawn:
            save(drawing, folder)
            entry = {
                "name": drawing.name,
                "title": drawing.title,
                "caption": drawing.caption,
                "thesis_figures": list(drawing.thesis_figures),
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
