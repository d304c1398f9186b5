"""Canaries of churn: healthy churn passes every check, each planted fault trips exactly its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from screamlab.judge.canary import CLIENTS, ROUTER, CanaryRun
from screamlab.judge.canary_churn import CYCLES, HOLD_S, KINDS, churn
from screamlab.judge.checks import CHECKS
from screamlab.judge.leak_cycles import growth_per_cycle
from screamlab.judge.model import CheckResult, Verdict
from screamlab.judge.run import judge
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run
from screamlab.judge.windows import Window

# Of the hold from 20 s to 140 s the middle third is churn.
BEGIN_S, END_S, AT_S = 60.0, 100.0, 80.0
RTP = "stream/rtp-out-01/rtp-in-01"
# How the router started is in a file this run has not, as is what tools say of
# its memory, and it is too short for leaks by time.
ELSEWHERE = ("wire.", "router.starts", "router.leak", "lab.memory", "python.", "valgrind.")
ALL = [{"id": check_id} for check_id in CHECKS if not check_id.startswith(ELSEWHERE)]
OWN = ("churn.cycles", "churn.time", "churn.leak", "churn.baseline", "router.hang")

Plant = Callable[[CanaryRun], None]


@pytest.fixture
def run() -> CanaryRun:
    found = CanaryRun(ALL, hold_s=HOLD_S)
    churn(found, ROUTER, CLIENTS[0])
    return found


def judged(run: CanaryRun) -> Verdict:
    return judge(Run(run), ())


def asked(run: CanaryRun, check_id: str, **params: Any) -> dict[str, CheckResult]:
    spec = CHECKS[check_id]
    return {result.subject: result for result in spec.function(Run(run), spec.params(**params))}


def test_every_check_passes_healthy_churn(run: CanaryRun) -> None:
    verdict = judged(run)
    assert [r for r in verdict.checks if r.status != "pass"] == []
    assert {result.id for result in verdict.checks} == {item["id"] for item in ALL}
    assert verdict.verdict == "PASS"


def of_group(run: CanaryRun, group: str) -> list[dict[str, Any]]:
    return [event for event in run.events("churn.cycle") if event["subject"] == f"churn/{group}"]


def fail(run: CanaryRun, group: str, numbers: range, error: str) -> None:
    for event in of_group(run, group):
        if event["number"] in numbers:
            event.pop("disconnect_ms")
            event.update(ok=False, error=error)


def slow(run: CanaryRun, group: str, what: str, ms: float) -> None:
    for event in of_group(run, group):
        event[what] += ms


def ends_s(run: CanaryRun) -> np.ndarray:
    return np.sort(
        [c["to_s"] for p in run.plans.values() for w in p.workers if w.kind.startswith("churn_")
         for c in w.spec["cycles"]]
    )  # fmt: skip


def leaking(metric: str, each: float, subject: str = "process/router") -> Plant:
    """Every cycle leaves `each` of it behind."""

    def plant(run: CanaryRun) -> None:
        over = ends_s(run)
        run.change(subject, metric, lambda t, v: v + each * np.searchsorted(over, t))

    return plant


def silent(run: CanaryRun, from_s: float, to_s: float) -> None:
    run.change("router", "api_ok", lambda t, v: np.where((t >= from_s) & (t < to_s), 0, v))


def more_dropouts(run: CanaryRun) -> None:
    run.change(RTP, "dropouts", lambda t, v: v + 5 * (t >= AT_S))
    run.change(RTP, "dropout_ms", lambda t, v: v + 500 * (t >= AT_S))


# name: what is planted, the check that must fail, its subject, what the reason must say
FAULTS: dict[str, tuple[Plant, str, str, str]] = {
    "cycles fail": (
        lambda run: fail(run, "sip", range(4, 6), "no answer"),
        "churn.cycles", "churn/sip", "13 of 15 cycles succeeded; first cycle 4 at",
    ),
    "slow to connect": (
        lambda run: slow(run, "webrtc", "connect_ms", 2500),
        "churn.time", "churn/webrtc/connect", "slowest 2595 ms in cycle 15",
    ),
    "slow to leave": (
        lambda run: slow(run, "rtp", "disconnect_ms", 2500),
        "churn.time", "churn/rtp/disconnect", "p95 26",
    ),
    "descriptors": (
        leaking("descriptors", 0.25), "churn.leak", "process/router/descriptors",
        f"after {len(KINDS) * CYCLES} cycles",
    ),
    "sockets": (leaking("sockets", 0.5), "churn.leak", "process/router/sockets", "+0."),
    "threads": (leaking("threads", 0.25), "churn.leak", "process/router/threads", "+0."),
    "listeners": (
        leaking("webrtc_listeners", 0.25, "router"), "churn.leak", "router/webrtc_listeners",
        "a leak of",
    ),
    "worse sound": (
        more_dropouts, "churn.baseline", RTP, "7.5 dropouts a minute while clients came and went",
    ),
    "less sound": (
        lambda run: run.change(RTP, "heard", lambda t, v: v * ((t < AT_S) | (t > AT_S + 4))),
        "churn.baseline", RTP, "heard for 87.5% and 100.0%",
    ),
    "a hang that was looked into": (
        lambda run: run.event(
            AT_S, ROUTER, "router.hang", "router", pid=7, reason="no answer", silent_s=10.2,
            files=["stacks-gdb-80.txt"],
        ),
        "router.hang", "router", "stacks of its threads: stacks-gdb-80.txt",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_check_alone(run: CanaryRun, name: str) -> None:
    plant, check_id, subject, words = FAULTS[name]
    plant(run)
    bad = [result for result in judged(run).checks if result.status != "pass"]
    # Descriptors and threads that are kept are seen by more than one check.
    own = [result for result in bad if result.id not in ("router.descriptors", "router.threads")]
    assert [(r.id, r.subject, r.status) for r in own] == [(check_id, subject, "fail")]
    assert words in own[0].reason


def test_a_silent_api_is_a_hang_as_well_as_unresponsive(run: CanaryRun) -> None:
    silent(run, AT_S, AT_S + 12)
    bad = {result.id: result for result in judged(run).checks if result.status != "pass"}
    assert set(bad) == {"router.hang", "router.responsive"}
    assert "stood still for 13 s from 79.0 s" in bad["router.hang"].reason


def test_a_dead_router_does_not_hang(run: CanaryRun) -> None:
    silent(run, AT_S, 1e9)
    run.event(AT_S - 0.5, ROUTER, "process.gone", "process/router", pid=7)
    assert asked(run, "router.hang")["router"].status == "pass"


def test_a_hole_in_the_samples_is_no_hang(run: CanaryRun) -> None:
    run.cut("router", "api_ok", lambda t: (t < AT_S) | (t > AT_S + 30))
    assert asked(run, "router.hang")["router"].status == "pass"


def test_cycles_the_lab_did_not_begin_make_it_invalid(run: CanaryRun) -> None:
    run.told = [
        event for event in run.told
        if (event["kind"], event["subject"]) != ("churn.cycle", "churn/rtp")
        or event["number"] <= 10
    ]  # fmt: skip
    result = asked(run, "churn.cycles")["churn/rtp"]
    assert (result.status, result.value) == ("invalid", pytest.approx(2 / 3))
    assert "began only 10 of 15" in result.reason


def test_cycles_begun_late_tell_no_time(run: CanaryRun) -> None:
    slow(run, "sip", "connect_ms", 9000)
    slow(run, "sip", "late_ms", 500)
    results = asked(run, "churn.time")
    assert results["churn/sip/connect"].status == "invalid"
    assert results["churn/rtp/connect"].status == "pass"


def test_a_cycle_that_fails_while_the_lab_overran_is_not_charged(run: CanaryRun) -> None:
    spoilt = of_group(run, "sip")[6]
    fail(run, "sip", range(spoilt["number"], spoilt["number"] + 1), "no answer")
    at_s = spoilt["t"] - run.zero
    run.event(at_s + 0.1, CLIENTS[0], "sender.overrun", "native-sender", late_ms=80.0)
    result = next(
        r for r in judged(run).checks if (r.id, r.subject) == ("churn.cycles", "churn/sip")
    )
    assert result.status == "pass"
    assert "overran by 80.0 ms" in result.reason


def test_a_pool_that_fills_once_is_no_leak(run: CanaryRun) -> None:
    run.change("process/router", "threads", lambda t, v: v + 12 * (t >= BEGIN_S + 4))
    assert asked(run, "churn.leak")["process/router/threads"].status == "pass"


def test_what_is_held_by_those_who_are_there_is_no_leak(run: CanaryRun) -> None:
    run.change("process/router", "sockets", lambda t, v: v + 30 * ((t >= BEGIN_S) & (t < END_S)))
    assert asked(run, "churn.leak")["process/router/sockets"].status == "pass"


def test_memory_is_judged_where_it_is_asked_for(run: CanaryRun) -> None:
    assert "process/router/rss_bytes" not in asked(run, "churn.leak")
    leaking("rss_bytes", 50_000)(run)
    results = asked(run, "churn.leak", resources=["rss_bytes"])
    assert results["process/router/rss_bytes"].status == "fail"
    calm = asked(run, "churn.leak", resources=["rss_bytes"], max_bytes_per_cycle=1e6)
    assert calm["process/router/rss_bytes"].status == "pass"


def test_a_resource_nobody_measured_or_knows_is_unknown(run: CanaryRun) -> None:
    results = asked(run, "churn.leak", resources=["uss_bytes", "hats"])
    assert {result.status for result in results.values()} == {"unknown"}


@pytest.mark.parametrize("check_id", OWN)
def test_below_its_minimum_a_check_knows_nothing(run: CanaryRun, check_id: str) -> None:
    results = asked(run, check_id, min_samples=5000)
    assert results and {result.status for result in results.values()} == {"unknown"}


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_resource_raises_no_alarm_and_its_leak_is_seen(seed: int) -> None:
    noise = np.random.default_rng(seed)
    t = np.arange(0.0, 300.0)
    over = np.sort(noise.uniform(60, 240, 200))
    busy = (t >= 60) & (t < 240)
    value = 100 + busy * noise.poisson(8, len(t)) + noise.integers(0, 2, len(t))
    windows = ((Window(0, 60),), (Window(60, 240),), (Window(245, 300),))

    def low(each: float) -> float:
        series = Samples(t, value + each * np.searchsorted(over, t))
        found = growth_per_cycle(series, *windows, over, 5.0)
        assert found is not None
        return found.growth.low

    assert low(0.0) <= 0.02
    assert low(0.2) > 0.05
