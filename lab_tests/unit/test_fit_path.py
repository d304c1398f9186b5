"""Delay, order, rate and change points: what was planted is found, and what was not is not."""

from __future__ import annotations

import numpy as np
import pytest

from screamlab.errors import BadInput
from screamlab.fit.change import change_points
from screamlab.fit.clock import common_drift, lone_drift
from screamlab.fit.delay import fit_delay, ks_distance, reordered_share
from screamlab.fit.direction import fit_direction
from screamlab.fit.rate import fit_rate
from screamlab.fit.samples import join, make, require

SPACING_S = 0.01


def path(delay_ms, *, lost=None, spacing_s=SPACING_S, size=None):
    """Samples of a path; `delay_ms` has a delay for each packet."""
    delay = np.asarray(delay_ms, float) / 1e3
    gone = np.zeros(len(delay), bool) if lost is None else lost
    sent = np.arange(len(delay)) * spacing_s
    return make("test", "to_host", sent, np.where(gone, np.nan, delay), bytes_on_link=size)


def in_order(drawn_ms, spacing_s=SPACING_S):
    """Delays (ms) of packets that wait for late ones ahead of them."""
    sent = np.arange(len(drawn_ms)) * spacing_s * 1e3
    return np.maximum.accumulate(sent + drawn_ms) - sent


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("spacing_s", [0.002, 0.006, 0.02])
def test_the_table_is_what_was_drawn_and_not_what_was_measured(seed: int, spacing_s) -> None:
    rng = np.random.default_rng(seed)
    drawn = 5 + rng.gamma(2.0, 4.0, 20_000)
    samples = path(in_order(drawn, spacing_s), spacing_s=spacing_s)
    found = fit_delay(samples, samples.spacing_s, keep_order=True)
    assert found.ks < 0.03
    # What the draws below most of what is measured were cannot be told, nor does it matter.
    seen = np.arange(50, 100, 10)
    table = np.array(found.quantiles_ms)[seen]
    assert table == pytest.approx(np.quantile(drawn, seen / 100), rel=0.15)
    if spacing_s == 0.002:
        naive = np.quantile(samples.delay_s * 1e3, seen / 100)
        assert np.abs(naive / np.quantile(drawn, seen / 100) - 1).max() > 0.2


def test_one_late_packet_does_not_make_many() -> None:
    delay = np.full(2000, 10.0) + np.random.default_rng(1).normal(0, 0.5, 2000)
    delay[700] = 900
    found = fit_delay(path(delay), 1.0, keep_order=True)
    assert found.quantiles_ms[-1] < 200
    table = np.array(found.quantiles_ms)
    mean = (table[:-1] + table[1:]).mean() / 2
    assert mean == pytest.approx(delay.mean(), rel=0.02)


def test_ks_distance_is_scipys() -> None:
    from scipy import stats

    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, 500), rng.normal(0.3, 1.2, 700)
    assert ks_distance(one, other) == pytest.approx(stats.ks_2samp(one, other).statistic)


