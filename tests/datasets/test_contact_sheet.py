"""The contact sheet of a prepared dataset: the first examples of each class, as the arrays have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.small_data import Scripts, pictures
from evenground.datasets.contact_sheet import chosen, contact_sheet
from evenground.files import sha256_file
from evenground.records.contact_sheet import ContactSheet
from made_records import made_prepared


def test_the_first_four_of_each_class_or_one_of_many() -> None:
    assert chosen(np.array([2, 0, 0, 1, 0, 0, 0], np.uint8), 3) == [1, 2, 4, 5, 3, 0]
    assert chosen(np.arange(100, dtype=np.uint8)[::-1], 100) == list(range(99, 59, -1))
    assert chosen(np.array([9, 9, 3], np.uint8), 11) == [2, 0]


def prepare(folder: Path, images: np.ndarray, labels: list[int], classes: int) -> None:
    """A prepared dataset, as far as its contact sheet is made of it."""
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", np.array(labels, np.uint8))
    arrays = {path.name: sha256_file(path) for path in folder.glob("*.npy")}
    names = tuple(f"class {number}" for number in range(classes))
    made_prepared(classes=names, arrays=arrays).write(folder / "dataset.json")


def test_its_pictures_are_those_of_the_arrays(scripts: Scripts) -> None:
    images = pictures(7, 5, 4, 1)
    prepare(scripts.folder, images, list(range(7)), 10)
    for name in ("a.json", "b.json"):
        options = ["--prepared", scripts.folder, "--output", scripts.folder / name]
        assert scripts.call("contact_sheet", *options).code == 0
    assert sha256_file(scripts.folder / "a.json") == sha256_file(scripts.folder / "b.json")
    sheet = ContactSheet.read(scripts.folder / "a.json")
    assert (sheet.train_examples, sheet.height, sheet.width) == (7, 5, 4)
    assert [(example.number, example.label) for example in sheet.examples] == [
        (number, number) for number in range(7)
    ]
    assert np.array_equal(np.stack([sheet.picture(e) for e in sheet.examples]), images)


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3)])
def test_large_pictures_are_thinned_out(tmp_path: Path, channels: int, shown: int) -> None:
    images = pictures(2, 300, 129, channels)
    prepare(tmp_path, images, [1, 0], 2)
    sheet = contact_sheet(tmp_path)
    assert (sheet.height, sheet.width, sheet.shape) == (300, 129, (100, 43, shown))
    first, second = (sheet.picture(example) for example in sheet.examples)
    assert np.array_equal(first, images[1, ::3, ::3, :shown])
    assert np.array_equal(second, images[0, ::3, ::3, :shown])


def test_arrays_that_were_changed_or_are_missing_are_refused(scripts: Scripts) -> None:
    folder = scripts.folder / "prepared"
    options = ["--prepared", folder, "--output", scripts.folder / "a.json"]
    assert "the file is missing" in scripts.call("contact_sheet", *options).error()
    folder.mkdir()
    prepare(folder, pictures(2, 10, 10, 1), [1, 0], 2)
    with (folder / "train_images.npy").open("ab") as file:
        file.write(b"more")
    said = scripts.call("contact_sheet", *options).error()
    assert "a prepared array is changed: train_images.npy" in said
    assert not (scripts.folder / "a.json").exists()
