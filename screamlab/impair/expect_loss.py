"""What a loss model does to probes: rate, bursts, and how much one loss tells of the next.

Every model is a Markov chain with a probability of loss per state. Its step is one packet through
netem, and probes are only a share of those packets. What probes see is the same chain, looked at
whenever a probe passes: with the probes strewn at random among the packets, that is
``f T (I - (1 - f) T)^-1`` for the transition matrix T and the share f.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from screamlab.impair.condition import Condition, FourState, GilbertElliott, IndependentLoss, Loss

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LossTruth:
    """Loss as a probe stream must see it.

    `rate` is the share of packets lost, `bursts` how many losses in a row begin per packet,
    `burst_mean` and `burst_variance` are of their lengths in packets. `inflation` is how much
    larger the variance of a loss rate is than that of as many independent packets.
    """

    rate: float
    bursts: float
    burst_mean: float
    burst_variance: float
    inflation: float


NO_LOSS = LossTruth(0.0, 0.0, 1.0, 0.0, 1.0)
ALL_LOST = LossTruth(1.0, 0.0, float("inf"), 0.0, 1.0)


@lru_cache(maxsize=4096)
def expected_loss(condition: Condition, share: float) -> LossTruth:
    """The loss that `condition` asks for, seen by probes that are `share` of its packets.

    A damaged packet is a lost one (its UDP checksum is wrong), a doubled one survives one loss.
    What a full queue loses comes on top and is not told here.
    """
    if condition.down:
        return ALL_LOST
    transitions, lost = _chain(condition.loss)
    lost = lost * (1 - condition.duplicate_percent / 100)
    lost = 1 - (1 - lost) * (1 - condition.corrupt_percent / 100)
    return _truth(transitions, lost, share)


def _chain(loss: Loss | None) -> tuple[Matrix, Matrix]:
    """Transition matrix and probability of loss per state, the state netem begins in first."""
    if loss is None:
        return np.eye(1), np.zeros(1)
    if isinstance(loss, IndependentLoss):
        return _independent(loss)
    if isinstance(loss, GilbertElliott):
        p, r = loss.to_bad_percent / 100, loss.to_good_percent / 100
        lost = np.array([loss.good_loss_percent, loss.bad_loss_percent]) / 100
        return np.array([[1 - p, p], [r, 1 - r]]), lost
    return _four_state(loss), np.array([0.0, 0.0, 1.0, 1.0])


def _independent(loss: IndependentLoss) -> tuple[Matrix, Matrix]:
    """Consecutive losses with the asked correlation coefficient, as a chain of two states.

    This is what is asked. netem's own correlated generator (get_crandom) loses far less than
    `percent`; whoever applies it has to make up for that.
    """
    p, c = loss.percent / 100, loss.correlation_percent / 100
    if c in (0.0, 1.0) or p in (0.0, 1.0):
        return np.eye(1), np.array([p])
    begin, end = (1 - c) * p, (1 - c) * (1 - p)
    return np.array([[1 - begin, begin], [end, 1 - end]]), np.array([0.0, 1.0])


def _four_state(loss: FourState) -> Matrix:
    """States 1, 2, 3, 4 of sch_netem.c's loss_4state(); the state entered decides."""
    p13, p31, p32, p23, p14 = (
        percent / 100
        for percent in (
            loss.p13_percent,
            loss.p31_percent,
            loss.p32_percent,
            loss.p23_percent,
            loss.p14_percent,
        )
    )
    p13, p31 = min(p13, 1 - p14), min(p31, 1 - p32)
    return np.array(
        [
            [1 - p13 - p14, 0, p13, p14],
            [0, 1 - p23, p23, 0],
            [p31, p32, 1 - p31 - p32, 0],
            [1, 0, 0, 0],
        ]
    )


def _truth(transitions: Matrix, lost: Matrix, share: float) -> LossTruth:
    stationary = _stationary(transitions)
    alive = stationary > 1e-12
    transitions, lost = transitions[np.ix_(alive, alive)], lost[alive]
    stationary = stationary[alive] / stationary[alive].sum()
    rate = float(stationary @ lost)
    if rate <= 0:
        return NO_LOSS
    if rate >= 1:
        return ALL_LOST
    size = len(lost)
    seen = share * transitions @ np.linalg.inv(np.eye(size) - (1 - share) * transitions)
    # A burst begins where a packet came through and the next is lost, and goes on within `kept`.
    begin = (stationary * (1 - lost)) @ seen * lost
    bursts = float(begin.sum())
    kept = seen * lost
    visits = np.linalg.inv(np.eye(size) - kept)
    mean = float((begin / bursts) @ visits.sum(axis=1))
    factorial = 2 * float((begin / bursts) @ kept @ visits @ visits.sum(axis=1))
    fundamental = np.linalg.inv(np.eye(size) - seen + stationary)
    covariance = float((stationary * lost) @ (fundamental - np.eye(size)) @ lost)
    inflation = 1 + 2 * covariance / (rate * (1 - rate))
    return LossTruth(rate, bursts, mean, factorial + mean - mean**2, inflation)


def _stationary(transitions: Matrix) -> Matrix:
    """Where the chain that begins in its first state is found in the long run."""
    lazy = (transitions + np.eye(len(transitions))) / 2  # no period, the same long run
    for _ in range(64):
        lazy = lazy @ lazy
        lazy /= lazy.sum(axis=1, keepdims=True)
    return np.asarray(lazy[0])
