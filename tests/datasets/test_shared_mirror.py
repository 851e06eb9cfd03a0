"""Real data from a mirror: the official MNIST, and the 12,000 photographs in CIFAR-10's layout."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from datasets.small_data import REGISTRY, ROOT
from evenground.datasets.fetch import fetch_dataset
from evenground.datasets.formats.arrays import Arrays
from evenground.datasets.prepare import read_arrays
from evenground.datasets.registry import DatasetEntry, load_registry, read_mapping

EXAMPLE = ROOT / "docs" / "examples" / "cifar10-jpeg12k.yaml"
MIRROR = Path(os.environ.get("EVENGROUND_TEST_MIRROR") or ROOT.parent / "shared" / "datasets")


def test_the_example_adds_its_dataset_and_names_it() -> None:
    configuration = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    assert configuration["datasets"] == ["mnist", "cifar10-jpeg12k"]
    entry = load_registry(REGISTRY, read_mapping(EXAMPLE)["registry"])["cifar10-jpeg12k"]
    assert (entry.network, entry.train_examples, entry.test_examples) == ("cnn", 10_000, 2_000)


def from_mirror(name: str, folder: Path) -> tuple[DatasetEntry, Arrays]:
    """Fetch a dataset from the mirror and read its arrays; skips without it."""
    entry = load_registry(REGISTRY, read_mapping(EXAMPLE)["registry"])[name]
    if not all((MIRROR / name / file.name).is_file() for file in entry.files):
        pytest.skip(f"no mirror with {name}: set EVENGROUND_TEST_MIRROR to one")
    fetched = fetch_dataset(entry, folder, [str(MIRROR)])
    assert {file.source for file in fetched.files.values()} == {"mirror"}
    return entry, read_arrays(entry, folder)


def test_the_real_mnist(tmp_path: Path) -> None:
    _, arrays = from_mirror("mnist", tmp_path)
    assert arrays.train_images.shape == (60_000, 28, 28, 1) and arrays.test_images.shape == (
        10_000,
        28,
        28,
        1,
    )
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(arrays.train_labels).tolist() == train
    assert np.bincount(arrays.test_labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert arrays.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert (
        round(float(arrays.train_images.mean()) / 255, 4) == 0.1307
    )  # the mean that everybody normalises by


def test_the_real_photographs(tmp_path: Path) -> None:
    entry, arrays = from_mirror("cifar10-jpeg12k", tmp_path)
    assert arrays.train_images.shape == (10_000, 32, 32, 3) and arrays.test_images.shape == (
        2_000,
        32,
        32,
        3,
    )
    assert np.bincount(arrays.train_labels).tolist() == [1000] * 10
    assert np.bincount(arrays.test_labels).tolist() == [200] * 10
    neighbours = np.abs(np.diff(arrays.train_images.astype(np.int16), axis=2)).mean()
    assert neighbours < 15  # photographs are smooth along a row; wrongly ordered axes are not
    ships_and_planes = np.isin(
        arrays.train_labels, [entry.classes.index("ship"), entry.classes.index("airplane")]
    )
    blue = (
        arrays.train_images[ships_and_planes][..., 2].mean()
        - arrays.train_images[ships_and_planes][..., 0].mean()
    )
    assert blue > 5  # sky and sea
