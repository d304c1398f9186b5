"""Whether the judge sees that the network was not broken as asked, and cries wolf never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from screamlab.impair.condition import (
    Condition,
    FourState,
    GilbertElliott,
    IndependentLoss,
    Reorder,
    Schedule,
    Step,
)
from screamlab.judge import interval
from screamlab.judge.canary import CanaryRun
from screamlab.judge.canary_network import break_network
from screamlab.judge.checks import CHECKS
from screamlab.judge.impaired import Figure, impaired_windows, truth_table
from screamlab.judge.model import CheckResult
from screamlab.judge.run import judge
from screamlab.judge.view import Run
from screamlab.judge.windows import Window

PROOFS = ("impair.delay", "impair.loss", "impair.bursts", "impair.reordering")
# The canary's impaired phase and the one after it.
BEGIN_S, END_S = 60.0, 84.0
RTP = "stream/rtp-out-01/rtp-in-01"


def lost(percent: float) -> IndependentLoss:
    return IndependentLoss(model="independent", percent=percent)


def both(**condition: Any) -> Schedule:
    """One condition in both directions, all the time."""
    one = Condition(**condition)
    return Schedule(steps=(Step(at_s=0, from_host=one, to_host=one),))


BURSTS = GilbertElliott(model="gilbert_elliott", to_bad_percent=2, to_good_percent=25)
FOUR = FourState(
    model="four_state", p13_percent=2, p31_percent=25, p32_percent=10, p23_percent=30,
    p14_percent=1,
)  # fmt: skip
FLAP = Schedule(
    steps=(Step(at_s=0), Step(at_s=3, from_host=Condition(down=True), to_host=Condition())),
    repeat_s=5,
)


@pytest.fixture(scope="module")
def shared() -> CanaryRun:
    """For tests that only plan and break the network."""
    return CanaryRun()


@pytest.fixture
def run() -> CanaryRun:
    return CanaryRun()


def asked(run: CanaryRun, check_id: str, **params: Any) -> list[CheckResult]:
    spec = CHECKS[check_id]
    return spec.function(Run(run), spec.params(**params))


def statuses(run: CanaryRun, check_id: str, **params: Any) -> set[str]:
    return {result.status for result in asked(run, check_id, **params)}


CONDITIONS: dict[str, Schedule] = {
    "delay and bursts": both(delay_ms=40, jitter_ms=5, loss=BURSTS),
    "four states": both(delay_ms=5, loss=FOUR),
    "out of order": both(delay_ms=30, jitter_ms=8, distribution="pareto", keep_order=False),
    "sent at once": both(delay_ms=50, keep_order=False, reorder=Reorder(percent=5, gap=3)),
    "measured": both(delay_quantiles_ms=(1, 1, 1, 1, 2, 2, 3, 4, 6, 10, 40), loss=lost(1)),
    "flapping": FLAP,
    "nothing": both(),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_was_asked_and_given_is_believed(shared: CanaryRun, name: str) -> None:
    """At 99.9 % a handful of seeds may not raise one alarm in a hundred answers."""
    alarms = answers = 0
    for seed in range(5):
        break_network(shared, "client1", "client2", CONDITIONS[name], seed=seed)
        results = [result for check_id in PROOFS for result in asked(shared, check_id)]
        answers += len(results)
        alarms += sum(result.status == "invalid" for result in results)
    assert answers >= 5 * 6
    assert alarms <= answers // 100


# what is asked, what is given, the checks that must find out
MISMATCHES: dict[str, tuple[Schedule, Schedule, set[str]]] = {
    "twice the loss": (both(loss=lost(2)), both(loss=lost(4)), {"impair.loss"}),
    "half the loss": (both(loss=lost(4)), both(loss=lost(2)), {"impair.loss"}),
    "loss nobody asked for": (both(), both(loss=lost(1)), {"impair.loss"}),
    "more delay": (
        both(delay_ms=40, jitter_ms=5), both(delay_ms=45, jitter_ms=5), {"impair.delay"},
    ),
    "less delay": (
        both(delay_ms=40, jitter_ms=5), both(delay_ms=35, jitter_ms=5), {"impair.delay"},
    ),
    "no jitter": (both(delay_ms=40, jitter_ms=8), both(delay_ms=40), {"impair.delay"}),
    "single losses": (both(loss=BURSTS), both(loss=lost(100 * 2 / 27)), {"impair.bursts"}),
    "longer bursts": (
        both(loss=BURSTS),
        both(loss=BURSTS.model_copy(update={"to_bad_percent": 0.5, "to_good_percent": 6.25})),
        {"impair.bursts"},
    ),
    "out of order": (
        both(delay_ms=40, jitter_ms=10), both(delay_ms=40, jitter_ms=10, keep_order=False),
        {"impair.reordering"},
    ),
    "in order": (
        both(delay_ms=50, keep_order=False, reorder=Reorder(percent=5)), both(delay_ms=50),
        {"impair.reordering"},
    ),
    "nothing at all": (
        both(delay_ms=40, jitter_ms=5, loss=BURSTS), both(), {"impair.delay", "impair.loss"},
    ),
    "always up": (FLAP, both(), {"impair.loss"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MISMATCHES)
def test_what_was_not_given_as_asked_is_found(shared: CanaryRun, name: str) -> None:
    wanted, given, expected = MISMATCHES[name]
    found = 0
    for seed in range(2):
        break_network(shared, "client1", "client2", wanted, given, seed=seed, others_per_s=0 * seed)
        bad = {r.id for i in PROOFS for r in asked(shared, i) if r.status == "invalid"}
        found += expected <= bad
    assert found == 2


def test_a_mismatch_makes_the_run_invalid_and_never_failed(run: CanaryRun) -> None:
    in_files = ("router.starts", "valgrind.")
    run.meta["checks"] = [{"id": one} for one in CHECKS if not one.startswith(in_files)]
    break_network(run, "client1", "client2", both(loss=lost(2)), both(loss=lost(6)))
    verdict = judge(Run(run), ())

    assert verdict.verdict == "INVALID"
    assert "impair.loss on impairment/client1/canary@60/from_host" in verdict.reason
    assert "asked 2.00%" in verdict.reason and "samples at 99.9%" in verdict.reason


def test_a_mismatch_in_one_direction_is_told_of_that_direction(shared: CanaryRun) -> None:
    step = Step(at_s=0, from_host=Condition(loss=lost(5)), to_host=Condition())
    swapped = Step(at_s=0, from_host=Condition(), to_host=Condition(loss=lost(5)))
    break_network(shared, "client1", "client2", Schedule(steps=(step,)), Schedule(steps=(swapped,)))
    found = {r.subject.rpartition("/")[2]: r.value for r in asked(shared, "impair.loss")}

    assert set(found) == {"from_host", "to_host"}
    assert all(value and value > 0.03 for value in found.values())


def test_clocks_that_disagree_do_not_matter(shared: CanaryRun) -> None:
    """The canary's clocks are 3 ms apart, which would show in 0.5 ms asked and given."""
    break_network(shared, "client1", "client2", both(delay_ms=0.5))
    assert statuses(shared, "impair.delay", tolerance_ms=0.2) == {"pass"}


