"""Labels of the phase strip: apart, in order, inside, and where they belong when there is room."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from evenground.report.strip import LABEL_GAP, spread
from evenground.report.style import fitted_pt, width_in, wrapped

LIMIT = 5.0
labels = st.lists(st.tuples(st.floats(0, LIMIT), st.floats(0.1, 0.5)), min_size=1, max_size=8)


@given(labels)
def test_labels_are_apart_and_inside(pairs: list[tuple[float, float]]) -> None:
    centres, widths = sorted(c for c, _ in pairs), [w for _, w in pairs]
    assume(sum(widths) + LABEL_GAP * (len(widths) - 1) <= LIMIT)
    places = spread(centres, widths, LIMIT)
    edges = [(p - w / 2, p + w / 2) for p, w in zip(places, widths, strict=True)]
    assert edges[0][0] >= -1e-9 and edges[-1][1] <= LIMIT + 1e-9
    assert all(b[0] - a[1] >= LABEL_GAP - 1e-9 for a, b in pairwise(edges))


def test_labels_with_room_stand_over_their_phase() -> None:
    assert spread([1.0, 2.0, 3.5], [0.4, 0.4, 0.4], LIMIT) == [1.0, 2.0, 3.5]


def test_crowded_labels_move_apart_about_their_middle() -> None:
    left, right = spread([2.5, 2.5], [0.5, 0.5], LIMIT)
    assert abs(right - left - 0.5 - LABEL_GAP) < 1e-9
    assert abs((left + right) / 2 - 2.5) < 1e-9


@given(
    st.text(st.characters(categories=["L", "Zs"], max_codepoint=0x17F), max_size=120),
    st.floats(0.6, 3),
)
def test_wrapped_lines_fit_and_lose_no_letter(text: str, limit_in: float) -> None:
    lines = wrapped(text, 7, limit_in)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(width_in(line, 7) <= limit_in for line in lines)


def test_text_shrinks_to_fit_and_never_grows() -> None:
    assert fitted_pt("short", 10, 5.0) == 10
    size = fitted_pt("a line that is far too long for its place", 10, 1.0)
    assert (
        size < 10 and abs(width_in("a line that is far too long for its place", size) - 1.0) < 0.02
    )
