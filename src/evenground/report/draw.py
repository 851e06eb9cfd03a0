"""All figures of an index in one go, and the list of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from evenground.files import read_json, write_json
from evenground.report.bars import training_time_drawing
from evenground.report.compare import compare_drawing
from evenground.report.instruments import instruments_drawing
from evenground.report.material import RESOURCES, Material
from evenground.report.phases import phases_drawing
from evenground.report.samples import samples_drawing
from evenground.report.sheet import Drawing, save
from evenground.report.style import fixed_style
from evenground.report.timelines import timeline_drawing

LIST = "figures.json"
FORMS = ("svg", "png", "csv")


def drawings(material: Material) -> Iterator[Drawing]:
    """Every figure in the order of the thesis, one at a time; datasets and engines come from the index."""
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
            # What was not measured is said in the comparison over time, and not once more.
            if drawing := phases_drawing(material, dataset, resource):
                yield drawing


def draw_all(material: Material, folder: Path) -> list[str]:
    """Write every figure of an index as by `write_figures`."""
    return write_figures(drawings(material), folder)


def write_figures(drawn: Iterable[Drawing], folder: Path) -> list[str]:
    """Write figures, made one at a time under the fixed style, and `figures.json`; their names.

    Figures that an earlier call listed or left there in all forms, and this one does not draw, are removed.
    """
    # Snakemake has removed the list, which is an output, before a figure is drawn.
    before = _listed(folder) | _in_all_forms(folder)
    entries = []
    with fixed_style():
        for drawing in drawn:
            save(drawing, folder)
            entries.append(
                {
                    "name": drawing.name,
                    "title": drawing.title,
                    "caption": drawing.caption,
                    "thesis_figures": list(drawing.thesis_figures),
                }
            )
    names = [str(entry["name"]) for entry in entries]
    for name in sorted(before - set(names)):
        for form in FORMS:
            (folder / f"{name}.{form}").unlink(missing_ok=True)
    write_json(folder / LIST, entries)
    return names


def _in_all_forms(folder: Path) -> set[str]:
    """Names of which there are picture and data: as no file of anybody else."""
    stems = [{path.stem for path in folder.glob(f"*.{form}")} for form in FORMS]
    return set.intersection(*stems)


def _listed(folder: Path) -> set[str]:
    """Names of the figures an earlier call wrote; a name that is no plain file name is left alone."""
    if not (folder / LIST).is_file():
        return set()
    names = {str(entry["name"]) for entry in read_json(folder / LIST)}
    return {name for name in names if Path(name).name == name}
