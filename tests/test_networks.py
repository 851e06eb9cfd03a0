"""What the networks leave of a picture, held against the shapes of docs/specification.md."""

from __future__ import annotations

import typing

import pytest

from datasets.small_data import idx_entry, small_idx, typed
from evenground.datasets.registry import DatasetEntry
from evenground.errors import EvengroundError
from evenground.networks import NETWORKS, WINDOWS, side_left_px, smallest_side_px, too_small
from evenground.records.events import TrainStart


def test_the_sides_of_the_specification() -> None:
    assert (side_left_px("cnn", 32), side_left_px("cnn", 28), side_left_px("mlp", 28)) == (6, 5, 28)
    assert {network: smallest_side_px(network) for network in NETWORKS} == {"mlp": 1, "cnn": 10}


@pytest.mark.parametrize("network", NETWORKS)
def test_the_smallest_side_is_the_smallest_of_which_something_is_left(network: str) -> None:
    smallest_px = smallest_side_px(network)
    left = [side_left_px(network, side_px) for side_px in range(40)]
    assert not any(left[:smallest_px]) and all(left[smallest_px:])
    assert left == sorted(left), "a larger picture never leaves less"


@pytest.mark.parametrize("network", [network for network in NETWORKS if WINDOWS[network]])
@pytest.mark.parametrize("missing_px", [1, 2, 3, 4, 5])
def test_a_registry_refuses_pictures_that_its_network_cannot_take(
    network: str, missing_px: int
) -> None:
    smallest_px = smallest_side_px(network)
    raw = idx_entry(small_idx()) | {"network": network}
    for height, width in ((smallest_px - missing_px, 40), (40, smallest_px - missing_px)):
        with pytest.raises(EvengroundError) as caught:
            typed(raw | {"height": height, "width": width})
        said = str(caught.value)
        assert (
            f"'small', key '(whole entry)': pictures of {height}x{width} pixels are too small"
            in said
        )
        assert f"network '{network}', which takes {smallest_px}x{smallest_px} or more" in said
    assert typed(raw | {"height": smallest_px, "width": smallest_px})
    assert not too_small(network, smallest_px, smallest_px)


def test_registry_and_events_know_the_same_networks() -> None:
    for model in (DatasetEntry, TrainStart):
        assert typing.get_args(model.model_fields["network"].annotation) == NETWORKS
