"""How late a stream arrives, and whether its latency jumps."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from screamlab.judge.checks.audio import of_stream, per_stream
from screamlab.judge.checks.lab import AFTER_S
from screamlab.judge.clock import clock_of, one_clock
from screamlab.judge.faults import Fault
from screamlab.judge.model import CheckResult
from screamlab.judge.noise import listener_floor
from screamlab.judge.probing import probes
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Event
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, length_s


class Clock(Params):
    """How far a host's clock may be from the others', and how far it may step.

    Where it stepped, nothing of what the host tells is at its time any more. A host that times no
    packets, as one that only breaks links, may be further off.
    """

    max_offset_ms: float = Field(default=1.0, gt=0)
    max_untimed_offset_ms: float = Field(default=100.0, gt=0)
    min_samples: int = Field(default=1, ge=1)


def clock_faults(run: Run, params: Clock) -> list[Fault]:
    """From the first step of a host's clock on; its own time is not to be relied on any more."""
    found = []
    for host in run.plans:
        if step := next(iter(_steps(run, host, params)), None):
            reason = f"the clock of {host} stepped at {run.when(step.at_s)}"
            begin = step.at_s - abs(_ms(step)) / 1000 - AFTER_S
            found.append(Fault(host, Window(begin, run.duration_s), reason))
    return found


@check("lab.clock", Clock, faults=clock_faults)
def clock(run: Run, params: Clock) -> list[CheckResult]:
    """The clocks of all hosts are known to agree."""
    grade = Grader("lab.clock", params.min_samples, bad="invalid")
    results = []
    for host in run.plans:
        limit = _limit_ms(run, host, params)
        if steps := _steps(run, host, params):
            first = steps[0]
            reason = f"it stepped by {_ms(first):+.1f} ms at {run.when(first.at_s)}"
            value, at_s = abs(_ms(first)), first.at_s
            results.append(grade.at_most(host, value, limit, "ms", len(steps), reason, at_s))
            continue
        known = clock_of(run, host)
        if known is None:
            results.append(grade.unknown(host, "nothing tells how far its clock is off"))
            continue
        worst = abs(known.offset_ms) + known.bound_ms
        reason = f"{known.offset_ms:+.3f} ms, within {known.bound_ms:.3f} ms ({known.source})"
        results.append(grade.at_most(host, worst, limit, "ms", 1, reason))
    return results or [grade.unknown("hosts", "no host has a plan")]


def _steps(run: Run, host: str, params: Clock) -> list[Event]:
    told, limit = run.events("clock.stepped"), _limit_ms(run, host, params)
    return [e for e in told if e.host == host and abs(_ms(e)) > limit]


def _limit_ms(run: Run, host: str, params: Clock) -> float:
    timing = {run.router_host, *(end.host for end in (*run.senders, *run.receivers))}
    timing |= {end for probe in probes(run) for end in (probe.sender, probe.receiver)}
    return params.max_offset_ms if host in timing else params.max_untimed_offset_ms


def _ms(step: Event) -> float:
    return float(step.fields["ms"])


class Latency(Params):
    """p95 latency added to the null path's of the same kind of listener, in the hold."""

    max_p95_ms: float = Field(default=300.0, gt=0)
    max_clock_ms: float = Field(
        default=5.0, gt=0, description="clocks further apart than this tell no latency"
    )


@check("audio.latency", Latency)
def latency(run: Run, params: Latency) -> list[CheckResult]:
    """No stream comes later than allowed."""
    grade = Grader("audio.latency", params.min_samples)
    return per_stream(run, grade, lambda s, w: _latency(run, params, grade, s, w))


def _latency(
    run: Run, params: Latency, grade: Grader, stream: Stream, windows: Windows
) -> CheckResult:
    samples = of_stream(run, stream, "latency_ms").within(windows)
    if not one_clock(run, stream.hosts, params.max_clock_ms):
        hosts = " and ".join(sorted(stream.hosts))
        reason = f"the clocks of {hosts} are not known to agree within {params.max_clock_ms:g} ms"
        return grade.unknown(stream.subject, reason, len(samples))
    if len(samples) < params.min_samples:
        return grade.too_few(stream.subject, len(samples), "latency")
    floor = listener_floor(run, stream.receiver)
    base = floor.latency_p50_ms if floor and floor.latency_p50_ms is not None else 0.0
    p95 = float(np.quantile(samples.value, 0.95))
    reason = (
        f"p95 latency {p95:.1f} ms, {p95 - base:.1f} ms more than the null path's {base:.1f} ms; "
        f"at most {params.max_p95_ms:g} ms more"
    )
    return grade.at_most(stream.subject, p95 - base, params.max_p95_ms, "ms", len(samples), reason)


class LatencyJumps(Params):
    """How often latency may change by more than `jump_ms` from one second to the next."""

    jump_ms: float = Field(default=20.0, gt=0)
    max_per_minute: float = Field(default=0.0, ge=0)


@check("audio.latency_jumps", LatencyJumps)
def latency_jumps(run: Run, params: LatencyJumps) -> list[CheckResult]:
    """The latency of a stream stays where it is."""
    grade = Grader("audio.latency_jumps", params.min_samples)
    return per_stream(run, grade, lambda s, w: _jumps(run, params, grade, s, w))


def _jumps(
    run: Run, params: LatencyJumps, grade: Grader, stream: Stream, windows: Windows
) -> CheckResult:
    samples = of_stream(run, stream, "latency_ms").within(windows)
    if len(samples) < params.min_samples:
        return grade.too_few(stream.subject, len(samples), "latency")
    steps = np.diff(samples.value)
    jumps = np.abs(steps) > params.jump_ms
    rate = float(jumps.sum()) / (length_s(windows) / 60)
    first = int(np.argmax(jumps))
    where = (
        f", first by {steps[first]:+.1f} ms at {run.when(float(samples.t[first + 1]))}"
        if jumps.any()
        else ""
    )
    reason = f"{jumps.sum()} jumps of more than {params.jump_ms:g} ms{where}"
    return grade.at_most(
        stream.subject, rate, params.max_per_minute, "per minute", len(samples), reason
    )
