"""What clients that come and go do to the router: success, time, leaks, others' sound, hangs."""

from __future__ import annotations

from functools import partial

import numpy as np
from pydantic import Field

from screamlab.evidence.subjects import ROUTER
from screamlab.judge.checks.audio import of_stream
from screamlab.judge.churned import NO_CHURN, Done, Group, done, groups, times
from screamlab.judge.faults import charged
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Windows, intersect, length_s, merge


class Cycles(Params):
    """The share of the cycles begun that must succeed, and of those planned that must be begun."""

    min_share: float = Field(default=0.99, gt=0, le=1)
    min_begun_share: float = Field(default=0.95, gt=0, le=1)


@check("churn.cycles", Cycles)
def cycles(run: Run, params: Cycles) -> list[CheckResult]:
    """Clients that come and go get what they ask for, and leave nothing behind."""
    grade = Grader("churn.cycles", params.min_samples)
    results = []
    for group in groups(run):
        begun = done(run, group)
        hosts = group.hosts | ({run.router_host} if run.router_host else set())
        evaluate = partial(_cycles, run, params, grade, group, begun)
        result = charged(run.faults, frozenset(hosts), _whole(run, begun), evaluate)
        share = len(begun) / len(group.cycles)
        if result.status == "pass" and share < params.min_begun_share:
            reason = f"the lab began only {len(begun)} of {len(group.cycles)} planned cycles"
            result = result.but(status="invalid", reason=reason, value=share, unit="share")
        results.append(result)
    return results or [grade.unknown("churn", NO_CHURN)]


def _cycles(
    run: Run,
    params: Cycles,
    grade: Grader,
    group: Group,
    begun: list[Done],
    windows: Windows,
) -> CheckResult:
    judged = [one for one in begun if _lies_in(one, windows)]
    if len(judged) < params.min_samples:
        return grade.too_few(group.subject, len(judged), "cycles")
    failed = [one for one in judged if one.error]
    share = 1 - len(failed) / len(judged)
    why = f"; first {_told(run, failed[0])}" if failed else ""
    reason = f"{len(judged) - len(failed)} of {len(judged)} cycles succeeded{why}"
    return grade.at_least(group.subject, share, params.min_share, "share", len(judged), reason)


def _whole(run: Run, begun: list[Done]) -> Windows:
    """All the time in which cycles were carried out, the last ones' being late included."""
    return merge((*run.phase("churn"), *(one.span for one in begun)))


def _lies_in(one: Done, windows: Windows) -> bool:
    """Whether nothing but these windows has had a part in a cycle."""
    span = one.span
    return any(window.from_s <= span.from_s and span.to_s <= window.to_s for window in windows)


def _told(run: Run, one: Done) -> str:
    return f"cycle {one.cycle.number} at {run.when(one.at_s)}: {one.error}"


class Time(Params):
    """p95 of what connecting and leaving take; cycles begun later than `max_late_ms` tell none."""

    max_connect_ms: float = Field(default=2000.0, gt=0)
    max_disconnect_ms: float = Field(default=2000.0, gt=0)
    max_late_ms: float = Field(default=250.0, gt=0)


@check("churn.time", Time)
def time(run: Run, params: Time) -> list[CheckResult]:
    """Clients connect and leave soon."""
    grade = Grader("churn.time", params.min_samples)
    results = []
    for group in groups(run):
        begun = done(run, group)
        punctual = [one for one in begun if one.late_ms <= params.max_late_ms]
        late = len(begun) - len(punctual)
        for what, limit in (
            ("connect", params.max_connect_ms),
            ("disconnect", params.max_disconnect_ms),
        ):
            took = [(getattr(one, f"{what}_ms"), one) for one in punctual if not one.error]
            result = _time(run, grade, f"{group.subject}/{what}", took, limit)
            if result.status == "unknown" and late and len(took) + late >= params.min_samples:
                reason = f"{late} of {len(begun)} cycles were begun too late by the lab"
                result = result.but(status="invalid", reason=reason)
            results.append(result)
    return results or [grade.unknown("churn", NO_CHURN)]


def _time(
    run: Run, grade: Grader, subject: str, took: list[tuple[float | None, Done]], limit: float
) -> CheckResult:
    known = [(ms, one) for ms, one in took if ms is not None]
    if len(known) < grade.min_samples:
        return grade.too_few(subject, len(known), "cycles that succeeded")
    p95 = float(np.quantile([ms for ms, _ in known], 0.95))
    worst_ms, worst = max(known, key=lambda item: item[0])
    median = float(np.median([ms for ms, _ in known]))
    reason = (
        f"p95 {p95:.0f} ms, median {median:.0f} ms, slowest {worst_ms:.0f} ms in cycle "
        f"{worst.cycle.number} at {run.when(worst.at_s)}"
    )
    return grade.at_most(subject, p95, limit, "ms", len(known), reason)


