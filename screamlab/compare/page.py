"""A comparison as one HTML page that opens offline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from screamlab.compare.rows import WORDS, Comparison, Row, verdicts
from screamlab.report.page import rendered

# The strip of a metric in pixels: its length, and the room at its ends.
LENGTH, MARGIN = 220, 6


@dataclass(frozen=True)
class Dot:
    """The value of one run in a strip."""

    x: float
    of_b: bool
    label: str


def render_page(comparisons: Sequence[Comparison]) -> str:
    """The page that holds each comparison, in order."""
    return rendered(
        "compare", "compare.html.j2", comparisons=comparisons, dots=dots, verdicts=verdicts,
        words=WORDS, length=LENGTH,
    )  # fmt: skip


def dots(row: Row) -> list[Dot]:
    """Every run's value of a metric, both sides on one scale."""
    every = [value for side in row.values for value in side]
    return list(_dots(row, min(every), max(every))) if every else []


def _dots(row: Row, low: float, high: float) -> Iterator[Dot]:
    for of_b, side in enumerate(row.values):
        for value in side:
            share = (value - low) / (high - low) if high > low else 0.5
            x = MARGIN + share * (LENGTH - 2 * MARGIN)
            yield Dot(round(x, 1), bool(of_b), f"{value:.4g} {row.unit}")
