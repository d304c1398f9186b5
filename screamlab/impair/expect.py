"""What probes must find where a schedule of conditions is at work; pure arithmetic.

Numbers come as ranges: where packets queue for a rate, or conditions change too fast to tell one
from the next, only bounds are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from screamlab.impair.condition import Condition, Schedule
from screamlab.impair.expect_delay import (
    PROBES,
    QUANTILES,
    DelayTruth,
    Values,
    delays,
    expected_delay,
    queueing_ms,
)
from screamlab.impair.expect_loss import expected_loss
from screamlab.impair.probe_stream import Direction
from screamlab.impair.translate import DEFAULT_QUEUE_MS

# Where a distribution jumps, its quantile is anything between the quantiles this far beside it.
_BESIDE = 0.005


@dataclass(frozen=True)
class Piece:
    """One condition that holds from `from_s` to `to_s` after the begin of its schedule."""

    from_s: float
    to_s: float
    condition: Condition


@dataclass(frozen=True)
class Range:
    """What is asked for: any value from `low` to `high`.

    `inflation` is how much larger the variance of a measurement is than that of as many
    independent packets: a measurement of n packets is worth n / inflation.
    """

    low: float
    high: float
    inflation: float = 1.0


@dataclass(frozen=True)
class Expectation:
    """What a probe stream must find.

    `loss` and `reordered` are shares, `burst` the mean number of packets lost in a row (its
    inflation is against bursts that end with one probability), `delay_ms` holds quantiles of the
    delay the network adds. None, or no entry, where nothing can be foretold.
    """

    loss: Range
    burst: Range | None
    reordered: Range | None
    delay_ms: Mapping[float, Range] = field(default_factory=dict)


def pieces(schedule: Schedule, direction: Direction, from_s: float, to_s: float) -> list[Piece]:
    """The conditions in force between two times after the begin of `schedule`, in order."""
    begins = [step.at_s for step in schedule.steps]
    conditions = [getattr(step, direction) for step in schedule.steps]
    length = schedule.repeat_s
    ends = [*begins[1:], float("inf") if length is None else length]
    found: list[Piece] = []
    turn = 0 if length is None else int(from_s // length)
    while True:
        offset = 0.0 if length is None else turn * length
        for begin, end, condition in zip(begins, ends, conditions, strict=True):
            low, high = max(from_s, begin + offset), min(to_s, end + offset)
            if low < high:
                found.append(Piece(low, high, condition))
        turn += 1
        if length is None or turn * length >= to_s:
            return found


def expectation(
    parts: Sequence[tuple[Condition, float]],
    interval_ms: float,
    packets_per_s: float,
    *,
    made_up_for_order: bool = False,
) -> Expectation:
    """What a probe stream finds of which so many packets met each condition.

    `packets_per_s` is everything that goes through the same impairment, probes included; at
    least the probes are taken to. A packet that must not overtake waits, which makes delays longer
    than those a condition draws, unless that was `made_up_for_order` (`screamlab.impair.table`).
    """
    share = _share(interval_ms, packets_per_s)
    packets_per_s = 1000 / interval_ms / share
    merged = _merged(parts)
    up = {condition: packets for condition, packets in merged.items() if not condition.down}
    # Many conditions need not each be simulated as finely as one.
    probes = PROBES if len(up) <= 4 else max(500, 4 * PROBES // len(up))
    delayed = [
        (
            expected_delay(_delaying(condition), interval_ms, packets_per_s, probes),
            condition,
            packets,
        )
        for condition, packets in up.items()
    ]
    return Expectation(
        loss=_loss(merged, share, full=True),
        burst=_burst(up, share),
        reordered=_reordered(delayed),
        delay_ms=_delays(delayed, share, drawn=made_up_for_order),
    )


def _delaying(condition: Condition) -> Condition:
    """The part of a condition that delays, so that like simulations are one."""
    return Condition(
        delay_ms=condition.delay_ms,
        jitter_ms=condition.jitter_ms,
        distribution=condition.distribution,
        delay_quantiles_ms=condition.delay_quantiles_ms,
        keep_order=condition.keep_order,
        reorder=condition.reorder,
    )


def _queues(condition: Condition) -> bool:
    return condition.rate_kbit is not None or condition.limit_packets is not None


def spared_loss(
    parts: Sequence[tuple[Condition, float]], interval_ms: float, packets_per_s: float
) -> Range:
    """The loss among packets that no full queue can have lost (`full_queue_ms`).

    So many of these met each condition; the rest is as for `expectation`.
    """
    return _loss(_merged(parts), _share(interval_ms, packets_per_s), full=False)


def _share(interval_ms: float, packets_per_s: float) -> float:
    """Which part of all packets the probes are."""
    return min(1.0, 1000 / interval_ms / packets_per_s) if packets_per_s else 1.0


def _merged(parts: Sequence[tuple[Condition, float]]) -> dict[Condition, float]:
    merged: dict[Condition, float] = {}
    for condition, packets in parts:
        merged[condition] = merged.get(condition, 0.0) + packets
    return merged


def full_queue_ms(condition: Condition, fastest_kbit: float) -> float:
    """The least delay by which a packet may tell that it found the queue of a rate full.

    Half of the queue is taken for all of it, as the rate may be up to `fastest_kbit` by the time it
    is worked off. Without a rate none is full; with a limit in packets any may be.
    """
    if condition.limit_packets is not None:
        return 0.0
    if condition.rate_kbit is None:
        return float("inf")
    shortest_ms = max(0.0, float(delays(condition, np.zeros(1))[0]))
    queue_ms = condition.queue_ms or DEFAULT_QUEUE_MS
    return shortest_ms + queue_ms / 2 * condition.rate_kbit / fastest_kbit


def _loss(parts: Mapping[Condition, float], share: float, *, full: bool) -> Range:
    total = sum(parts.values())
    low = high = variance = inflated = 0.0
    for condition, packets in parts.items():
        truth = expected_loss(condition, share)
        weight = packets / total
        low += weight * truth.rate
        high += weight * (1.0 if full and _queues(condition) else truth.rate)
        variance += weight * truth.rate * (1 - truth.rate)
        inflated += weight * truth.rate * (1 - truth.rate) * truth.inflation
    return Range(low, high, max(1.0, inflated / variance) if variance > 0 else 1.0)


def _burst(parts: Mapping[Condition, float], share: float) -> Range | None:
    """Bursts of all conditions together; None where there are none or queues lose as well."""
    if any(_queues(condition) for condition in parts):
        return None
    begun = lost = squares = 0.0
    for condition, packets in parts.items():
        truth = expected_loss(condition, share)
        begun += packets * truth.bursts
        lost += packets * truth.rate
        squares += packets * truth.bursts * (truth.burst_variance + truth.burst_mean**2)
    if begun <= 0:
        return None
    mean = lost / begun
    variance = squares / begun - mean**2
    # Lengths of bursts that end with probability 1/mean have the variance mean (mean - 1).
    geometric = mean * (mean - 1)
    return Range(mean, mean, max(1.0, variance / geometric) if geometric > 1e-9 else 1.0)


def _reordered(delayed: Sequence[tuple[DelayTruth, Condition, float]]) -> Range | None:
    total = sum(packets for _, _, packets in delayed)
    if not total:
        return None
    low = high = 0.0
    for truth, condition, packets in delayed:
        high += truth.reordered * packets / total
        low += 0.0 if condition.rate_kbit is not None else truth.reordered * packets / total
    return Range(low, high, max(truth.reordered_inflation for truth, _, _ in delayed))


def _delays(
    delayed: Sequence[tuple[DelayTruth, Condition, float]], share: float, *, drawn: bool
) -> dict[float, Range]:
    """Quantiles of what packets see, or of what netem has `drawn` for them."""
    low, high, weights = [], [], []
    for truth, condition, packets in delayed:
        came = packets * (1 - expected_loss(condition, share).rate)
        delay_ms = truth.drawn_ms if drawn and condition.keep_order else truth.delay_ms
        low.append(delay_ms)
        high.append(delay_ms + queueing_ms(condition))
        weights.append(np.full(len(delay_ms), came / len(delay_ms)))
    if not sum(part.sum() for part in weights):
        return {}
    least = _Weighted(np.concatenate(low), np.concatenate(weights))
    most = _Weighted(np.concatenate(high), np.concatenate(weights))
    return {
        q: Range(
            least.quantile(q - _BESIDE),
            most.quantile(q + _BESIDE),
            max(truth.inflations[at] for truth, _, _ in delayed),
        )
        for at, q in enumerate(QUANTILES)
    }


class _Weighted:
    """Values with weights, asked for their quantiles."""

    def __init__(self, values: Values, weights: Values) -> None:
        order = np.argsort(values)
        self._values = values[order]
        self._reached = np.cumsum(weights[order]) / weights.sum()

    def quantile(self, q: float) -> float:
        """The smallest value that this share of the weight does not exceed."""
        at = int(np.searchsorted(self._reached, q))
        return float(self._values[min(at, len(self._values) - 1)])
