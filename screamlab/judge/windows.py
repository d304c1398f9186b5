"""Stretches of time on the plan's clock (seconds after its zero) and arithmetic on them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, order=True)
class Window:
    """From `from_s` up to, but not including, `to_s`."""

    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        return max(0.0, self.to_s - self.from_s)


Windows = tuple[Window, ...]


def length_s(windows: Windows) -> float:
    """How long `windows` are together; they are taken not to overlap."""
    return sum(window.length_s for window in windows)


def merge(windows: Iterable[Window]) -> Windows:
    """The same time in ordered windows that do not touch."""
    merged: list[Window] = []
    for window in sorted(windows):
        if merged and window.from_s <= merged[-1].to_s:
            merged[-1] = Window(merged[-1].from_s, max(merged[-1].to_s, window.to_s))
        elif window.length_s:
            merged.append(window)
    return tuple(merged)


def intersect(windows: Windows, others: Windows) -> Windows:
    """The time that lies in both."""
    return merge(
        Window(max(a.from_s, b.from_s), min(a.to_s, b.to_s))
        for a in windows
        for b in others
        if max(a.from_s, b.from_s) < min(a.to_s, b.to_s)
    )


def subtract(windows: Windows, holes: Windows) -> Windows:
    """The time in `windows` that lies in none of `holes`."""
    apart = merge(holes)
    ends = [hole.to_s for hole in apart]
    left = []
    for window in windows:
        at = window.from_s
        for hole in islice(apart, bisect_right(ends, at), None):
            if hole.from_s >= window.to_s:
                break
            left.append(Window(at, max(at, hole.from_s)))
            at = hole.to_s
        left.append(Window(at, max(at, window.to_s)))
    return merge(left)


def contains(windows: Windows, at_s: float) -> bool:
    """Whether a moment lies in one of `windows`."""
    return any(window.from_s <= at_s < window.to_s for window in windows)


def inside(times: NDArray[np.float64], windows: Windows) -> NDArray[np.bool_]:
    """Which of `times` lie in one of `windows`."""
    edges = [edge for window in merge(windows) for edge in (window.from_s, window.to_s)]
    mask: NDArray[np.bool_] = np.searchsorted(edges, times, side="right") % 2 == 1
    return mask
