"""What probes must find: held against closed forms, tc's tables, and netem packet by packet."""

from __future__ import annotations

import math
import random
from itertools import groupby
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from screamlab.impair.condition import (
    Condition,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Loss,
    Reorder,
    Schedule,
    Slot,
    Step,
)
from screamlab.impair.expect import Expectation, expectation, pieces
from screamlab.impair.expect_delay import distribution_table, reordered_of
from screamlab.impair.expect_loss import expected_loss
from screamlab.impair.translate import DEFAULT_QUEUE_MS
from screamlab.judge.canary_network import Netem

TABLES = Path("/usr/lib/x86_64-linux-gnu/tc")
BAD_WIFI = GilbertElliott(
    model="gilbert_elliott", to_bad_percent=1, to_good_percent=25, bad_loss_percent=80
)
FOUR = FourState(
    model="four_state",
    p13_percent=2,
    p31_percent=25,
    p32_percent=10,
    p23_percent=30,
    p14_percent=1,
)


def gilbert(p: float, r: float) -> GilbertElliott:
    return GilbertElliott(model="gilbert_elliott", to_bad_percent=100 * p, to_good_percent=100 * r)


def expect(condition: Condition, interval_ms: float = 10, packets_per_s: float = 0) -> Expectation:
    return expectation([(condition, 1.0)], interval_ms, packets_per_s)


@pytest.mark.parametrize(("p", "r"), [(0.01, 0.25), (0.2, 0.5), (0.001, 1.0)])
def test_gilbert_has_its_closed_form(p: float, r: float) -> None:
    truth = expected_loss(Condition(loss=gilbert(p, r)), 1.0)

    assert truth.rate == pytest.approx(p / (p + r))
    assert truth.burst_mean == pytest.approx(1 / r)
    assert truth.burst_variance == pytest.approx((1 - r) / r**2, abs=1e-9)
    # The indicator of loss is a chain of two states; its correlation falls by 1 - p - r a packet.
    assert truth.inflation == pytest.approx((2 - p - r) / (p + r))


def test_independent_loss_has_its_closed_form() -> None:
    truth = expected_loss(Condition(loss=IndependentLoss(model="independent", percent=20)), 1.0)

    assert truth.rate == pytest.approx(0.2)
    assert truth.burst_mean == pytest.approx(1 / 0.8)
    assert truth.inflation == pytest.approx(1.0)


def test_correlated_loss_keeps_its_rate() -> None:
    loss = IndependentLoss(model="independent", percent=10, correlation_percent=50)
    truth = expected_loss(Condition(loss=loss), 1.0)

    assert truth.rate == pytest.approx(0.1)
    # The next is lost too with c + (1 - c) p.
    assert truth.burst_mean == pytest.approx(1 / (1 - (0.5 + 0.5 * 0.1)))


def test_four_states_with_two_of_them_are_gilbert() -> None:
    loss = FourState(model="four_state", p13_percent=1, p31_percent=25)
    four, two = (
        expected_loss(Condition(loss=loss), 0.5),
        expected_loss(Condition(loss=gilbert(0.01, 0.25)), 0.5),
    )

    assert four.rate == pytest.approx(two.rate)
    assert four.burst_mean == pytest.approx(two.burst_mean)
    assert four.inflation == pytest.approx(two.inflation)


def test_a_chain_that_never_leaves_its_first_state_loses_nothing() -> None:
    assert expected_loss(Condition(loss=gilbert(0.0, 0.5)), 1.0).rate == 0.0


def test_damaged_packets_are_lost_and_doubled_ones_survive() -> None:
    loss = IndependentLoss(model="independent", percent=10)
    both = Condition(loss=loss, duplicate_percent=50, corrupt_percent=4)

    assert expected_loss(both, 1.0).rate == pytest.approx(1 - (1 - 0.1 * 0.5) * (1 - 0.04))


