"""One comparison: every check and every metric of two sides, with what may be said of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np

from screamlab.compare.findings import BLOCK_S, LAB, Better, Figure, Findings
from screamlab.compare.sides import Side, caveats, shared_topics
from screamlab.compare.statistics import (
    FALSE_SHARE,
    Difference,
    shares,
    smallest_sides,
    stand_out,
    values,
)
from screamlab.suite.record import WORST

# Fewer runs than this on a side can tell nothing from noise, whatever they show: with three a side
# the smallest two-sided p is 0.1. The parts of the runs are held against each other then.
MIN_RUNS = 4

Says = Literal["worse", "better", "hint", "noise", "unknown"]
# The order of a table: what matters first.
ORDER: tuple[Says, ...] = ("worse", "better", "hint", "unknown", "noise")


@dataclass(frozen=True)
class Row:
    """A check or a metric: both sides, b − a, its interval, and what may be said of it.

    `hint` stands out alone but not among so many; `noise` is no more than noise; `unknown` has too
    few values to tell. `p` is of the row alone. `values` are those of each run of a metric.
    """

    topic: str
    subject: str
    name: str
    unit: str
    a: str
    b: str
    found: Difference | None = None
    says: Says = "unknown"
    better: Better = "lower"
    values: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    @property
    def p(self) -> float | None:
        """None where even the clearest outcome would have been no rare one."""
        if self.found is None or self.found.floor > FALSE_SHARE:
            return None
        return self.found.p

    @property
    def interval(self) -> str:
        """The difference and its interval."""
        if self.found is None:
            return "–"
        low, high = map(number, self.found.interval)
        return f"{_signed(self.found.effect)} [{low}, {high}]"


@dataclass(frozen=True)
class Comparison:
    """Two sides held against each other."""

    a: Side
    b: Side
    checks: tuple[Row, ...]
    metrics: tuple[Row, ...]
    caveats: tuple[str, ...]

    @property
    def line(self) -> str:
        """What came out, in one sentence."""
        rows = (*self.checks, *self.metrics)
        counts = Counter(row.says for row in rows if row.subject != LAB)
        told = ", ".join(f"{counts[says]} {WORDS[says]}" for says in ORDER if counts[says])
        return f"{self.b.name} against {self.a.name}: {told or 'nothing to compare'}"

    @property
    def advice(self) -> str | None:
        """How many runs it takes for a single difference to stand out, where these are too few."""
        for rows, what in ((self.checks, "checks"), (self.metrics, "metrics")):
            tests = sum(row.p is not None for row in rows)
            needed = max(MIN_RUNS, smallest_sides(tests))
            doubtful = any(row.says == "hint" or row.found for row in rows if row.says != "noise")
            if doubtful and min(len(self.a.runs), len(self.b.runs)) < needed:
                return (
                    f"one difference among {tests} {what} that vary can only be told from noise "
                    f"with {needed} runs a side"
                )
        return None


WORDS: dict[Says, str] = {
    "worse": "worse", "better": "better", "hint": "perhaps more than noise",
    "unknown": "that cannot be told", "noise": "no more than noise",
}  # fmt: skip


def compare(a: Side, b: Side) -> Comparison:
    """Hold `b` against `a`; `BadInput` when they have no scenario and scale in common."""
    told = caveats(a, b)
    checks: list[Row] = []
    metrics: list[Row] = []
    topics = shared_topics(a, b)
    for topic in topics:
        left, right = a.of(topic).runs, b.of(topic).runs
        whole = min(len(left), len(right)) >= MIN_RUNS
        name = " ".join(topic)
        if not whole and left and right:
            told.append(
                f"{name}: fewer than {MIN_RUNS} runs on a side, so streams and stretches of "
                f"{BLOCK_S:g} s within them are held against each other; what differs from start "
                "to start of the same router is not seen"
            )
        shown = name if len(topics) > 1 else ""
        checks += _check_rows(shown, left, right, whole)
        metrics += _metric_rows(shown, left, right, whole)
    judged = _judged(metrics)
    told += [
        f"the lab itself was not alike: {row.name} {row.a} against {row.b} {row.unit}"
        for row in judged
        if row.subject == LAB and row.says in ("worse", "better", "hint")
    ]
    return Comparison(a, b, _judged(checks), judged, tuple(told))


def verdicts(side: Side) -> str:
    """How often each verdict was given, under the rules of today and with no issue known."""
    counts = Counter(run.verdict for run in side.runs)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in WORST if counts[outcome])
    return f"{told}, with no issue taken for known"


def _check_rows(
    topic: str, a: Sequence[Findings], b: Sequence[Findings], whole: bool
) -> Iterator[Row]:
    for check in sorted({check for run in (*a, *b) for check in run.checks}):
        (hits_a, count_a), (hits_b, count_b) = (_failed(check, side, whole) for side in (a, b))
        told = (f"{hits_a} of {count_a} failed", f"{hits_b} of {count_b} failed")
        found = shares(hits_a, count_a, hits_b, count_b) if count_a and count_b else None
        yield Row(topic, "", check, "share", *told, found)


def _failed(check: str, runs: Sequence[Findings], whole: bool) -> tuple[int, int]:
    """Runs in which any subject of a check failed, or subjects; and how many there are."""
    outcomes = [run.checks[check] for run in runs if run.checks.get(check)]
    told = [any(one) for one in outcomes] if whole else list(chain.from_iterable(outcomes))
    return sum(told), len(told)


def _metric_rows(
    topic: str, a: Sequence[Findings], b: Sequence[Findings], whole: bool
) -> Iterator[Row]:
    every = [metric for run in (*a, *b) for metric in run.figures]
    higher = {metric for metric in every if metric.better == "higher"}
    for metric in sorted(set(every)):
        figures = [[r.figures[metric] for r in side if metric in r.figures] for side in (a, b)]
        in_a, in_b = (_observed(side, whole) for side in figures)
        of_a, of_b = (tuple(figure.value for figure in side) for side in figures)
        yield Row(
            topic=topic,
            subject=metric.subject,
            name=metric.name,
            unit=metric.unit,
            a=_median(of_a),
            b=_median(of_b),
            found=values(in_a, in_b) if in_a and in_b else None,
            better="higher" if metric in higher else "lower",
            values=(of_a, of_b),
        )


def _observed(figures: Sequence[Figure], whole: bool) -> list[float]:
    if whole:
        return [figure.value for figure in figures]
    return [part for figure in figures for part in figure.parts]


def _judged(rows: Sequence[Row]) -> tuple[Row, ...]:
    """What may be said of each row, given how many there are; what matters first."""
    out = stand_out([row.p for row in rows])
    judged = [replace(row, says=_says(row, more)) for row, more in zip(rows, out, strict=True)]
    return tuple(sorted(judged, key=lambda row: ORDER.index(row.says)))


def _says(row: Row, more_than_noise: bool) -> Says:
    if row.found is None or row.found.floor > FALSE_SHARE:
        return "unknown"
    if row.p is None or row.p > FALSE_SHARE:
        return "noise"
    if not more_than_noise:
        return "hint"
    return "worse" if (row.found.effect > 0) == (row.better == "lower") else "better"


def _median(values_: Sequence[float]) -> str:
    return number(float(np.median(values_))) if values_ else "–"


def number(value: float) -> str:
    """Four significant digits; an infinity where an interval has no end."""
    return f"{value:.4g}".replace("inf", "∞") if value else "0"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"
