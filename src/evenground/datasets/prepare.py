"""From raw files, or a generator, to the four arrays that every engine of every language reads."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evenground.datasets.formats import Arrays, Bytes, check_labels, damaged, read_cifar, read_idx
from evenground.datasets.generate import digits, shapes
from evenground.datasets.registry import DatasetEntry
from evenground.datasets.storage import make_folder, mismatch, require_space
from evenground.errors import EvengroundError
from evenground.files import move, sha256_bytes, write_json, writing

RECORD = "dataset.json"
# Keys of the entry that are copied into the record.
RECORDED = {
    "name",
    "title",
    "classes",
    "height",
    "width",
    "channels",
    "train_examples",
    "test_examples",
    "licence",
}
# Headers of the arrays and the record.
OVERHEAD_BYTES = 4096
# A message names no more of the classes without pictures.
MAX_NAMED = 10


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
    if entry.digits is not None:
        return digits(entry, entry.digits)
    if entry.shapes is not None:
        return shapes(entry, entry.shapes)
    if entry.format == "idx":
        return _read_idx_files(entry, raw)
    return _read_cifar_file(entry, raw)


def _read_idx_files(entry: DatasetEntry, raw: Path) -> Arrays:
    paths = {file.role: raw / file.name for file in entry.files}
    train_labels = read_idx(paths["train_labels"], (entry.train_examples,))
    test_labels = read_idx(paths["test_labels"], (entry.test_examples,))
    check_labels(train_labels, len(entry.classes), paths["train_labels"])
    check_labels(test_labels, len(entry.classes), paths["test_labels"])
    return Arrays(
        train_images=_read_idx_images(entry, paths["train_images"], entry.train_examples),
        train_labels=train_labels,
        test_images=_read_idx_images(entry, paths["test_images"], entry.test_examples),
        test_labels=test_labels,
    )


def _read_idx_images(entry: DatasetEntry, path: Path, count: int) -> Bytes:
    """Images (N,H,W,1); an IDX file has no axis for channels."""
    if entry.transposed:
        images = read_idx(path, (count, entry.width, entry.height)).transpose(0, 2, 1)
    else:
        images = read_idx(path, (count, entry.height, entry.width))
    return images[..., None]


def _read_cifar_file(entry: DatasetEntry, raw: Path) -> Arrays:
    (file,) = entry.files
    path, classes, coarse = raw / file.name, len(entry.classes), entry.format == "cifar100-binary"
    train = read_cifar(path, file.train_members, entry.train_examples, classes, coarse)
    test = read_cifar(path, file.test_members, entry.test_examples, classes, coarse)
    return Arrays(
        train_images=train[0], train_labels=train[1], test_images=test[0], test_labels=test[1]
    )


def prepare_dataset(entry: DatasetEntry, raw: Path, folder: Path) -> dict[str, Any]:
    """Write the arrays of `entry` into `folder` as .npy files, then `dataset.json`.

    Returns the content of the latter. Everything is written to a temporary folder first; a folder
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
            checksums[f"{name}.npy"] = _save(temporary / f"{name}.npy", array)
        record = _record(entry, arrays, checksums)
        # Without its record the folder counts as incomplete while the arrays are replaced.
        with writing(folder / RECORD):
            (folder / RECORD).unlink(missing_ok=True)
        for name in checksums:
            move(temporary / name, folder / name)
        write_json(folder / RECORD, record)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return record


def _save(path: Path, array: Bytes) -> str:
    """Write one .npy file (format version 1.0, C order); returns its SHA-256."""
    # NumPy's own writing to a file does not tell a full disk from other errors.
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    content = buffer.getvalue()
    with writing(path):
        path.write_bytes(content)
    return sha256_bytes(content)


def _record(entry: DatasetEntry, arrays: Arrays, checksums: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": 2,
        **entry.model_dump(mode="json", include=RECORDED),
        "arrays": checksums,
        "empty_classes": {
            "training": _empty_classes(entry, arrays.train_labels),
            "test": _empty_classes(entry, arrays.test_labels),
        },
    }


def _empty_classes(entry: DatasetEntry, labels: Bytes) -> list[str]:
    """The classes without any picture among labels (N,)."""
    used = set(labels.tolist())
    return [name for label, name in enumerate(entry.classes) if label not in used]


def empty_class_lines(record: Mapping[str, Any]) -> list[str]:
    """A line for each split of a prepared dataset with empty classes; `record` is its RECORD.

    Such data can be trained on, but labels that start at 1, or wrong classes, have the same effect.
    """
    lines = []
    for split, names in record.get("empty_classes", {}).items():
        if not names:
            continue
        listed = ", ".join(f"'{name}'" for name in names[:MAX_NAMED])
        if len(names) > MAX_NAMED:
            listed += f" and {len(names) - MAX_NAMED} more"
        share = f"{len(names)} of {len(record['classes'])} classes"
        lines.append(f"dataset '{record['name']}' has no {split} picture of {share}: {listed}")
    return lines
