"""Delays as the table that each packet draws from, so that a replay shows what was measured.

netem draws a delay for every packet independently, and where the order is kept a packet behind a
late one waits for it: delays that are drawn are shorter than delays that are measured. With draws
of distribution F and packets Δ apart, the packet k places ahead is out of the way of a delay x when
it drew at most x + kΔ; a measured delay is at most x with G(x) = F(x) F(x+Δ) F(x+2Δ) …, whence
F(x) = G(x) / G(x+Δ).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from screamlab.fit.samples import Floats, Integers, Samples

# Points of the table for at least so many delays.
_POINTS = ((1000, 101), (250, 51), (0, 21))
_REPLAYED = 20_000


@dataclass(frozen=True)
class DelayFit:
    """The table (ms at evenly spaced probabilities) and what was measured.

    `ks` is the largest difference between the distribution that was measured and the one that the
    table gives back (Kolmogorov–Smirnov). `memory` is the correlation of neighbouring delays as
    measured, `memory_of_table` as the table gives it back.
    """

    quantiles_ms: tuple[float, ...]
    measured_ms: tuple[float, float, float, float]
    ks: float
    memory: float
    memory_of_table: float
    reordered_of_table: float


def fit_delay(samples: Samples, spacing_s: float, *, keep_order: bool) -> DelayFit:
    """The table of delays for packets `spacing_s` apart; needs some received packets."""
    delay_ms = samples.delay_s[samples.received] * 1e3
    measured = np.sort(delay_ms)
    points = next(count for enough, count in _POINTS if len(measured) >= enough)
    shares = _drawn(measured, spacing_s * 1e3) if keep_order else _shares(measured)
    table = np.asarray(np.maximum(_table(measured, shares, points), 0.0).round(3), float)
    replayed, reordered = replay(table, spacing_s * 1e3, keep_order=keep_order)
    return DelayFit(
        tuple(table.tolist()),
        tuple(np.quantile(measured, [0.05, 0.5, 0.95, 1.0]).tolist()),
        ks_distance(measured, replayed),
        _memory(samples.delay_s),
        _memory(replayed),
        reordered,
    )


def _drawn(measured: Floats, spacing_ms: float) -> Floats:
    """F = G(x) / G(x+Δ) at each measured delay, made to rise; `measured` is sorted."""
    later = np.searchsorted(measured, measured + spacing_ms, side="right") / len(measured)
    return np.asarray(np.maximum.accumulate(_shares(measured) / later), float)


def _shares(measured: Floats) -> Floats:
    return np.arange(1, len(measured) + 1) / len(measured)


def _table(measured: Floats, shares: Floats, points: int) -> Floats:
    """Delays at evenly spaced probabilities.

    The last of them is not the longest delay but what leaves the mean of the last stretch as it is:
    between two points a table knows straight lines only, and one late packet would make many.
    """
    at = np.linspace(0, 1, points)
    # Some packet must draw the shortest delay; quantiles below the first step are that.
    known = np.concatenate([[0.0], shares]), np.concatenate([measured[:1], measured])
    table = np.asarray(np.interp(at, *known), float)
    last = np.searchsorted(shares, np.linspace(at[-2], 1, 1001)[1:] - 1e-9)
    table[-1] = max(table[-2], 2 * measured[last].mean() - table[-2])
    return table


def replay(table: Floats, spacing_ms: float, *, keep_order: bool) -> tuple[Floats, float]:
    """Delays (ms) that the table makes of packets so far apart, and the share reordered."""
    rng = np.random.default_rng(0)
    drawn = np.interp(rng.random(_REPLAYED), np.linspace(0, 1, len(table)), table)
    sent = np.arange(_REPLAYED) * spacing_ms
    arrival = sent + drawn
    if keep_order:
        return np.maximum.accumulate(arrival) - sent, 0.0
    return drawn, reordered_share(np.argsort(np.argsort(arrival, kind="stable")))


def ks_distance(one: Floats, other: Floats) -> float:
    """Largest difference of two empirical distributions, 0 to 1."""
    one, other = np.sort(one), np.sort(other)
    at = np.concatenate([one, other])
    first = np.searchsorted(one, at, side="right") / len(one)
    second = np.searchsorted(other, at, side="right") / len(other)
    return float(np.abs(first - second).max())


def reordered_share(arrival: Integers) -> float:
    """Share of packets that came after one sent later (RFC 4737 section 3.3).

    `arrival` has the rank of arrival of each packet in the order of sending, -1 for lost ones.
    """
    ranks = arrival[arrival >= 0]
    if not len(ranks):
        return 0.0
    order = np.argsort(ranks)
    return float(np.mean(order < np.maximum.accumulate(order)))


def _memory(delay: Floats) -> float:
    last, now = delay[:-1], delay[1:]
    both = np.isfinite(last) & np.isfinite(now)
    if both.sum() < 10 or np.ptp(last[both]) == 0 or np.ptp(now[both]) == 0:
        return 0.0
    return float(np.corrcoef(last[both], now[both])[0, 1])
