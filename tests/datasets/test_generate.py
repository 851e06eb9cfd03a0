"""Generated datasets: the same bytes on every machine, balanced, shuffled, and of the stated form."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from datasets.small_data import REGISTRY
from evenground.datasets.formats.arrays import Arrays
from evenground.datasets.formats.digits import enlarge, stratified
from evenground.datasets.formats.draws import Draws, shuffled
from evenground.datasets.formats.shapes import SHAPES, draw_shapes
from evenground.datasets.prepare import read_arrays
from evenground.datasets.registry import DatasetEntry, ShapesParameters, load_registry
from evenground.errors import EvengroundError

GOLDEN = {
    "digits": {
        "train_images": "1435201a682e636c1708dd3fd50dac9e1751f3782a8a3dddc5df386fe9bcf3f2",
        "train_labels": "3e9c5a0568312035127b035bfde1540ff5719f862cd03a2959598b3c51680737",
        "test_images": "2a05d29223314d41019a6896b448fe94410617ec5100e0a03070b77f7b4fb37a",
        "test_labels": "c164e2389f4e3cdbe4e9dc3ac42ecdf5e9b54a75aa68dfd1dcf4a75e7713a625",
    },
    "shapes": {
        "train_images": "d80acbc6c9631b9670aa327b07a4d4eb427fd76fdb615e05f7626afaa21dffe1",
        "train_labels": "00cfa88fffbb8966ae309dda147fde575ccb4142ed8a1f47fa4dccc6a575f051",
        "test_images": "576c39c14cc09173dda39bf037b5e359ec02240782b1912d02e8ff3a18868432",
        "test_labels": "96f4114c47107bee2b00af854fad5491748216df17da6377def94eda3ac3ce39",
    },
}


@pytest.fixture(scope="module")
def registry() -> dict[str, DatasetEntry]:
    return load_registry(REGISTRY)


@pytest.fixture(scope="module", params=["digits", "shapes"])
def made(
    request: pytest.FixtureRequest, registry: dict[str, DatasetEntry]
) -> tuple[DatasetEntry, Arrays]:
    """One generated dataset with its entry."""
    entry = registry[request.param]
    return entry, read_arrays(entry, Path("no raw files"))


def test_arrays_are_bit_identical_everywhere(made: tuple[DatasetEntry, Arrays]) -> None:
    entry, arrays = made
    found = {
        name: hashlib.sha256(array.tobytes()).hexdigest()
        for name, array in arrays._asdict().items()
    }
    assert found == GOLDEN[entry.name]


def test_arrays_have_the_stated_form(made: tuple[DatasetEntry, Arrays]) -> None:
    entry, arrays = made
    picture = (entry.height, entry.width, entry.channels)
    assert arrays.train_images.shape == (entry.train_examples, *picture)
    assert arrays.test_images.shape == (entry.test_examples, *picture)
    assert arrays.train_labels.shape == (entry.train_examples,)
    assert arrays.test_labels.shape == (entry.test_examples,)
    assert all(array.dtype == np.uint8 and array.flags.c_contiguous for array in arrays)
    assert arrays.train_images.min() == 0 and arrays.train_images.max() == 255


def test_no_run_of_a_class_and_every_class_in_both_halves(
    made: tuple[DatasetEntry, Arrays],
) -> None:
    _, arrays = made
    for labels in (arrays.train_labels, arrays.test_labels):
        changes = np.mean(labels[1:] != labels[:-1])
        assert 0.85 < changes < 0.95  # 0.9 when shuffled, 0 when sorted, 1 when in turn
        assert np.ptp(np.bincount(labels, minlength=10)) <= max(1, len(labels) // 100)


def test_test_pictures_are_not_training_pictures(made: tuple[DatasetEntry, Arrays]) -> None:
    _, arrays = made
    train = {picture.tobytes() for picture in arrays.train_images}
    assert len(train) == len(arrays.train_images)
    assert not any(picture.tobytes() in train for picture in arrays.test_images)


def test_other_digits_than_the_registered_are_refused(registry: dict[str, DatasetEntry]) -> None:
    entry = registry["digits"]
    assert entry.digits is not None
    other = entry.model_copy(
        update={"digits": entry.digits.model_copy(update={"source_sha256": "0" * 64})}
    )
    with pytest.raises(EvengroundError, match="other digits"):
        read_arrays(other, Path("none"))
    with pytest.raises(EvengroundError, match="is not 1797"):
        read_arrays(entry.model_copy(update={"train_examples": 1000}), Path("none"))


def test_enlarging_keeps_constants_ends_and_order() -> None:
    flat = np.stack([np.full((8, 8), level, np.uint8) for level in range(17)])
    large = enlarge(flat)
    assert large.shape == (17, 28, 28, 1)
    assert [int(picture.max()) for picture in large] == [int(picture.min()) for picture in large]
    assert [int(picture.max()) for picture in large] == [
        round(255 * level / 16 + 1e-9) for level in range(17)
    ]


def test_enlarging_is_bilinear_between_pixel_centres() -> None:
    ramp = np.tile(np.arange(0, 16, 2, dtype=np.uint8), (1, 8, 1))
    place = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    expected = np.interp(place, np.arange(8), 255 / 16 * np.arange(0, 16, 2))
    assert np.abs(enlarge(ramp)[0, 5, :, 0] - expected).max() <= 0.5 + 1e-9
    turned = enlarge(ramp.transpose(0, 2, 1))
    assert np.array_equal(turned[0, :, 5, 0], enlarge(ramp)[0, 5, :, 0])


def test_a_split_takes_each_class_by_its_share() -> None:
    labels = np.repeat(np.arange(3, dtype=np.uint8), [10, 20, 31])
    train, test = stratified(labels, 12, Draws(5))
    assert sorted([*train, *test]) == list(range(61))
    assert np.bincount(labels[test]).tolist() == [2, 4, 6]
    again = stratified(labels, 12, Draws(5))
    assert np.array_equal(test, again[1]) and not np.array_equal(
        test, stratified(labels, 12, Draws(6))[1]
    )


def test_draws_are_the_raw_stream_of_pcg64() -> None:
    words = np.random.PCG64([7, 1]).random_raw(3)
    assert Draws(7, 1).keys(3).tolist() == words.tolist()
    assert Draws(7, 1).octets(20).tobytes() == words.astype("<u8").tobytes()[:20]
    assert Draws(7, 1).below(1000, 3).tolist() == [
        ((int(word) >> 32) * 1000) >> 32 for word in words
    ]


def test_draws_below_cover_their_range_evenly() -> None:
    counts = np.bincount(Draws(1).below(10, 10_000), minlength=10)
    assert len(counts) == 10 and counts.min() > 900 and counts.max() < 1100
    assert sorted(shuffled(100, Draws(1))) == list(range(100))


def test_every_shape_lies_inside_and_stands_out() -> None:
    parameters = ShapesParameters(seed=3, radius_min_px=5, radius_max_px=14, noise_levels=0)
    pictures, labels = draw_shapes(500, parameters, 0)
    assert set(labels) == set(range(len(SHAPES)))
    for picture in pictures:
        colours, where = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
        assert len(colours) == 2 and (colours[1].astype(int) - colours[0] >= 64).all()
        assert 20 < np.count_nonzero(where) < 1024 * 0.8


def test_the_size_of_one_half_does_not_move_the_other() -> None:
    parameters = ShapesParameters(seed=3, radius_min_px=5, radius_max_px=14, noise_levels=4)
    assert not np.array_equal(draw_shapes(50, parameters, 0)[0], draw_shapes(50, parameters, 1)[0])
    assert np.array_equal(draw_shapes(50, parameters, 1)[0], draw_shapes(50, parameters, 1)[0])
