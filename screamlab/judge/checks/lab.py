"""Whether the lab itself kept its time; what fails here makes a run invalid, never failed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from screamlab.evidence.subjects import ROUTER
from screamlab.judge.faults import Fault
from screamlab.judge.model import CheckResult
from screamlab.judge.noise import floors
from screamlab.judge.reboots import holes
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, intersect

# What goes wrong at a sender in one second is heard, after the buffers on the way, by the next.
AFTER_S = 1.0


def second(host: str, at_s: float, reason: str) -> Fault:
    """The fault of a host in the second that ended at `at_s`."""
    return Fault(host, Window(at_s - 1.0, at_s + AFTER_S), reason)


def router_percent(run: Run, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the router had of a processor at these times; 0 where it was not watched."""
    router = run.series(ROUTER, "cpu_percent", run.router_host)
    return np.interp(t, router.t, router.value) if len(router) else np.zeros(len(t))


class Pacing(Params):
    """p99 pacing error of each second, and the share of seconds that may exceed it."""

    max_p99_ms: float = Field(default=5.0, gt=0)
    max_bad_share: float = Field(default=0.02, ge=0, lt=1)


def pacing_faults(run: Run, params: Pacing) -> list[Fault]:
    """Every second in which a sender missed its own times."""
    found = []
    for (host, subject), samples in run.family("sender", "pacing_p99_ms").items():
        late = samples.value > params.max_p99_ms
        for t, ms in zip(samples.t[late], samples.value[late], strict=True):
            reason = f"{subject} sent {ms:.1f} ms off its time at {run.when(t)}"
            found.append(second(host, t, reason))
    for event in run.events("sender.overrun"):
        late_ms = float(event.fields.get("late_ms") or 0.0)
        reason = f"{event.subject} overran by {late_ms:.1f} ms at {run.when(event.at_s)}"
        begin = event.at_s - late_ms / 1000
        found.append(Fault(event.host, Window(begin, event.at_s + AFTER_S), reason))
    return found


@check("lab.pacing", Pacing, faults=pacing_faults)
def pacing(run: Run, params: Pacing) -> list[CheckResult]:
    """Every generator sends its packets when they are due."""
    grade = Grader("lab.pacing", params.min_samples, bad="invalid")
    results = []
    for (_, subject), samples in sorted(run.family("sender", "pacing_p99_ms").items()):
        if len(samples) == 0:
            continue
        value = float(np.quantile(samples.value, 1 - params.max_bad_share, method="lower"))
        worst = int(np.argmax(samples.value))
        reason = (
            f"p99 pacing error up to {value:.2f} ms, worst second {samples.value[worst]:.2f} ms "
            f"at {run.when(samples.t[worst])}; at most {params.max_p99_ms:g} ms"
        )
        limit, at_s = params.max_p99_ms, samples.first_above(params.max_p99_ms)
        results.append(grade.at_most(subject, value, limit, "ms", len(samples), reason, at_s))
    return results or [grade.unknown("senders", "no sender reported its pacing")]


class NullPath(Params):
    """What the lab may do to its own streams where no router is in the way."""

    max_dropouts_per_minute: float = Field(default=0.0, ge=0)
    min_heard_share: float = Field(default=0.99, gt=0, le=1)
    max_pacing_p99_ms: float = Field(default=5.0, gt=0)
    min_samples: int = Field(default=3, ge=1)