class Baseline(Params):
    """How much worse than in the quiet holds a stable stream may be while clients come and go."""

    max_more_per_minute: float = Field(default=2.0, ge=0, description="dropouts")
    max_less_share: float = Field(default=0.02, ge=0, le=1, description="of the time it is heard")


@check("churn.baseline", Baseline)
def baseline(run: Run, params: Baseline) -> list[CheckResult]:
    """Streams that stay are heard as well while others come and go as when nobody does."""
    grade = Grader("churn.baseline", params.min_samples)
    when = times(run)
    if not when.churn:
        return [grade.unknown("churn", NO_CHURN)]
    results = []
    for stream in run.routed:
        churn = intersect(when.churn, (stream.up,))
        quiet = intersect((*when.before, *when.after), (stream.up,))
        if run.first_heard_s(stream) is None:
            reason = "was never heard, so there is nothing to compare"
            results.append(grade.unknown(stream.subject, reason, unheard=(stream.subject,)))
            continue
        evaluate = partial(_baseline, run, params, grade, stream, quiet)
        results.append(charged(run.faults, run.carriers(stream), churn, evaluate))
    return results or [grade.unknown("streams", "no stream goes through the router")]


def _baseline(
    run: Run, params: Baseline, grade: Grader, stream: Stream, quiet: Windows, churn: Windows
) -> CheckResult:
    heard = of_stream(run, stream, "heard")
    dropouts = of_stream(run, stream, "dropouts").growth()
    fewest = min(len(heard.within(quiet)), len(heard.within(churn)))
    if fewest < params.min_samples:
        return grade.too_few(stream.subject, fewest, "quiet and of churn")
    rates = [_per_minute(dropouts, windows) for windows in (quiet, churn)]
    shares = [float(np.mean(heard.within(windows).value > 0)) for windows in (quiet, churn)]
    reason = (
        f"{rates[1]:.1f} dropouts a minute while clients came and went, {rates[0]:.1f} when quiet; "
        f"heard for {shares[1]:.1%} and {shares[0]:.1%} of the time"
    )
    less, more = shares[0] - shares[1], rates[1] - rates[0]
    if less > params.max_less_share:
        limit = params.max_less_share
        return grade.at_most(stream.subject, less, limit, "share less", fewest, reason)
    limit = params.max_more_per_minute
    return grade.at_most(stream.subject, more, limit, "more per minute", fewest, reason)


def _per_minute(counted: Samples, windows: Windows) -> float:
    return float(counted.within(windows).value.sum()) / (length_s(windows) / 60)


class Hang(Params):
    """How long the router's API or its counters may stand still while its process lives.

    Under a tool that makes it slower, as many times longer.
    """

    max_seconds: float = Field(default=10.0, gt=0)


@check("router.hang", Hang)
def hang(run: Run, params: Hang) -> list[CheckResult]:
    """The router's API and its counters keep moving."""
    grade = Grader("router.hang", params.min_samples)
    answered = run.series("router", "api_ok", run.router_host)
    if len(answered) < params.min_samples:
        return [grade.too_few("router", len(answered), "the API")]
    limit_s = params.max_seconds * run.slowdown
    longest_s, since_s = _longest_silence(answered, _gone_s(run))
    looks = [event for event in run.events("router.hang") if event.fields.get("pid")]
    reason, at_s = f"it never stood still for more than {longest_s:.0f} s", None
    if longest_s > limit_s or looks:
        at_s = since_s
        reason = f"it stood still for {longest_s:.0f} s from {run.when(since_s)} on"
    if looks:
        first = looks[0]
        longest_s = max(longest_s, float(first.fields.get("silent_s", 0.0)), limit_s + 1)
        files = ", ".join(first.fields.get("files") or ()) or "none"
        reason = (
            f"it hung at {run.when(first.at_s)}: {first.fields.get('reason')}; "
            f"{len(looks)} times in all; stacks of its threads: {files}"
        )
    return [grade.at_most("router", longest_s, limit_s, "s", len(answered), reason, at_s)]


def _gone_s(run: Run) -> float:
    """When the router's process ended; what is silent then does not hang."""
    ends = [event.at_s for event in run.events("process.gone", ROUTER)]
    return min(ends, default=float("inf"))


def _longest_silence(answered: Samples, until_s: float) -> tuple[float, float]:
    """The longest time without a good answer before `until_s`, and when it began."""
    longest, since_s = 0.0, 0.0
    last_good, silent = float(answered.t[0]), False
    for at_s, ok in zip(answered.t, answered.value, strict=True):
        if at_s > until_s:
            break
        # Where nobody asked, nobody was silent.
        if (silent or ok <= 0) and at_s - last_good > longest:
            longest, since_s = float(at_s - last_good), last_good
        silent = ok <= 0
        if not silent:
            last_good = float(at_s)
    return longest, since_s