def test_without_unimpaired_time_delay_is_unknown_and_loss_is_not(run: CanaryRun) -> None:
    run.told = [e for e in run.told if BEGIN_S <= e.get("second", BEGIN_S) < END_S]

    assert statuses(run, "impair.delay") == {"unknown"}
    assert statuses(run, "impair.loss") == {"pass"}


def _queued(queue_ms: float | None) -> Schedule:
    return both(delay_ms=20, loss=lost(2), rate_kbit=2000, queue_ms=queue_ms)


@pytest.mark.parametrize(
    ("given", "bad"),
    [
        (both(delay_ms=20, loss=lost(2)), set()),
        (both(delay_ms=300, loss=lost(30)), set()),
        (both(delay_ms=340, loss=lost(2)), {"impair.delay"}),
        (both(delay_ms=15, loss=lost(2)), {"impair.delay"}),
        (both(delay_ms=20), {"impair.loss"}),
        # A queue that holds nobody up has lost nothing.
        (both(delay_ms=20, loss=lost(30)), {"impair.loss"}),
    ],
)
def test_a_queue_may_delay_and_lose_within_its_bounds(
    shared: CanaryRun, given: Schedule, bad: set[str]
) -> None:
    break_network(shared, "client1", "client2", _queued(300), given)
    found = {r.id for i in PROOFS[:2] for r in asked(shared, i) if r.status != "pass"}
    assert found == bad