@check("lab.null_path", NullPath)
def null_path(run: Run, params: NullPath) -> list[CheckResult]:
    """Straight from sender to receiver, the lab hears every stream without a dropout."""
    grade = Grader("lab.null_path", params.min_samples, bad="invalid")
    results = []
    for floor in floors(run):
        subject, samples = f"null/{floor.kind}", int(floor.seconds)
        share = floor.heard_share or 0.0
        if floor.heard_share is not None and share < params.min_heard_share:
            reason = f"heard {share:.1%} of the null path, at least {params.min_heard_share:.1%}"
            results.append(
                grade.at_least(subject, share, params.min_heard_share, "share", samples, reason)
            )
        elif (floor.pacing_p99_ms or 0.0) > params.max_pacing_p99_ms:
            limit = params.max_pacing_p99_ms
            reason = f"paced {floor.pacing_p99_ms:.2f} ms off, at most {limit:g} ms"
            results.append(
                grade.at_most(subject, floor.pacing_p99_ms or 0.0, limit, "ms", samples, reason)
            )
        else:
            rate, limit = floor.dropouts_per_minute, params.max_dropouts_per_minute
            reason = (
                f"{rate:.2f} dropouts a minute over {floor.streams} streams on the null path, "
                f"at most {limit:g}"
            )
            results.append(grade.at_most(subject, rate, limit, "per minute", samples, reason))
    return results or [grade.unknown("null path", "no stream was planned for the null path")]


class ReceiverOverrun(Params):
    """Datagrams a client host received and did not read in time."""

    max_lost: int = Field(default=0, ge=0)


def receiver_faults(run: Run, params: ReceiverOverrun) -> list[Fault]:
    """Every second in which a client host's own sockets overflowed."""
    found = []
    for (host, _), samples in run.family("host", "udp_rcvbuf_errors").items():
        if host == run.router_host:
            continue
        growth = samples.growth()
        for t, lost in zip(growth.t, growth.value, strict=True):
            if lost > 0:
                reason = f"{host} lost {lost:.0f} datagrams unread at {run.when(t)}"
                found.append(second(host, t, reason))
    for event in run.events("receiver.overrun"):
        reason = f"{event.subject} looked too late at {run.when(event.at_s)}"
        found.append(second(event.host, event.at_s, reason))
    return found


@check("lab.receiver_overrun", ReceiverOverrun, faults=receiver_faults)
def receiver_overrun(run: Run, params: ReceiverOverrun) -> list[CheckResult]:
    """Every client host reads what it is sent."""
    grade = Grader("lab.receiver_overrun", params.min_samples, bad="invalid")
    overruns = run.events("receiver.overrun")
    results = []
    for host in run.plans:
        if host == run.router_host:
            continue
        samples = run.series("host", "udp_rcvbuf_errors", host)
        growth = samples.growth()
        dropped = [e for e in overruns if e.host == host and e.fields.get("drops", 1)]
        # Both count the same datagrams: the host's sum, and the sockets' own.
        told = sum(float(event.fields.get("drops", 1)) for event in dropped)
        lost = max(float(growth.value.sum()), told)
        moments = [*growth.t[growth.value > 0], *(event.at_s for event in dropped)]
        first = f", first at {run.when(min(moments))}" if moments else ""
        reason = f"{lost:.0f} datagrams lost by the host's own sockets{first}"
        at_s = min(moments, default=None)
        results.append(
            grade.at_most(host, lost, params.max_lost, "datagrams", len(samples), reason, at_s)
        )
    return results or [grade.unknown("clients", "no client host has a plan")]


class SamplerHoles(Params):
    """The longest time a host may go unobserved."""

    max_gap_s: float = Field(default=3.0, gt=0)


def sampler_faults(run: Run, params: SamplerHoles) -> list[Fault]:
    """Every stretch in which a host was not observed."""
    found = []
    for host in run.plans:
        samples = run.series("host", "cpu_percent", host)
        for window in _unobserved(run, host, samples) if len(samples) else ():
            if window.length_s > params.max_gap_s:
                since = run.when(window.from_s)
                reason = f"{host} was not observed for {window.length_s:.1f} s from {since}"
                found.append(Fault(host, window, reason))
    return found


