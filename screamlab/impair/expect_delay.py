"""What a delay model does to probes: a packet sequence through netem's arithmetic.

Sources: Linux net/sched/sch_netem.c (tabledist, netem_enqueue), iproute2's netem/normal.c,
pareto.c and paretonormal.c, whose tables are read as inverse distribution functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from screamlab.impair.condition import Condition, Shape
from screamlab.impair.translate import DEFAULT_QUEUE_MS

Values = NDArray[np.float64]

TABLE_SIZE = 4096
_TABLE_MAX = 32767 / 8192  # a table holds 16 bit numbers in units of sigma / NETEM_DIST_SCALE
PROBES = 20_000
QUANTILES = (0.1, 0.5, 0.9)
_PACKETS = 400_000
_BATCHES = 50
_PACKET_BYTES = 1500


@dataclass(frozen=True)
class DelayTruth:
    """What probes must see of a condition's delay; `delay_ms` are equally likely values.

    `drawn_ms` are those that netem draws, before packets wait for each other. `reordered` is the
    share of packets that come after a later one (RFC 4737). The inflations say how much larger a
    variance is than that of as many independent packets: of the share below each of `QUANTILES`,
    and of the share reordered.
    """

    delay_ms: Values
    drawn_ms: Values
    inflations: tuple[float, ...]
    reordered: float
    reordered_inflation: float


@lru_cache(maxsize=4096)
def expected_delay(
    condition: Condition, interval_ms: float, packets_per_s: float, probes: int = PROBES
) -> DelayTruth:
    """Delays of probes sent every `interval_ms` among `packets_per_s` in all, out of a simulation.

    The correlation of delays is left aside: netem takes its random number modulo a table's size,
    which leaves nothing of it. Waiting for a rate is not in it, see `queueing_ms`.
    """
    rng = np.random.default_rng(20260101)
    others_per_probe = max(0.0, packets_per_s * interval_ms / 1000 - 1)
    count = int(min(probes, max(2000, _PACKETS / (1 + others_per_probe))))
    sent = np.arange(count) * interval_ms
    others = rng.uniform(0, count * interval_ms, round(count * others_per_probe))
    times = np.concatenate([sent, others])
    order = np.argsort(times, kind="stable")
    left = np.empty(len(times))
    left[order] = departures(condition, times[order], rng)
    left = left[:count]
    delay, late = left - sent, reordered_of(left)
    below = [delay <= at for at in np.quantile(delay, QUANTILES)]
    return DelayTruth(
        delay_ms=delay,
        drawn_ms=np.maximum(0.0, delays(condition, (np.arange(count) + 0.5) / count)),
        inflations=tuple(_inflation(found) for found in below),
        reordered=float(late.mean()),
        reordered_inflation=_inflation(late),
    )


def queueing_ms(condition: Condition) -> float:
    """The longest that a packet may wait for others, beyond its delay."""
    extra = 0.0
    if condition.rate_kbit is not None:
        extra += (condition.queue_ms or DEFAULT_QUEUE_MS) + _PACKET_BYTES * 8 / condition.rate_kbit
    if condition.slot is not None:
        limited = condition.slot.packets is not None or condition.slot.bytes is not None
        extra += float("inf") if limited else condition.slot.max_ms
    return extra


def departures(condition: Condition, times: Values, rng: np.random.Generator) -> Values:
    """When netem lets go of packets that come at `times` (ms, rising)."""
    left = times + delays(condition, rng.random(len(times)))
    if condition.keep_order:
        return np.asarray(np.maximum.accumulate(np.maximum(left, times)))
    if condition.reorder is not None:
        chosen = _chosen(
            rng.random(len(times)) < condition.reorder.percent / 100, condition.reorder.gap
        )
        left = np.where(chosen, times, left)
    return np.maximum(left, times)


def delays(condition: Condition, chance: Values) -> Values:
    """The delay in ms at each `chance` between 0 and 1; below zero is possible, as in netem."""
    if condition.delay_quantiles_ms:
        known = np.asarray(condition.delay_quantiles_ms)
        return np.interp(chance, np.linspace(0, 1, len(known)), known)
    if condition.jitter_ms == 0:
        return np.full(len(chance), condition.delay_ms)
    if condition.distribution == "uniform":
        return condition.delay_ms + condition.jitter_ms * (2 * chance - 1)
    table = distribution_table(condition.distribution)
    return condition.delay_ms + condition.jitter_ms * table[(chance * TABLE_SIZE).astype(int)]


@lru_cache(maxsize=4)
def distribution_table(shape: Shape) -> Values:
    """netem's table of a distribution in units of sigma, rising."""
    step = np.arange(TABLE_SIZE) / TABLE_SIZE
    if shape == "uniform":
        return 2 * step - 1
    normal = NormalDist()
    # The generator counts in steps a quarter as wide and keeps the upper end of each.
    bell = np.array([normal.inv_cdf(at + 0.125 / TABLE_SIZE) for at in step])
    tail = np.minimum((4 / 3) * ((1 - step) ** (-1 / 3) - 1.5), _TABLE_MAX)
    made = {"normal": bell, "pareto": tail, "paretonormal": (bell + 3 * tail) / 4}[shape]
    return np.clip(made, -4.0, _TABLE_MAX)


def reordered_of(arrivals: Values) -> NDArray[np.bool_]:
    """Which packets, in the order of sending, came after one sent later (RFC 4737 section 3.3)."""
    order = np.argsort(arrivals, kind="stable")
    late = np.zeros(len(arrivals), dtype=bool)
    late[order] = order < np.maximum.accumulate(order)
    return late


def _chosen(lucky: NDArray[np.bool_], gap: int) -> NDArray[np.bool_]:
    """Which packets are sent at once: lucky ones that have `gap` - 1 delayed ones before them."""
    if gap == 1:
        return lucky
    chosen, free = np.zeros(len(lucky), dtype=bool), gap - 1
    for at in np.flatnonzero(lucky).tolist():
        if at >= free:
            chosen[at] = True
            free = at + gap
    return chosen


def _inflation(found: NDArray[np.bool_]) -> float:
    """By the variance of batch means, never below 1."""
    share = float(found.mean())
    if share in (0.0, 1.0):
        return 1.0
    size = len(found) // _BATCHES
    means = found[: size * _BATCHES].reshape(_BATCHES, size).mean(axis=1)
    return max(1.0, float(means.var(ddof=1) * size / (share * (1 - share))))