def test_loss_is_held_against_what_those_met_that_found_room(shared: CanaryRun) -> None:
    """Half of the time the queue is full, and more is asked to be lost."""
    middle_s = (END_S - BEGIN_S) / 2
    begin = {"delay_ms": 20, "loss": lost(20)}, {"delay_ms": 290, "loss": lost(40)}
    end = {"delay_ms": 20, "loss": lost(1)}
    asked_of, given = (
        Schedule(
            steps=(
                both(**first, **queue).steps[0],
                both(**end, **queue).steps[0].model_copy(update={"at_s": middle_s}),
            )
        )
        for first, queue in zip(begin, ({"rate_kbit": 2000, "queue_ms": 300}, {}), strict=True)
    )
    break_network(shared, "client1", "client2", asked_of, given)
    (result, _) = asked(shared, "impair.loss")
    assert result.status == "pass"
    assert "asked 1.00%" in result.reason


@pytest.mark.parametrize("others_per_s", [0.0, 167.0, 900.0])
def test_bursts_are_those_that_probes_see_among_other_packets(
    run: CanaryRun, others_per_s: float
) -> None:
    break_network(run, "client1", "client2", both(loss=BURSTS), others_per_s=others_per_s, seed=3)
    # A chain of two states looked at every so often is one, with another eigenvalue.
    share, eigenvalue, rate = 100 / (100 + others_per_s), 1 - 0.02 - 0.25, 0.02 / 0.27
    eigenvalue = share * eigenvalue / (1 - (1 - share) * eigenvalue)
    for figure in truth_table(Run(run)):
        if figure.what == "burst":
            mean = 1 / ((1 - eigenvalue) * (1 - rate))
            assert figure.asked and figure.asked.low == pytest.approx(mean, rel=0.02)
    assert statuses(run, "impair.bursts") == {"pass"}


def _of_second(run: CanaryRun, kind: str, second: int) -> list[dict[str, Any]]:
    return [e for e in run.told if e["kind"] == kind and e["second"] == second]


def test_what_the_sender_did_not_send_in_time_is_no_loss(run: CanaryRun) -> None:
    break_network(run, "client1", "client2", both())
    for second in (70, 71, 72):
        for event in _of_second(run, "probe.second", second):
            event["delays_us"] = [None] * 50
        for event in _of_second(run, "probe.sent", second):
            event["late_max_us"] = 900_000
    assert statuses(run, "impair.loss") == {"pass"}
    for second in (70, 71, 72):
        for event in _of_second(run, "probe.sent", second):
            event["late_max_us"] = 100
    assert statuses(run, "impair.loss") == {"invalid"}


def test_a_receiver_that_died_leaves_the_rest_unknown(run: CanaryRun) -> None:
    break_network(run, "client1", "client2", both(loss=lost(2)))
    run.told = [e for e in run.told if e["kind"] != "probe.second" or e["second"] < 61]
    assert statuses(run, "impair.loss") == {"invalid"}  # it was there and received nothing
    run.told = [e for e in run.told if e["kind"] != "probe.end"]
    assert statuses(run, "impair.loss") == {"unknown"}


