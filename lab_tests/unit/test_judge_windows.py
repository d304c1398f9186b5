"""Arithmetic on stretches of time, held against counting on a grid."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from screamlab.judge.windows import Window, Windows, inside, intersect, length_s, merge, subtract

GRID = np.arange(0, 40) + 0.5
windows = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: Window(*sorted(ends))),
    max_size=6,
).map(tuple)


def on_grid(some: Windows) -> np.ndarray:
    return inside(GRID, some)


@given(windows)
def test_merging_keeps_the_time_and_leaves_nothing_touching(some: Windows) -> None:
    merged = merge(some)
    assert (on_grid(merged) == on_grid(some)).all()
    assert length_s(merged) == on_grid(some).sum()
    assert all(a.to_s < b.from_s for a, b in zip(merged, merged[1:], strict=False))


@given(windows, windows)
def test_intersecting_and_subtracting_part_the_time(some: Windows, others: Windows) -> None:
    some = merge(some)
    both, rest = intersect(some, others), subtract(some, others)
    assert (on_grid(both) == (on_grid(some) & on_grid(others))).all()
    assert (on_grid(rest) == (on_grid(some) & ~on_grid(others))).all()
    assert length_s(both) + length_s(rest) == length_s(some)
