"""Raw files (or a generator) to the four arrays that every engine of every language reads."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evenground.datasets.formats import Arrays, Bytes, check_labels, damaged, read_cifar, read_idx
from evenground.datasets.generate import digits, shapes
from evenground.datasets.registry import DatasetEntry
from evenground.datasets.storage import (
    make_folder,
    mismatch,
    put_in_place,
    require_space,
    store_json,
)
from evenground.errors import EvengroundError
from evenground.files import writing

RECORD = "dataset.json"
# Of the classes without pictures so many are named.
MAX_NAMED = 10


def read_arrays(entry: DatasetEntry, raw: Path) -> Arrays:
    """Images uint8 (N,H,W,C) and labels uint8 (N,) of `entry`, in the published order.

    Raises EvengroundError if a raw file is missing, not the registered one, or not what its format says.
    """
    for file in entry.files:
        path = raw / file.name
        if not path.is_file():
            raise EvengroundError(
                f"dataset '{entry.name}' has no {file.name}", str(raw), "fetch the dataset first"
            )
        problem = mismatch(path, file)
        if problem is not None:
            raise damaged(problem, path)
    if entry.digits is not None:
        return digits(entry, entry.digits)
    if entry.shapes is not None:
        return shapes(entry, entry.shapes)
    return _idx(entry, raw) if entry.format == "idx" else _cifar(entry, raw)


def _idx(entry: DatasetEntry, raw: Path) -> Arrays:
    path = {file.role: raw / file.name for file in entry.files}
    picture = (entry.width, entry.height) if entry.transposed else (entry.height, entry.width)
    halves: list[Bytes] = []
    for images, labels, count in (
        (path["train_images"], path["train_labels"], entry.train_examples),
        (path["test_images"], path["test_labels"], entry.test_examples),
    ):
        pictures = read_idx(images, (count, *picture))
        halves.append((pictures.transpose(0, 2, 1) if entry.transposed else pictures)[..., None])
        halves.append(read_idx(labels, (count,)))
        check_labels(halves[-1], len(entry.classes), labels)
    return Arrays(*halves)


def _cifar(entry: DatasetEntry, raw: Path) -> Arrays:
    (file,) = entry.files
    return read_cifar(
        raw / file.name,
        (file.train_members, file.test_members),
        (entry.train_examples, entry.test_examples),
        len(entry.classes),
        coarse=entry.format == "cifar100-binary",
    )


def prepare_dataset(entry: DatasetEntry, raw: Path, folder: Path) -> dict[str, Any]:
    """Write the arrays of `entry` into `folder` as .npy files, then `dataset.json`; returns what that holds.

    Everything is written beside `folder` first; a folder without `dataset.json` is not complete. Raises
    EvengroundError (raw files, disk); what `folder` held before is untouched unless all arrays are written.
    """
    arrays = read_arrays(entry, raw)
    folder = folder.resolve()
    make_folder(folder)
    require_space(folder, sum(array.nbytes for array in arrays) + 4096)
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    make_folder(beside)
    try:
        checksums = {
            f"{name}.npy": _save(beside / f"{name}.npy", array)
            for name, array in arrays._asdict().items()
        }
        record = {**_record(entry, checksums), "empty_classes": _empty_classes(entry, arrays)}
        with writing(folder / RECORD):
            (folder / RECORD).unlink(missing_ok=True)
        for name in checksums:
            put_in_place(beside / name, folder / name)
        store_json(folder / RECORD, record)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return record


def _save(path: Path, array: Bytes) -> str:
    """Write one .npy file (format version 1.0, C order); returns its SHA-256."""
    header = io.BytesIO()
    contiguous = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(
        header, np.lib.format.header_data_from_array_1_0(contiguous)
    )
    digest = hashlib.sha256()
    with writing(path), path.open("wb") as stream:
        for piece in (header.getvalue(), contiguous.data.cast("B")):
            stream.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def _record(entry: DatasetEntry, checksums: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": 2,
        "name": entry.name,
        "title": entry.title,
        "classes": list(entry.classes),
        "height": entry.height,
        "width": entry.width,
        "channels": entry.channels,
        "train_examples": entry.train_examples,
        "test_examples": entry.test_examples,
        "licence": entry.licence,
        "arrays": checksums,
    }


def _empty_classes(entry: DatasetEntry, arrays: Arrays) -> dict[str, list[str]]:
    """Split -> the classes of which it has no picture."""
    splits = {"training": arrays.train_labels, "test": arrays.test_labels}
    there = {split: set(labels.tolist()) for split, labels in splits.items()}
    return {
        split: [name for label, name in enumerate(entry.classes) if label not in labels]
        for split, labels in there.items()
    }


def empty_class_lines(record: Mapping[str, Any]) -> list[str]:
    """A line for each split of a prepared dataset that lacks pictures of some class; `record` is its RECORD.

    Such data can be trained on, but labels that start at 1, or a list of other classes, look just so.
    """
    lines = []
    for split, names in record.get("empty_classes", {}).items():
        if names:
            more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
            named = ", ".join(f"'{name}'" for name in names[:MAX_NAMED])
            of_all = f"{len(names)} of {len(record['classes'])} classes"
            lines.append(
                f"dataset '{record['name']}' has no {split} picture of {of_all}: {named}{more}"
            )
    return lines
