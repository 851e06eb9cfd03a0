"""From raw files, or a generator, to the four arrays that every engine of every language reads."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

from evenground.datasets.formats.arrays import Arrays, Bytes, damaged, save
from evenground.datasets.registry import MODULES, DatasetEntry
from evenground.datasets.storage import make_folder, mismatch
from evenground.errors import EvengroundError
from evenground.files import move, require_space, writing
from evenground.records.dataset import PREPARED, EmptyClasses, Prepared

# Headers of the arrays and the record.
OVERHEAD_BYTES = 4096


def read_arrays(entry: DatasetEntry, raw: Path) -> Arrays:
    """Images uint8 (N,H,W,C) and labels uint8 (N,) of `entry`, in the published order.

    Raises EvengroundError if a raw file is missing, not the registered one, or not of its format.
    """
    for file in entry.files:
        path = raw / file.name
        if not path.is_file():
            what = f"dataset '{entry.name}' has no {file.name}"
            raise EvengroundError(what, str(raw), "fetch the dataset first")
        problem = mismatch(path, file)
        if problem:
            raise damaged(problem, path)
    format_module = import_module(f"evenground.datasets.formats.{MODULES[entry.format][0]}")
    arrays: Arrays = format_module.read(entry, raw)
    return arrays


def prepare_dataset(entry: DatasetEntry, raw: Path, folder: Path) -> Prepared:
    """Write the arrays of `entry` into `folder` as .npy files, then `dataset.json`.

    Returns the latter. Everything is written to a temporary folder first; a folder
    without `dataset.json` is not complete. Raises EvengroundError (raw files, disk); earlier
    content of `folder` is untouched unless all arrays could be written.
    """
    arrays = read_arrays(entry, raw)
    folder = folder.resolve()
    make_folder(folder)
    require_space(folder, sum(array.nbytes for array in arrays) + OVERHEAD_BYTES)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    make_folder(temporary)
    try:
        checksums = {}
        for name, array in arrays._asdict().items():
            checksums[f"{name}.npy"] = save(temporary / f"{name}.npy", array)
        record = _record(entry, arrays, checksums)
        # Without its record the folder counts as incomplete while the arrays are replaced.
        with writing(folder / PREPARED):
            (folder / PREPARED).unlink(missing_ok=True)
        for name in checksums:
            move(temporary / name, folder / name)
        record.write(folder / PREPARED)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return record


def _record(entry: DatasetEntry, arrays: Arrays, checksums: dict[str, str]) -> Prepared:
    empty = EmptyClasses(
        training=_empty_classes(entry, arrays.train_labels),
        test=_empty_classes(entry, arrays.test_labels),
    )
    said = entry.model_dump(include=set(Prepared.model_fields))
    return Prepared.model_validate(said | {"arrays": checksums, "empty_classes": empty})


def _empty_classes(entry: DatasetEntry, labels: Bytes) -> tuple[str, ...]:
    """The classes without any picture among labels (N,)."""
    used = set(labels.tolist())
    return tuple(name for label, name in enumerate(entry.classes) if label not in used)