def test_reordering_is_that_of_rfc_4737() -> None:
    assert reordered_share(np.array([0, 1, 2, 3])) == 0
    # Packet 2 overtakes 0 and 1: both of them are reordered.
    assert reordered_share(np.array([1, 2, 0, 3])) == pytest.approx(2 / 4)
    assert reordered_share(np.array([0, -1, 2, 1])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reordering_beyond_that_of_the_delays_is_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    delay = rng.normal(30, 0.5, 10_000)
    delay[rng.random(10_000) < 0.02] = 0.0
    found = fit_direction(path(delay))
    assert found.reordered == pytest.approx(0.06, abs=0.02)
    assert not found.condition.keep_order


def test_a_path_that_keeps_the_order_is_replayed_in_order() -> None:
    rng = np.random.default_rng(4)
    found = fit_direction(path(in_order(rng.gamma(2.0, 8.0, 5000))))
    assert found.condition.keep_order
    assert found.condition.reorder is None
    assert found.reordered == 0


def through_a_link(sent_s, size_bytes, rate_kbit, queue_bytes, base_s=0.02):
    """One-way delays through a drop-tail queue, NaN where it was full."""
    service_s = size_bytes * 8 / (rate_kbit * 1e3)
    free_at, delays = 0.0, []
    for at in sent_s:
        backlog = max(0.0, free_at - at)
        if backlog * rate_kbit * 125 + size_bytes > queue_bytes:
            delays.append(np.nan)
            continue
        free_at = max(free_at, at) + service_s
        delays.append(free_at - at + base_s)
    return np.array(delays)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rate_kbit", [800, 5000])
def test_a_narrow_link_and_its_queue_are_found(seed: int, rate_kbit: int) -> None:
    rng = np.random.default_rng(seed)
    # Overload and rest in turn, as of a sender whose rate goes up and down.
    mean_s = 1242 * 8 / (rate_kbit * 1e3)
    factors = np.repeat(rng.permutation([0.5, 0.6, 1.6, 2.5] * 5), 300)
    sent = np.cumsum(mean_s * factors)
    delay = through_a_link(sent, 1242, rate_kbit, 30_000)
    samples = make("test", "to_host", sent, delay, bytes_on_link=1242)
    found = fit_direction(samples)
    assert found.rate is not None
    assert found.rate.rate_kbit == pytest.approx(rate_kbit, rel=0.02)
    assert found.rate.queue_ms == pytest.approx(30_000 * 8 / rate_kbit, rel=0.15)
    # The queue's waits and drops are not drawn a second time.
    assert found.condition.loss is None
    assert max(found.condition.delay_quantiles_ms) < 20 + 3 * mean_s * 1e3


def test_jitter_is_not_taken_for_a_rate() -> None:
    rng = np.random.default_rng(5)
    for delays in (in_order(rng.gamma(1.0, 20.0, 5000)), np.full(5000, 7.0)):
        rate, why_not = fit_rate(path(delays, size=1242))
        assert rate is None
        assert why_not.startswith("no rate: ")


@pytest.mark.parametrize("seed", range(6))
def test_a_path_that_does_not_change_has_no_change_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    delay = in_order(10 + rng.gamma(1.0, 6.0, 12_000))
    lost = np.zeros(12_000, bool)
    for begin in rng.choice(11_990, 60, replace=False):
        lost[begin : begin + rng.geometric(0.2)] = True
    assert change_points([path(delay, lost=lost)]) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_changes_are_found_to_a_second(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = 9000
    delay = 20 + rng.gamma(1.0, 3.0, count)
    delay[3000:6000] += 15
    lost = rng.random(count) < 0.002
    lost[6000:] = rng.random(3000) < 0.08
    found = change_points([path(in_order(delay), lost=lost)])
    assert found == pytest.approx([30, 60], abs=1)


def test_a_cut_in_the_middle_is_a_cut() -> None:
    lost = np.zeros(6000, bool)
    lost[2000:3000] = True
    samples = path(np.full(6000, 5.0), lost=lost)
    found = change_points([samples])
    assert found == pytest.approx([20, 30], abs=1)
    between = fit_direction(samples.between(found[0] + 1, found[1] - 1))
    assert between.condition.down


def test_clocks_are_told_from_paths() -> None:
    rng = np.random.default_rng(6)
    sent = np.arange(0, 300, 0.01)
    there, back = (0.02 + rng.gamma(1.0, 0.003, len(sent)) for _ in range(2))
    drift = 30e-6
    found = common_drift(sent, there + drift * sent, back - drift * sent)
    assert found == pytest.approx(drift, rel=0.02)
    assert lone_drift(sent, there + drift * sent) == pytest.approx(drift, rel=0.05)
    assert common_drift(sent, there, back) == 0
    # A longer route in one direction from the middle on is no clock.
    assert common_drift(sent, there + 0.03 * (sent > 150), back) == 0
    assert lone_drift(sent, there + 0.05 * (sent > 150)) == 0


def test_too_little_is_refused() -> None:
    with pytest.raises(BadInput, match="test: to_host: 150 packets; 200 are needed"):
        require(path(np.full(150, 5.0)))
    with pytest.raises(BadInput, match="not one of 300 packets came"):
        require(path(np.full(300, 5.0), lost=np.ones(300, bool)))
    most = np.arange(300) >= 20
    with pytest.raises(BadInput, match="20 packets came; 50 are needed"):
        require(path(np.full(300, 5.0), lost=most))


def test_parts_are_joined_one_after_the_other() -> None:
    one, other = path([5.0, 6.0]), path([7.0, 4.0, 8.0], lost=np.array([False, True, False]))
    both = join([one, other])
    assert both.send_s == pytest.approx([0, 0.01, 0.02, 0.03, 0.04])
    assert both.arrival.tolist() == [0, 1, 2, -1, 3]
    assert both.lost.tolist() == [False, False, False, True, False]
