"""What grows and does not stop: the router's resources by time and by client, the lab's memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field, model_validator

from screamlab.evidence.subjects import AGENT, ROUTER
from screamlab.judge.checks.router import MIB
from screamlab.judge.churned import NO_CHURN, done, groups, settled, times
from screamlab.judge.leak import MIN_FLOORS, Growth, growth
from screamlab.judge.leak_cycles import PerCycle, growth_per_cycle
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, merge, subtract

HOUR_S = 3600.0
PAGE = 4096.0

# Subject and metric of what can be judged, by the name a scenario gives it.
RESOURCES = {
    "descriptors": (ROUTER, "descriptors"),
    "threads": (ROUTER, "threads"),
    "sockets": (ROUTER, "sockets"),
    "rss_bytes": (ROUTER, "rss_bytes"),
    "uss_bytes": (ROUTER, "uss_bytes"),
    "webrtc_listeners": ("router", "webrtc_listeners"),
    "sinks": ("router", "sinks"),
    "paths": ("router", "paths"),
    "streams": ("router", "streams"),
}
_COUNTED = tuple(name for name in RESOURCES if not name.endswith("_bytes"))


@dataclass(frozen=True)
class Bound:
    """What may be grown by in an hour, and what must not have gone unseen, in `unit`.

    `size` is one of the unit in the series' own, `granule` what a series changes by at least.
    """

    limit: float
    see: float
    unit: str
    size: float
    granule: float


class ByTime(Params):
    """Growth per hour that is too much, and the leak a run must be able to see to be judged.

    Growth is too much only where every quarter of the time has it. Judged are the phases of the
    given kinds, but not for `warmup_seconds` after a stream or the router began: the router's
    timeshift buffer grows for 300 s, by design.
    """

    max_mib_per_hour: float = Field(default=0.25, gt=0)
    see_mib_per_hour: float = Field(default=1.0, gt=0)
    max_per_hour: float = Field(default=1.0, gt=0, description="of what is counted")
    see_per_hour: float = Field(default=8.0, gt=0)
    phases: tuple[str, ...] = ("hold",)
    impaired: bool = Field(default=False, description="time with an impaired network is judged too")
    warmup_seconds: float = Field(default=300.0, ge=0)
    piece_seconds: float = Field(default=60.0, gt=0, description="shortest time to take floors of")
    min_samples: int = Field(default=MIN_FLOORS, ge=1, description="floors")

    @model_validator(mode="after")
    def _sees_more_than_it_allows(self) -> ByTime:
        for unit in ("mib_per_hour", "per_hour"):
            if getattr(self, f"see_{unit}") <= getattr(self, f"max_{unit}"):
                raise ValueError(f"see_{unit} must be more than max_{unit}")
        return self

    def bound(self, metric: str) -> Bound:
        """What holds for a metric."""
        if metric.endswith("_bytes"):
            return Bound(self.max_mib_per_hour, self.see_mib_per_hour, "MiB/h", MIB, PAGE)
        return Bound(self.max_per_hour, self.see_per_hour, "an hour", 1.0, 1.0)


class RouterLeak(ByTime):
    """`ByTime`, of the router's resources that are judged."""

    resources: tuple[str, ...] = ("rss_bytes", "uss_bytes", "descriptors", "threads", "sockets")


@check("router.leak", RouterLeak)
def router_leak(run: Run, params: RouterLeak) -> list[CheckResult]:
    """No resource of the router grows without an end."""
    grade = Grader("router.leak", params.min_samples)
    results = []
    for resource in params.resources:
        if resource not in RESOURCES:
            results.append(_nobody_knows(grade, resource))
            continue
        subject, metric = RESOURCES[resource]
        results.append(_by_time(run, params, grade, subject, metric, run.router_host or ""))
    return results


class LabMemory(ByTime):
    """`ByTime`, of the memory of each host's agent with all its workers and their programs."""

    max_mib_per_hour: float = Field(default=4.0, gt=0)
    see_mib_per_hour: float = Field(default=16.0, gt=0)
    impaired: bool = True


@check("lab.memory", LabMemory)
def lab_memory(run: Run, params: LabMemory) -> list[CheckResult]:
    """The memory of the lab's own agents is flat."""
    grade = Grader("lab.memory", params.min_samples, bad="invalid")
    results = [_by_time(run, params, grade, AGENT, "rss_bytes", host) for host in run.plans]
    return results or [grade.unknown("hosts", "no host has a plan")]


def _by_time(
    run: Run, params: ByTime, grade: Grader, subject: str, metric: str, host: str
) -> CheckResult:
    name = f"{subject}/{metric}" if host == run.router_host and subject != AGENT else host
    samples = run.series(subject, metric, host)
    if not len(samples):
        return grade.unknown(name, f"{subject} of {host or 'no host'} has no {metric}")
    bound, windows = params.bound(metric), _judged(run, params)
    faults = merge(fault.window for fault in run.faults if fault.host == host)
    found = growth(samples, windows, faults, params.piece_seconds, bound.granule)
    if found is None or found.floors < params.min_samples:
        least_s = params.piece_seconds * max(MIN_FLOORS, params.min_samples)
        reason = f"there is too little time to judge, {least_s / 60:.2g} min needed after warm-up"
        return grade.unknown(name, reason, 0 if found is None else found.floors)
    return judged_growth(run, grade, name, found, bound)