def test_few_probes_among_many_packets_see_no_bursts() -> None:
    truth = expected_loss(Condition(loss=gilbert(0.01, 0.25)), 0.001)

    assert truth.rate == pytest.approx(0.01 / 0.26)
    assert truth.burst_mean == pytest.approx(1 / (1 - 0.01 / 0.26), rel=0.01)
    assert truth.inflation == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("loss", [BAD_WIFI, FOUR])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_chain_does_what_netem_does_packet_by_packet(loss: Loss, share: float) -> None:
    chance = random.Random(1)
    netem = Netem(Condition(loss=loss), chance)
    fates = [netem.send(float(at)) is None for at in range(100_000)]
    seen = [lost for lost in fates if chance.random() < share]
    bursts = [len(list(run)) for lost, run in groupby(seen) if lost]
    truth = expected_loss(Condition(loss=loss), share)

    error = math.sqrt(truth.rate * (1 - truth.rate) * truth.inflation / len(seen))
    assert np.mean(seen) == pytest.approx(truth.rate, abs=4 * error)
    error = math.sqrt(truth.burst_variance / len(bursts))
    assert np.mean(bursts) == pytest.approx(truth.burst_mean, abs=4 * error)
    assert np.var(bursts) == pytest.approx(truth.burst_variance, rel=0.15)


def test_inflation_is_the_variance_of_windows_over_the_binomial() -> None:
    netem = Netem(Condition(loss=BAD_WIFI), random.Random(2))
    fates = np.array([netem.send(float(at)) is None for at in range(200_000)])
    rate = fates.mean()
    windows = fates.reshape(-1, 1000).mean(axis=1)

    measured = windows.var() * 1000 / (rate * (1 - rate))
    assert measured == pytest.approx(
        expected_loss(Condition(loss=BAD_WIFI), 1.0).inflation, rel=0.25
    )


@pytest.mark.skipif(not TABLES.is_dir(), reason="this machine has no iproute2 tables")
@pytest.mark.parametrize("shape", ["normal", "pareto", "paretonormal"])
def test_distributions_are_those_of_tc(shape: str) -> None:
    lines = (TABLES / f"{shape}.dist").read_text().splitlines()
    table = np.array([int(word) for line in lines if line[:1] != "#" for word in line.split()])
    made = distribution_table(shape)[1:-1] * 8192  # type: ignore[arg-type]

    # tc's generator steps through the bell too coarsely for its last few entries.
    assert np.abs(made - table[1:-1])[:4080].max() < 5


def test_delays_without_order_are_the_distribution() -> None:
    found = expect(Condition(delay_ms=40, jitter_ms=5, keep_order=False), packets_per_s=2000)
    for q, asked in found.delay_ms.items():
        assert asked.low <= 40 + 5 * NormalDist().inv_cdf(q) <= asked.high
        assert asked.inflation == pytest.approx(1.0, abs=0.6)


def test_uniform_jitter_and_measured_quantiles_are_the_distribution() -> None:
    uniform = Condition(delay_ms=40, jitter_ms=10, distribution="uniform", keep_order=False)
    table = Condition(delay_quantiles_ms=tuple(30 + 2 * n for n in range(11)), keep_order=False)
    for condition in (uniform, table):
        found = expect(condition).delay_ms
        assert [found[q].low for q in (0.1, 0.5, 0.9)] == pytest.approx([32, 40, 48], abs=0.5)


@pytest.mark.parametrize("packets_per_s", [1000.0, 3000.0])
def test_kept_order_holds_packets_back_and_more_so_among_many(packets_per_s: float) -> None:
    """Packets before it, a Poisson stream, hold a packet until the slowest of them has left."""
    found = expect(Condition(delay_ms=40, jitter_ms=5), packets_per_s=packets_per_s).delay_ms
    normal, per_ms = NormalDist(), packets_per_s / 1000

    for q, asked in found.items():
        z = ((asked.low + asked.high) / 2 - 40) / 5
        # The mean number of packets that come earlier and leave later than this.
        later = per_ms * 5 * (normal.pdf(z) - z * (1 - normal.cdf(z)))
        assert math.exp(-later) * normal.cdf(z) == pytest.approx(q, abs=0.03)
    assert 40 < expect(Condition(delay_ms=40, jitter_ms=5)).delay_ms[0.5].low < 41


def test_kept_order_reorders_nothing() -> None:
    asked = expect(Condition(delay_ms=40, jitter_ms=20)).reordered
    assert asked is not None and asked.high == 0.0


def test_jitter_reorders_by_the_chance_of_overtaking() -> None:
    found = expect(Condition(delay_ms=40, jitter_ms=5, keep_order=False), interval_ms=20)

    # Next to only the following packet can overtake: by 20 ms, the difference of two delays.
    chance = NormalDist(0, 5 * math.sqrt(2)).cdf(-20)
    assert found.reordered is not None
    assert found.reordered.high == pytest.approx(chance, rel=0.5)


