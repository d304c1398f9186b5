"""The statistics of a comparison, against published values and what chance must do."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from screamlab.compare.statistics import shares, smallest_sides, stand_out, values, wilson


def test_newcombe_1998_table_ii() -> None:
    """56 of 70 against 48 of 80, method 10: 0.2 (0.0524 to 0.3339)."""
    found = shares(48, 80, 56, 70)
    assert found.effect == pytest.approx(0.2)
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_wilson_as_newcombe_quotes_it() -> None:
    """81 of 263, method 3: 0.2553 to 0.3662."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_fisher_tasting_tea() -> None:
    """The lady of The Design of Experiments (1935): 3 of 4 cups right, two-sided 0.486."""
    assert shares(1, 4, 3, 4).p == pytest.approx(0.4857, abs=1e-4)


def test_hodges_lehmann_as_hollander_and_wolfe_have_it() -> None:
    """Permeability of membranes, table 4.1: p 0.2544, shift 0.305, 95 % from −0.15 to 0.76."""
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = values(early, term)
    assert found.p == pytest.approx(0.2544, abs=1e-4)
    assert found.effect == pytest.approx(0.305)
    assert found.interval == pytest.approx((-0.15, 0.76))


def test_ties_are_counted_and_not_approximated() -> None:
    """Of the 20 ways to deal 0 0 1 1 1 1 into threes, 4 are as far apart each way."""
    pool, seen = [0, 0, 1, 1, 1, 1], []
    for chosen in combinations(range(6), 3):
        a = [pool[at] for at in chosen]
        seen.append(abs(sum(a) - (sum(pool) - sum(a))))
    expected = sum(apart >= 2 for apart in seen) / len(seen)
    assert values([0, 0, 1], [1, 1, 1]).p == pytest.approx(expected)


def test_the_interval_covers_what_it_says() -> None:
    draw, covered, trials = np.random.default_rng(3), 0, 150
    for _ in range(trials):
        a, b = draw.normal(0, 1, 6), draw.normal(1, 1, 5)
        reach = np.sort(np.subtract.outer(b, a).ravel())
        low, high = values(list(a), list(b)).interval
        assert low in reach and high in reach
        covered += low <= 1 <= high
    assert covered / trials >= 0.92


def test_many_values_go_by_the_normal_approximation() -> None:
    draw = np.random.default_rng(4)
    a, b = draw.exponential(1, 400), draw.exponential(1, 300) + 0.3
    found = values(list(a), list(b))
    assert found.p == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
    assert found.interval[0] < 0.3 < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.3


def test_what_says_nothing_has_no_p() -> None:
    assert values([1, 1, 1, 1], [1, 1, 1, 1]).p is None
    assert shares(0, 5, 0, 5).p is None and shares(5, 5, 5, 5).p is None
    one = values([1], [2])
    assert one.p is None and one.interval == (-np.inf, np.inf)


def test_five_against_five_can_say_no_more_than_one_in_126() -> None:
    found = values([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])
    assert found.p == found.floor == pytest.approx(2 / 252)
    assert shares(0, 5, 5, 5).p == pytest.approx(2 / 252)


def test_among_many_more_must_be_shown() -> None:
    """The example of Benjamini and Hochberg (1995), section 3.2: 4 of 15 stand out."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
         0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip
    assert stand_out([*p, None]) == [True] * 4 + [False] * 12
    assert stand_out([None, 0.04]) == [False, True]
    assert stand_out([None]) == [False]


def test_how_many_runs_one_difference_needs() -> None:
    assert smallest_sides(1) == 4
    assert [smallest_sides(tests) for tests in (5, 20, 40)] == [5, 6, 7]


def test_noise_is_seldom_called_more() -> None:
    draw, alarms = np.random.default_rng(5), 0
    for _ in range(20):
        p = [values(list(draw.normal(0, 1, 5)), list(draw.normal(0, 1, 5))).p for _ in range(10)]
        alarms += any(stand_out(p))
    assert alarms <= 3
