"""Models of loss: planted parameters come back, and no model is richer than the losses are."""

from __future__ import annotations

import numpy as np
import pytest

from screamlab.fit.loss import RunLengths, burst_lengths, fit_loss, respaced
from screamlab.impair.condition import GilbertElliott, IndependentLoss

PACKETS = 20_000


def planted(p: float, r: float, bad: float, good: float, seed: int, count: int = PACKETS):
    """Losses of a chain of two states, a packet at a time."""
    rng = np.random.default_rng(seed)
    turns, draws = rng.random(count), rng.random(count)
    states = np.zeros(count, bool)
    state = p > 0 and rng.random() < p / (p + r)
    for at in range(count):
        state = turns[at] >= r if state else turns[at] < p
        states[at] = state
    return draws < np.where(states, bad, good)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.4])
def test_independent_loss_is_not_made_into_bursts(share: float, seed: int) -> None:
    found = fit_loss(planted(0, 1, 1, share, seed))
    assert found.model == "independent"
    assert found.share == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / PACKETS))
    assert found.against_independent_p is not None
    assert found.against_independent_p >= 0.01
    assert isinstance(found.condition(), IndependentLoss)


# p, r, 1-h, 1-k; the model expected; relative tolerances of p, r and 1-h.
MODELS = [
    ((0.01, 0.3, 1.0, 0.0), "simple Gilbert", (0.15, 0.15, 0.0)),
    ((0.004, 0.5, 1.0, 0.0), "simple Gilbert", (0.3, 0.25, 0.0)),
    ((0.004, 0.125, 0.8, 0.0), "Gilbert", (0.3, 0.3, 0.1)),
    ((0.005, 0.1, 0.6, 0.0), "Gilbert", (0.3, 0.3, 0.1)),
    ((0.005, 0.05, 0.5, 0.005), "Gilbert-Elliott", (0.4, 0.4, 0.1)),
]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("truth", "model", "tolerances"), MODELS)
def test_planted_parameters_come_back(truth, model, tolerances, seed: int) -> None:
    p, r, bad, good = truth
    found = fit_loss(planted(*truth, seed))
    assert found.model == model
    assert found.p == pytest.approx(p, rel=tolerances[0])
    assert found.r == pytest.approx(r, rel=tolerances[1])
    assert found.bad_loss == pytest.approx(bad, rel=tolerances[2])
    assert found.good_loss == pytest.approx(good, abs=0.003)
    assert found.against_independent_p is not None
    assert found.against_independent_p < 1e-6
    for p_value in (found.burst_p, found.gap_p):
        assert p_value is None or p_value > 1e-3
    condition = found.condition()
    assert isinstance(condition, GilbertElliott)
    assert condition.to_bad_percent == pytest.approx(found.p * 100, rel=0.01)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_goodness_of_fit_rejects_what_does_not_fit(seed: int) -> None:
    # Bursts of exactly three packets are no chain of two states.
    rng = np.random.default_rng(seed)
    lost = np.zeros(PACKETS, bool)
    for begin in rng.choice(PACKETS // 10, 200, replace=False) * 10:
        lost[begin : begin + 3] = True
    found = fit_loss(lost)
    assert found.burst_p is not None
    assert found.burst_p < 1e-6


def test_no_loss_few_losses_and_nothing_but_loss() -> None:
    none = fit_loss(np.zeros(1000, bool))
    assert (none.model, none.share, none.condition()) == ("none", 0.0, None)
    few = np.zeros(1000, bool)
    few[100:110] = True
    assert fit_loss(few).model == "independent"
    assert fit_loss(few).against_independent_p is None
    every = fit_loss(np.ones(1000, bool))
    assert every.condition() == IndependentLoss(model="independent", percent=100)


def test_the_likelihood_of_runs_is_that_of_the_packets_one_by_one() -> None:
    lost = planted(0.05, 0.3, 0.7, 0.02, 4, count=400)
    p, r, bad, good = 0.07, 0.25, 0.6, 0.03
    step, emit = np.array([[1 - p, p], [r, 1 - r]]), np.array([good, bad])
    belief, total = np.array([r, p]) / (p + r), 0.0
    for packet in lost:
        belief = (belief @ step) * (emit if packet else 1 - emit)
        total += np.log(belief.sum())
        belief = belief / belief.sum()
    assert RunLengths(lost).log_likelihood(p, r, bad, good) == pytest.approx(total, abs=1e-6)


def test_bursts_last_as_long_for_packets_closer_together() -> None:
    p, r = respaced(0.02, 0.4, 0.1)
    assert p / (p + r) == pytest.approx(0.02 / 0.42)
    lost = planted(p, r, 1.0, 0.0, 5, count=200_000)
    # Every tenth packet of the dense stream is the stream that was measured.
    thin = fit_loss(lost[::10])
    assert thin.p == pytest.approx(0.02, rel=0.2)
    assert thin.r == pytest.approx(0.4, rel=0.2)


def test_bursts_are_counted_by_length() -> None:
    lost = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1], bool)
    assert burst_lengths(lost) == {1: 1, 2: 2, 3: 1}
    assert burst_lengths(np.zeros(5, bool)) == {}