def judged_growth(
    run: Run, grade: Grader, subject: str, found: Growth, bound: Bound
) -> CheckResult:
    """What growth per second is, held against its bound."""
    per_hour = HOUR_S / bound.size
    limit = bound.limit / per_hour
    low, rate = found.low * per_hour, found.rate * per_hour
    visible, hours = found.visible(limit) * per_hour, found.length / HOUR_S
    reason = (
        f"it grew by {rate:+.3g} {bound.unit} in the {hours:.2g} h from {run.when(found.begin)}, "
        f"by at least {low:+.3g} in every quarter; "
        f"a leak of {visible:.2g} {bound.unit} would have been seen"
    )
    at_s = found.begin
    result = grade.at_most(subject, low, bound.limit, bound.unit, found.floors, reason, at_s)
    if low > bound.limit:
        return _unless_it_ends(result, found)
    if visible > bound.see:
        needed_h = hours * found.needed(limit, bound.see / per_hour)
        reason = f"{reason}, one of {bound.see:g} not: that takes about {needed_h:.1f} h"
        return result.but(status="unknown", reason=reason)
    return result


def _unless_it_ends(result: CheckResult, found: Growth) -> CheckResult:
    """What growth that is too much says: nothing yet, where it slows down."""
    if not found.settling:
        return result
    reason = f"{result.reason}; but it slows down: whether it ends, a longer run would tell"
    return result.but(status="unknown", reason=reason)


def _judged(run: Run, params: ByTime) -> Windows:
    """The time that is judged: after warm-up, and only if asked for with the network impaired."""
    began = [sender.stream.from_s for sender in run.senders]
    warming = [Window(at_s, at_s + params.warmup_seconds) for at_s in began]
    found = [event for event in run.events("process.") if event.subject == ROUTER]
    alive = [e.at_s for e in found if e.kind in ("process.found", "process.restarted")]
    warming += [Window(float("-inf"), max(alive, default=0.0) + params.warmup_seconds)]
    impaired = [
        Window(impairment.from_s, impairment.to_s)
        for plan in run.plans.values()
        for impairment in plan.impairments
        if not params.impaired
    ]
    return subtract(run.phase(*params.phases), merge([*warming, *impaired]))


def _nobody_knows(grade: Grader, resource: str) -> CheckResult:
    known = ", ".join(RESOURCES)
    return grade.unknown(resource, f"no such resource is known, only {known}")


class ByCycle(Params):
    """Growth per cycle that is too much, of the resources that are judged.

    Memory is not judged unless it is named: the router's timeshift buffer grows until 300 s after
    a stream began, by design, so that only a longer warm-up lets it be told from a leak. Floors
    are of `window_seconds`, and the quiet after is judged from `settle_seconds` after the churn.
    """

    resources: tuple[str, ...] = _COUNTED
    max_per_cycle: float = Field(default=0.05, gt=0)
    max_bytes_per_cycle: float = Field(default=16384.0, gt=0)
    window_seconds: float = Field(default=5.0, gt=0)
    settle_seconds: float = Field(default=5.0, ge=0)
    min_samples: int = Field(default=8, ge=1, description="floors")

    def limit(self, resource: str) -> float:
        """What a resource may grow by with each cycle."""
        return self.max_bytes_per_cycle if resource.endswith("_bytes") else self.max_per_cycle


@check("churn.leak", ByCycle)
def churn_leak(run: Run, params: ByCycle) -> list[CheckResult]:
    """The router holds no more after clients came and went than before."""
    grade = Grader("churn.leak", params.min_samples)
    ended_s = np.sort([one.span.to_s for group in groups(run) for one in done(run, group)])
    if not len(ended_s):
        return [grade.unknown("churn", NO_CHURN if not groups(run) else "no cycle was begun")]
    when = times(run)
    quiet = when.before, when.churn, settled(when.after, params.settle_seconds)
    results = []
    for resource in params.resources:
        if resource not in RESOURCES:
            results.append(_nobody_knows(grade, resource))
            continue
        subject, metric = RESOURCES[resource]
        samples = run.series(subject, metric, run.router_host)
        found = growth_per_cycle(samples, *quiet, ended_s, params.window_seconds)
        limit, name = params.limit(resource), f"{subject}/{metric}"
        results.append(_by_cycle(grade, limit, name, found, len(ended_s)))
    return results


def _by_cycle(
    grade: Grader, limit: float, subject: str, found: PerCycle | None, cycles: int
) -> CheckResult:
    if found is None:
        return grade.unknown(subject, "not known before, while and after clients came and went")
    grown = found.growth
    if grown.floors < grade.min_samples:
        return grade.too_few(subject, grown.floors, "floors")
    reason = (
        f"floor {found.before:.0f} before and {found.after:.0f} after {cycles} cycles; "
        f"{found.quiet:+.4g} a cycle from quiet to quiet, {grown.rate:+.4g} while they came and "
        f"went, at least {grown.low:+.4g} all along; "
        f"a leak of {grown.visible(limit):.2g} a cycle would have been seen"
    )
    result = grade.at_most(subject, grown.low, limit, "per cycle", grown.floors, reason)
    return _unless_it_ends(result, grown) if grown.low > limit else result