@check("lab.sampler_holes", SamplerHoles, faults=sampler_faults)
def sampler_holes(run: Run, params: SamplerHoles) -> list[CheckResult]:
    """Every host was observed all the time that it was up."""
    grade = Grader("lab.sampler_holes", params.min_samples, bad="invalid")
    results = []
    for host in run.plans:
        samples = run.series("host", "cpu_percent", host)
        if len(samples) < params.min_samples:
            results.append(grade.too_few(host, len(samples), "the host"))
            continue
        widest = max(_unobserved(run, host, samples), key=lambda window: window.length_s)
        reason = f"longest time unobserved {widest.length_s:.1f} s from {run.when(widest.from_s)}"
        results.append(
            grade.at_most(
                host,
                widest.length_s,
                params.max_gap_s,
                "s",
                len(samples),
                reason,
                widest.from_s,
            )
        )
    return results or [grade.unknown("hosts", "no host has a plan")]


def _unobserved(run: Run, host: str, samples: Samples) -> list[Window]:
    """The times between samples, from the sampler's planned beginning to its end.

    While the host was down after a reboot there was nothing to observe; `lab.agents` tells of that.
    """
    planned = [worker for worker in run.plans[host].workers if worker.kind == "sampler"]
    begin = planned[0].from_s if planned else 0.0
    end = planned[0].to_s if planned else run.duration_s
    edges = [begin, *sorted(t for t in samples.t if begin <= t <= end), end]
    down = tuple(holes(run, host))
    between = (Window(a, b) for a, b in zip(edges, edges[1:], strict=False))
    return [window for window in between if not intersect((window,), down)]


class Cpu(Params):
    """When a host's processors were not there for what ran on it.

    Stolen time is what the hypervisor gave to other machines (proc(5), /proc/stat).
    """

    max_steal_percent: float = Field(default=10.0, gt=0)
    max_busy_percent: float = Field(default=95.0, gt=0, le=100)
    max_bad_share: float = Field(default=0.05, ge=0, lt=1)


def cpu_faults(run: Run, params: Cpu) -> list[Fault]:
    """Every second in which a host was robbed, or busy with something other than the router."""
    found = []
    for host in run.plans:
        steal = run.series("host", "cpu_steal_percent", host)
        for t, percent in zip(steal.t, steal.value, strict=True):
            if percent > params.max_steal_percent:
                reason = f"{percent:.0f} % of {host} was stolen at {run.when(t)}"
                found.append(second(host, t, reason))
        for t, percent in _crowded(run, host, params.max_busy_percent):
            reason = f"{host} was {percent:.0f} % busy, not with the router, at {run.when(t)}"
            found.append(second(host, t, reason))
    return found


def _crowded(run: Run, host: str, limit: float) -> list[tuple[float, float]]:
    """Seconds in which a host was busy and the router took less than half of it."""
    busy = run.series("host", "cpu_percent", host)
    count = run.bundle.facts.get(host, {}).get("cpu", {}).get("count") or 1
    share = np.zeros(len(busy))
    if run.router_host and run.share_kernel((host, run.router_host)):
        share = router_percent(run, busy.t) / count
    crowded = (busy.value > limit) & (share < busy.value / 2)
    return list(zip(busy.t[crowded], busy.value[crowded], strict=True))


@check("lab.cpu", Cpu, faults=cpu_faults)
def cpu(run: Run, params: Cpu) -> list[CheckResult]:
    """Every host's processors were there for what ran on it."""
    grade = Grader("lab.cpu", params.min_samples, bad="invalid")
    faults = cpu_faults(run, params)
    results = []
    for host in run.plans:
        samples = run.series("host", "cpu_percent", host)
        bad = [fault for fault in faults if fault.host == host]
        share = len(bad) / max(1, len(samples))
        first = f", first: {bad[0].reason}" if bad else ""
        reason = f"processors not there in {len(bad)} of {len(samples)} s{first}"
        at_s = bad[0].window.from_s if bad else None
        results.append(
            grade.at_most(host, share, params.max_bad_share, "share", len(samples), reason, at_s)
        )
    return results or [grade.unknown("hosts", "no host has a plan")]
