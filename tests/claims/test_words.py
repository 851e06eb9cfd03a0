"""Numbers of verdicts as one reads them: no more digits than an interval has."""

from __future__ import annotations

import math

import pytest

from evenground.claims.inference import percent
from evenground.claims.words import ends, with_interval


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.17927, 0.15614, 0.20583), "0.179 (0.156 to 0.206)"),
        ((80.12, 76.03, 84.21), "80.1 (76.0 to 84.2)"),
        ((1234.5, 1100.0, 1400.0), "1234 (1100 to 1400)"),
        ((1.0, 0.9999985, 1.0000015), "1.0000 (1.0000 to 1.0000)"),
        ((83.54, math.nan, math.nan), "83.54"),
        ((0.5, 0.5, 0.5), "0.5"),
        ((math.nan, math.nan, math.nan), ""),
    ],
)
def test_value_and_ends_have_two_digits_of_the_half_width(
    numbers: tuple[float, float, float], words: str
) -> None:
    assert with_interval(*numbers) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.99974, 1.00026, "0.9997 to 1.0003"),
        (1.33420, 1.34993, "1.3342 to 1.3499"),
        (1.645, 1.655, "1.645 to 1.655"),
        (1320.3, 1326.8, "1320.3 to 1326.8"),
    ],
)
def test_what_rounding_leaves_open_lies_on_both_sides(low: float, high: float, words: str) -> None:
    assert ends(low, high) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.25, "25 %"), (0.05, "5 %"), (0.092, "9.2 %"), (12.0, "1,200 %")]
)
def test_shares_have_two_digits_below_ten(share: float, words: str) -> None:
    assert percent(share) == words
