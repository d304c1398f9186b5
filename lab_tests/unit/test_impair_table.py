"""Tables yield the delays asked for; where order is kept, after it was kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean, pstdev

import pytest

from screamlab.impair.condition import Condition
from screamlab.impair.table import SCALE, shape_quantiles
from screamlab.impair.translate import half

MEASURED = (5.0, 6, 7, 8, 9, 10, 12, 15, 20, 40, 100)


def draws(condition: Condition, packets_per_s: float | None = None) -> list[float]:
    """Delays in ms as tabledist() makes them, each once."""
    made = half(condition, (), packets_per_s=packets_per_s)
    assert made.table
    delay, jitter = made.netem.delay_s * 1000, made.netem.jitter_s * 1000
    return sorted(max(0.0, delay + jitter * entry / SCALE) for entry in made.table.entries)


def after_order(delays: Sequence[float], spacing_ms: float, count: int = 60_000) -> list[float]:
    """Delays of packets of which none leaves before its predecessor, as with a rate in netem."""
    chance = random.Random(1)
    left, found = 0.0, []
    for packet in range(count):
        left = max(left, packet * spacing_ms + chance.choice(delays))
        found.append(left - packet * spacing_ms)
    return sorted(found)


def quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


@pytest.mark.parametrize(
    ("shape", "mean", "deviation"),
    [("uniform", 40, 5.77), ("normal", 40, 10), ("pareto", 39.7, 8.2), ("paretonormal", 39.7, 8.3)],
)
def test_shapes_are_those_of_tc(shape: str, mean: float, deviation: float) -> None:
    found = draws(Condition(delay_ms=40, jitter_ms=10, distribution=shape))
    assert fmean(found) == pytest.approx(mean, abs=0.1)
    assert pstdev(found) == pytest.approx(deviation, rel=0.02)


def test_measured_quantiles_come_out_as_given() -> None:
    found = draws(Condition(delay_quantiles_ms=MEASURED))
    for index, asked in enumerate(MEASURED):
        assert quantile(found, index / 10) == pytest.approx(asked, abs=0.05)


def test_order_makes_independent_delays_longer() -> None:
    found = after_order(draws(Condition(delay_ms=40, jitter_ms=10)), spacing_ms=2)
    assert fmean(found) > 48
    assert pstdev(found) < 7


@pytest.mark.parametrize("packets_per_s", [200, 1000])
@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_delays_after_order_are_those_asked(shape: str, packets_per_s: float) -> None:
    asked = Condition(delay_ms=40, jitter_ms=10, distribution=shape)
    found = after_order(draws(asked, packets_per_s), 1000 / packets_per_s)
    wanted = [40 + 10 * at for at in shape_quantiles(asked.distribution)]
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert quantile(found, share) == pytest.approx(quantile(wanted, share), abs=0.7)


def test_measured_quantiles_come_out_after_order() -> None:
    condition = Condition(delay_quantiles_ms=MEASURED)
    found = after_order(draws(condition, 200), spacing_ms=5)
    for index in range(1, 9):
        asked = MEASURED[index]
        assert quantile(found, index / 10) == pytest.approx(asked, rel=0.05)


def test_packets_that_may_overtake_are_not_made_up_for() -> None:
    free = Condition(delay_ms=40, jitter_ms=10, keep_order=False)
    assert draws(free, 200) == draws(free)


def test_a_table_is_named_after_its_content() -> None:
    names = {
        made.table.name
        for jitter in (5, 5.0, 6)
        if (made := half(Condition(delay_ms=40, jitter_ms=jitter), (), packets_per_s=200)).table
    }
    assert len(names) == 2


def test_a_table_fits_in_tc_and_in_netem() -> None:
    table = half(Condition(delay_quantiles_ms=MEASURED), ()).table
    assert table
    numbers = [int(word) for word in table.text().split()]
    assert -32768 < min(numbers) < 0 < max(numbers) == 32767
    assert len(numbers) & (len(numbers) - 1) == 0
    assert 2 * len(numbers) < 32768