def test_time_in_which_the_other_end_is_impaired_is_left_out(run: CanaryRun) -> None:
    """Client 2's own impairment of 20 % loss from 70 s on is no loss of client 1's."""
    break_network(run, "client1", "client2", both(loss=lost(2)))
    plan = run.plans["client2"]
    (worker,) = [w for w in run.plans["client1"].workers if w.kind == "impairment"]
    theirs = {**worker.spec["impairments"][0], "target": "client2", "from_s": 70.0, "to_s": 84.0}
    other = worker.model_copy(update={"spec": {"impairments": [theirs]}})
    run.plans["client2"] = plan.model_copy(update={"workers": (*plan.workers, other)})
    for second in range(70, 84):
        for event in _of_second(run, "probe.second", second):
            event["delays_us"][:20] = [None] * 20

    table = [row for row in truth_table(Run(run)) if row.what == "loss"]
    own = [row for row in table if row.planned.impairment.target == "client1"]
    assert [row.samples for row in own] == [900, 900]
    assert all(row.achieved is not None and row.achieved < 0.05 for row in own)
    assert impaired_windows(Run(run), {"client2"}) == (Window(70.0, 84.0),)
    assert impaired_windows(Run(run)) == (Window(BEGIN_S, END_S),)


def test_a_direction_without_a_probe_is_unknown(run: CanaryRun) -> None:
    for host, plan in run.plans.items():
        kept = tuple(w for w in plan.workers if not w.kind.startswith("probe_"))
        run.plans[host] = plan.model_copy(update={"workers": kept})
    for check_id in PROOFS:
        assert statuses(run, check_id) == {"unknown"}


def test_too_few_packets_are_unknown(run: CanaryRun) -> None:
    assert statuses(run, "impair.loss", min_samples=5000) == {"unknown"}
    assert statuses(run, "impair.delay", min_samples=5000) == {"unknown"}


def test_few_bursts_are_unknown_and_few_single_losses_not_asked_for(run: CanaryRun) -> None:
    rare = BURSTS.model_copy(update={"to_bad_percent": 0.03})
    one = Step(at_s=0, from_host=Condition(loss=rare), to_host=Condition(loss=lost(0.05)))
    break_network(run, "client1", "client2", Schedule(steps=(one,)), others_per_s=0)
    (result,) = asked(run, "impair.bursts")

    assert result.status == "unknown"
    assert result.subject.endswith("from_host")


def test_the_table_tells_asked_achieved_and_interval(run: CanaryRun) -> None:
    rows = truth_table(Run(run))
    told: dict[tuple[str, str], Figure] = {(row.direction, row.what): row for row in rows}

    assert {what for _, what in told} == {
        "loss", "burst", "reordered", "delay p10", "delay p50", "delay p90",
    }  # fmt: skip
    loss = told["from_host", "loss"]
    assert loss.asked and loss.asked.low == pytest.approx(4 / 44)
    assert loss.interval and loss.achieved is not None
    assert loss.interval[0] < loss.achieved < loss.interval[1]
    assert loss.samples == pytest.approx(2200, abs=50) and loss.effective < loss.samples
    assert loss.subject == "impairment/client1/canary@60/from_host"


Plant = Callable[[CanaryRun], None]


def without(kind: str) -> Plant:
    def plant(run: CanaryRun) -> None:
        run.told = [event for event in run.told if event["kind"] != kind]

    return plant


def moved(kind: str, by_s: float) -> Plant:
    def plant(run: CanaryRun) -> None:
        for event in run.told:
            event["t"] += by_s if event["kind"] == kind else 0.0

    return plant


def _dirty(run: CanaryRun) -> None:
    for event in run.told:
        if event["kind"] == "impair.healed":
            event["verified"] = False


APPLIED: dict[str, tuple[Plant, str]] = {
    "never armed": (without("impair.armed"), "without being armed"),
    "armed too late": (moved("impair.armed", 4.0), "without being armed"),
    "never applied": (without("impair.applied"), "was never applied"),
    "applied late": (moved("impair.applied", 0.9), "applied 920 ms off its time"),
    "a late step": (
        lambda run: run.event(
            70.0, "client1", "impair.step_late", "impair/client1", device="data0", late_ms=400.0
        ),
        "1 steps late, first at 70.0 s",
    ),
    "never healed": (without("impair.healed"), "was never healed"),
    "healed and not clean": (_dirty, "not clean after healing"),
    "healed late": (moved("impair.healed", 20.0), "healed 20.0 s after its end"),
}