def test_packets_sent_at_once_overtake_all_that_wait() -> None:
    condition = Condition(delay_ms=35, keep_order=False, reorder=Reorder(percent=100, gap=10))
    found = expect(condition)

    # Every tenth is sent at once, past the three before it that wait 35 ms each 10 ms apart.
    assert found.reordered is not None
    assert found.reordered.high == pytest.approx(0.3, abs=0.01)
    assert found.delay_ms[0.5].low == pytest.approx(35)


def test_reordering_is_that_of_the_rfc() -> None:
    # Arrival order 1 2 4 3 6 5 7: 3 and 5 are reordered.
    arrivals = np.array([1.0, 2.0, 4.0, 3.0, 6.0, 5.0, 7.0])
    assert reordered_of(arrivals).tolist() == [False, False, True, False, True, False, False]


def test_a_queue_gives_bounds() -> None:
    condition = Condition(
        delay_ms=20,
        rate_kbit=1000,
        queue_ms=300,
        loss=IndependentLoss(model="independent", percent=1),
    )
    found = expect(condition)

    assert (found.loss.low, found.loss.high) == (pytest.approx(0.01), 1.0)
    assert found.delay_ms[0.5].low == pytest.approx(20)
    assert found.delay_ms[0.5].high == pytest.approx(20 + 300 + 12)
    assert found.burst is None


def test_a_rate_without_a_depth_has_the_queue_it_is_given() -> None:
    asked = expect(Condition(delay_ms=20, rate_kbit=1000)).delay_ms[0.9]
    assert asked.high == pytest.approx(20 + DEFAULT_QUEUE_MS + 12)


def test_delays_made_up_for_order_are_the_distribution() -> None:
    parts = [(Condition(delay_ms=40, jitter_ms=5), 1.0)]
    found = expectation(parts, 10, 2000, made_up_for_order=True)

    for q, asked in found.delay_ms.items():
        assert asked.low <= 40 + 5 * NormalDist().inv_cdf(q) <= asked.high
    assert found.reordered is not None and found.reordered.high == 0.0


def test_slots_add_up_to_their_length() -> None:
    asked = expect(Condition(delay_ms=5, slot=Slot(min_ms=2, max_ms=8))).delay_ms[0.5]
    assert (asked.low, asked.high) == (pytest.approx(5), pytest.approx(13))


def test_conditions_are_mixed_by_their_packets() -> None:
    loss = IndependentLoss(model="independent", percent=10)
    parts = [(Condition(delay_ms=10, loss=loss), 300.0), (Condition(delay_ms=50), 700.0)]
    found = expectation(parts, 10, 0)

    assert found.loss.low == pytest.approx(0.03)
    assert found.delay_ms[0.1].low == pytest.approx(10)
    assert found.delay_ms[0.5].low == pytest.approx(50)


def test_a_link_that_is_down_loses_everything_and_delays_nothing() -> None:
    down = expectation([(Condition(down=True), 200.0), (Condition(delay_ms=9), 800.0)], 10, 0)

    assert down.loss.low == pytest.approx(0.2)
    assert down.delay_ms[0.9].high == pytest.approx(9)
    assert expect(Condition(down=True)).delay_ms == {}


def test_steps_repeat_and_begin_anywhere() -> None:
    one, two = Condition(delay_ms=1), Condition(delay_ms=2)
    schedule = Schedule(
        steps=(Step(at_s=0, from_host=one), Step(at_s=3, from_host=two)), repeat_s=5
    )
    found = pieces(schedule, "from_host", 4.0, 9.0)

    assert [(p.from_s, p.to_s, p.condition.delay_ms) for p in found] == [
        (4.0, 5.0, 2),
        (5.0, 8.0, 1),
        (8.0, 9.0, 2),
    ]
    assert [p.condition for p in pieces(schedule, "to_host", 0.0, 1.0)] == [Condition()]


def test_the_last_step_of_a_schedule_holds_on() -> None:
    schedule = Schedule(steps=(Step(at_s=0), Step(at_s=3, from_host=Condition(down=True))))
    (piece,) = pieces(schedule, "from_host", 100.0, 200.0)

    assert piece.condition.down and (piece.from_s, piece.to_s) == (100.0, 200.0)


def test_a_thousand_conditions_are_foretold_in_a_moment() -> None:
    parts = [(Condition(delay_ms=20 + n / 10, jitter_ms=2), 10.0) for n in range(1000)]
    found = expectation(parts, 10, 500)

    assert found.delay_ms[0.5].low == pytest.approx(70, abs=2.5)
