"""Canaries of leaks by time: every shape that leaks trips, and none that is healthy."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import pytest

from screamlab.judge.canary import CLIENTS, HOSTS, ROUTER, CanaryRun
from screamlab.judge.checks import CHECKS
from screamlab.judge.leak import MIN_FLOORS, growth
from screamlab.judge.leak_bench import Calibration, calibrate, document
from screamlab.judge.leak_shapes import SHAPES
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import validate_check
from screamlab.judge.run import judge
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run
from screamlab.judge.windows import Window

HOUR_S, MIB = 3600.0, float(1 << 20)
HOURS = 4.0
T = np.arange(0.0, HOURS * HOUR_S, 5.0)
ALL = (Window(0.0, HOURS * HOUR_S),)
# Waves of load as long as these hide a leak, and a plateau that is still being neared is one that
# cannot be told from it; all they must not do is pass.
HIDDEN = {"periodic load", "load on and off", "slow plateau"}


@pytest.fixture(scope="module")
def rates() -> Calibration:
    return calibrate(10, (HOURS,), tuple(SHAPES))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_healthy_until_it_leaks(rates: Calibration, shape: str) -> None:
    cell = shape, HOURS
    assert rates.rates[0.0][cell].failed == 0
    assert rates.rates[4.0][cell].passed == 0
    assert shape in HIDDEN or rates.rates[4.0][cell].failed >= 0.9


@pytest.mark.parametrize("shape", ["flat", "saw-tooth", "steps", "cache fill", "bursts"])
def test_the_leak_it_is_made_for_is_found(rates: Calibration, shape: str) -> None:
    assert rates.rates[1.0][shape, HOURS].failed >= 0.9


@pytest.mark.parametrize("shape", ["flat", "saw-tooth", "GC waves", "steps", "bursts"])
def test_what_a_run_promises_to_see_it_sees(rates: Calibration, shape: str) -> None:
    assert rates.kept[shape, HOURS] >= 0.8


def test_the_table_has_a_cell_for_each_rate(rates: Calibration) -> None:
    text = document(rates, 10)
    assert "| flat | 0.0 (100.0) |" in text
    assert text.count("| flat |") == len(rates.rates) + 1


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, len(T))


def test_what_grows_in_left_out_time_is_no_leak() -> None:
    hole = Window(2 * HOUR_S, 3 * HOUR_S)
    value = noise() + 50 * np.clip(T / HOUR_S - 2, 0, 1)
    assert growth(Samples(T, value), ALL, without=(hole,)).low * HOUR_S < 0.1  # type: ignore[union-attr]


def test_a_leak_goes_on_beside_left_out_time() -> None:
    holes = tuple(Window(h * HOUR_S, (h + 0.5) * HOUR_S) for h in (0.5, 1.5, 2.5))
    value = noise() + 1.0 * T / HOUR_S
    found = growth(Samples(T, value), ALL, without=holes)
    assert found is not None
    assert found.low * HOUR_S > 0.8
    assert found.length == pytest.approx(2.5 * HOUR_S, rel=0.05)


def test_warm_up_is_removed_and_growth_that_slows_down_may_end() -> None:
    filled = growth(Samples(T, noise() + 80 * np.minimum(T / HOUR_S, 1)), ALL)
    assert filled is not None
    assert 0.8 * HOUR_S <= filled.begin <= 1.2 * HOUR_S
    assert filled.low * HOUR_S < 0.1
    slow = growth(Samples(T, noise() + 80 * (1 - np.exp(-T / HOUR_S))), ALL)
    assert slow is not None
    assert slow.settling and slow.low * HOUR_S > 0.25


def test_what_never_changes_is_as_coarse_as_one_says() -> None:
    found = growth(Samples(T, np.full(len(T), 29.0)), ALL, granule=1.0)
    assert found is not None
    assert (found.low, found.rate, found.settling) == (0.0, 0.0, False)
    assert 2.5 < found.blur * HOUR_S < 3.5


@pytest.mark.parametrize(
    ("t", "value"),
    [
        (T[:0], T[:0]),
        (T[:1], T[:1]),
        (T, np.full(len(T), np.nan)),
        (T[: int(MIN_FLOORS * 60 / 5) - 13], T[: int(MIN_FLOORS * 60 / 5) - 13]),
    ],
    ids=["nothing", "one sample", "no number", "too short"],
)
def test_of_too_little_nothing_is_said(t: np.ndarray, value: np.ndarray) -> None:
    end_s = float(t[-1]) + 5 if len(t) else 0.0
    assert growth(Samples(t, value), (Window(0.0, end_s),)) is None


def test_a_sample_without_a_number_is_left_out() -> None:
    value = noise()
    value[::7] = np.nan
    assert growth(Samples(T, value), ALL) is not None


# --- the checks, on a run of four hours


@pytest.fixture(scope="module")
def healthy() -> CanaryRun:
    return long_run(HOURS * HOUR_S + 300)


@pytest.fixture
def run(healthy: CanaryRun) -> CanaryRun:
    found = copy(healthy)
    found.data, found.told, found.plans = dict(found.data), [*found.told], dict(found.plans)
    return found


def long_run(hold_s: float) -> CanaryRun:
    found = CanaryRun([{"id": "router.leak"}, {"id": "lab.memory"}], hold_s=hold_s)
    t = np.arange(1.0, found.duration_s + 1)
    found.put(ROUTER, "process/router", "uss_bytes", t[::5], 9e7)
    found.put(ROUTER, "process/router", "sockets", t, 11.0)
    for turn, host in enumerate(HOSTS):
        wave = np.random.default_rng(turn).normal(2e8, 1e5, len(t))
        found.put(host, "process/agent", "rss_bytes", t, wave)
    return found


def asked(run: CanaryRun, check_id: str = "router.leak", **params: Any) -> dict[str, CheckResult]:
    spec = CHECKS[check_id]
    return {result.subject: result for result in spec.function(Run(run), spec.params(**params))}


def test_a_healthy_run_passes_and_says_what_it_would_have_seen(run: CanaryRun) -> None:
    verdict = judge(Run(run), ())
    assert [r for r in verdict.checks if r.status != "pass"] == []
    assert len(verdict.checks) == 5 + len(HOSTS)
    assert all("would have been seen" in result.reason for result in verdict.checks)


def by_hour(subject: str, metric: str, each: float) -> Callable[[CanaryRun], None]:
    return lambda run: run.change(subject, metric, lambda t, v: v + np.floor(each * t / HOUR_S))


# name: what is planted, the check that must trip, its subject, how
LEAKS: dict[str, tuple[Callable[[CanaryRun], None], str, str, str]] = {
    "resident memory": (
        by_hour("process/router", "rss_bytes", MIB),
        "router.leak", "process/router/rss_bytes", "fail",
    ),
    "memory of its own": (
        by_hour("process/router", "uss_bytes", MIB),
        "router.leak", "process/router/uss_bytes", "fail",
    ),
    "descriptors": (
        by_hour("process/router", "descriptors", 8),
        "router.leak", "process/router/descriptors", "fail",
    ),
    "threads": (
        by_hour("process/router", "threads", 8),
        "router.leak", "process/router/threads", "fail",
    ),
    "sockets": (
        by_hour("process/router", "sockets", 8),
        "router.leak", "process/router/sockets", "fail",
    ),
    "an agent": (
        lambda run: run.change(
            "process/agent", "rss_bytes",
            lambda t, v: v + 16 * MIB * t / HOUR_S * (v.mean() > 0),
        ),
        "lab.memory", CLIENTS[0], "invalid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_trips_its_check(run: CanaryRun, name: str) -> None:
    plant, check_id, subject, status = LEAKS[name]
    plant(run)
    bad = [result for result in judge(Run(run), ()).checks if result.status != "pass"]
    assert {(r.id, r.status) for r in bad} == {(check_id, status)}
    assert subject in {result.subject for result in bad}
    assert all("in every quarter" in result.reason for result in bad)


def test_a_step_and_a_cache_are_none(run: CanaryRun) -> None:
    run.change("process/router", "rss_bytes", lambda t, v: v + 60 * MIB * (t > 2 * HOUR_S))
    run.change("process/router", "threads", lambda t, v: v + np.minimum(t // 200, 30))
    results = asked(run)
    assert results["process/router/rss_bytes"].status == "pass"
    assert results["process/router/threads"].status == "pass"


def test_growth_that_slows_down_is_not_known(run: CanaryRun) -> None:
    run.change("process/router", "rss_bytes", lambda t, v: v + 80 * MIB * (1 - np.exp(-t / HOUR_S)))
    result = asked(run)["process/router/rss_bytes"]
    assert result.status == "unknown"
    assert "slows down" in result.reason


def test_a_run_that_sees_too_little_says_how_long_it_takes(run: CanaryRun) -> None:
    rng = np.random.default_rng(3)
    run.change(
        "process/router", "rss_bytes", lambda t, v: v + np.cumsum(rng.normal(0, 2e4, len(t)))
    )
    result = asked(run)["process/router/rss_bytes"]
    assert result.status == "unknown"
    assert "one of 1 not: that takes about" in result.reason


def test_a_short_run_is_not_known(run: CanaryRun) -> None:
    results = asked(long_run(900.0))
    assert {result.status for result in results.values()} == {"unknown"}
    assert all("20 min needed" in result.reason for result in results.values())


def test_warm_up_is_left_out(run: CanaryRun) -> None:
    short = long_run(1800.0)
    short.change("process/router", "rss_bytes", lambda t, v: v + 2e5 * np.minimum(t, 320))
    result = asked(short, see_mib_per_hour=8)["process/router/rss_bytes"]
    assert result.status == "pass"
    assert abs(result.value or 0.0) < 0.1


def test_a_router_that_began_anew_is_judged_from_then_on(run: CanaryRun) -> None:
    run.event(HOUR_S, ROUTER, "process.restarted", "process/router", pid=8)
    run.change("process/router", "rss_bytes", lambda t, v: v + 1e6 * (t < HOUR_S) * t / 60)
    result = asked(run, see_mib_per_hour=2)["process/router/rss_bytes"]
    assert result.status == "pass"
    assert "h from 40" in result.reason


def test_impaired_time_is_left_out_unless_asked_for(run: CanaryRun) -> None:
    plan = run.plans[CLIENTS[0]]
    during = plan.impairments[0].model_copy(update={"from_s": HOUR_S, "to_s": 3 * HOUR_S})
    spec = {"impairments": [during.model_dump()]}
    workers = [
        w.model_copy(update={"spec": spec}) if w.kind == "impairment" else w for w in plan.workers
    ]
    run.plans[CLIENTS[0]] = plan.model_copy(update={"workers": tuple(workers)})
    each = MIB / HOUR_S
    run.change(
        "process/router",
        "rss_bytes",
        lambda t, v: v + each * (t - np.clip(t - HOUR_S, 0, 2 * HOUR_S)),
    )
    assert asked(run)["process/router/rss_bytes"].status == "fail"
    assert asked(run, impaired=True)["process/router/rss_bytes"].status == "pass"


def test_what_nobody_measured_or_knows_is_unknown(run: CanaryRun) -> None:
    run.cut("process/router", "rss_bytes", lambda t: t < 0)
    results = asked(run, resources=["rss_bytes", "hats"])
    assert {result.status for result in results.values()} == {"unknown"}


def test_a_run_must_see_more_than_it_allows() -> None:
    with pytest.raises(ValueError, match="see_per_hour must be more than max_per_hour"):
        validate_check({"id": "router.leak", "max_per_hour": 8})