@pytest.mark.parametrize("name", APPLIED)
def test_an_impairment_that_was_not_carried_out_as_planned(run: CanaryRun, name: str) -> None:
    plant, words = APPLIED[name]
    assert statuses(run, "impair.applied") == {"pass"}
    plant(run)
    (result,) = asked(run, "impair.applied")

    assert (result.status, result.subject) == ("invalid", "impairment/client1/canary@60")
    assert words in result.reason


def test_an_impairment_point_that_told_nothing_is_unknown(run: CanaryRun) -> None:
    run.told = [event for event in run.told if not event["kind"].startswith("impair.")]
    assert statuses(run, "impair.applied") == {"unknown"}


@pytest.mark.parametrize("check_id", [*PROOFS, "impair.applied", "impair.recovery"])
def test_a_run_without_impairments_has_none_to_judge(run: CanaryRun, check_id: str) -> None:
    for host, plan in run.plans.items():
        kept = tuple(w for w in plan.workers if w.kind != "impairment")
        run.plans[host] = plan.model_copy(update={"workers": kept})
    (result,) = asked(run, check_id)
    assert (result.status, result.reason) == ("unknown", "no impairment is planned")


def heard(run: CanaryRun, *silent: tuple[float, float]) -> CheckResult:
    """The RTP stream's recovery when it is not heard within these times."""
    for from_s, to_s in silent:
        run.change(RTP, "heard", lambda t, v, a=from_s, b=to_s: np.where((t >= a) & (t < b), 0, v))
    run.meta["checks"] = [{"id": "impair.recovery"}]
    (found,) = [r for r in judge(Run(run), ()).checks if r.subject.startswith(RTP)]
    return found


def test_silence_while_impaired_is_not_judged(run: CanaryRun) -> None:
    assert heard(run, (BEGIN_S + 1, END_S)).status == "pass"


def test_a_stream_may_take_its_time_to_come_back(run: CanaryRun) -> None:
    result = heard(run, (BEGIN_S + 1, END_S + 4))
    assert result.status == "pass" and result.value == 4.0


def test_a_stream_that_comes_back_too_late_fails(run: CanaryRun) -> None:
    result = heard(run, (BEGIN_S + 1, END_S + 12))
    assert result.status == "fail" and "heard again 12.0 s after" in result.reason


def test_a_stream_that_stays_away_fails(run: CanaryRun) -> None:
    result = heard(run, (BEGIN_S + 1, 1000.0))
    assert result.status == "fail" and "not heard again in 16 s" in result.reason


def test_a_stream_that_comes_back_and_goes_fails(run: CanaryRun) -> None:
    result = heard(run, (END_S + 12, 1000.0))
    assert result.status == "fail" and "then heard for only" in result.reason


def test_a_stream_that_was_silent_before_is_not_the_networks(run: CanaryRun) -> None:
    result = heard(run, (50.0, 1000.0))
    assert result.status == "unknown" and "was not heard before 60.0 s" in result.reason


def test_a_lab_that_was_away_cannot_tell_whether_a_stream_recovered(run: CanaryRun) -> None:
    run.event(END_S, "client1", "worker.failed", "native_sender", error="killed")
    assert heard(run, (BEGIN_S + 1, 1000.0)).status in ("invalid", "unknown")


def test_proportions_have_the_exact_interval() -> None:
    for hits, samples in ((0, 50), (3, 50), (50, 50), (40, 2000)):
        exact = stats.binomtest(hits, samples).proportion_ci(0.999)
        assert interval.proportion(hits, samples, 0.999) == pytest.approx((exact.low, exact.high))


def test_a_quantile_lies_in_its_interval_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(1000):
        values = np.sort(rng.normal(size=150))
        low, high = interval.quantile(values, 0.9, 150, 0.9)
        found += low <= stats.norm.ppf(0.9) <= high
    assert 880 <= found <= 960


def test_a_quantile_beyond_what_was_seen_is_unbounded() -> None:
    low, high = interval.quantile(np.arange(10.0), 0.9, 10, 0.999)
    assert low >= 0 and high == np.inf
