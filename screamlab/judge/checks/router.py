"""The router as a process and as a service: alive, answering, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from screamlab.evidence.subjects import ROUTER
from screamlab.judge.model import CheckResult
from screamlab.judge.reboots import holes
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, length_s

MIB = 1 << 20


def of_router(run: Run, metric: str) -> Samples:
    """A series of the router's processes."""
    return run.series(ROUTER, metric, run.router_host)


class Alive(Params):
    """How soon after the start of the run the router must be seen running."""

    within_s: float = Field(default=10.0, gt=0)


@check("router.alive", Alive)
def alive(run: Run, params: Alive) -> list[CheckResult]:
    """The router's process never ends, is never restarted and leaves no core."""
    grade = Grader("router.alive", params.min_samples)
    processes = of_router(run, "processes")
    # After the run it is stopped, which is another check's.
    cores = [e for e in run.events("core.found", ROUTER) if e.at_s <= run.duration_s]
    ends = [
        *((e.at_s, "its main process was gone") for e in run.events("process.gone", ROUTER)),
        *((e.at_s, "it was restarted") for e in run.events("process.restarted", ROUTER)),
        *((e.at_s, "it left a core") for e in cores),
        *_absences(processes, params.within_s),
    ]
    if not ends:
        reason = f"one process, never gone, in {len(processes)} samples"
        return [grade.at_most(ROUTER, 0, 0, "times", len(processes), reason)]
    first_s, what = min(ends)
    down = [hole for hole in holes(run, run.router_host or "") if hole.from_s <= first_s + 1.0]
    if down:
        reason = f"{run.router_host} rebooted at {run.when(down[0].from_s)}, and the router with it"
        return [grade.unknown(ROUTER, reason, len(processes)).but(status="invalid")]
    reason = f"{what} at {run.when(first_s)}; {len(ends)} such signs in all"
    # A sign of death needs no second sample.
    samples = max(len(processes), params.min_samples)
    return [grade.at_most(ROUTER, len(ends), 0, "times", samples, reason, first_s)]


def _absences(processes: Samples, within_s: float) -> list[tuple[float, str]]:
    """Moments at which the unit had no process; before it was first found, within bounds."""
    if len(processes) == 0:
        return []
    running = np.flatnonzero(processes.value > 0)
    if len(running) == 0:
        return [(float(processes.t[0]), "it had no process")]
    first = running[0] if processes.t[running[0]] <= processes.t[0] + within_s else 0
    gone = processes.t[first:][processes.value[first:] <= 0]
    return [(float(t), "it had no process") for t in gone]


class Responsive(Params):
    """The share of API calls that must be answered, and how fast p99 of them."""

    min_ok_share: float = Field(default=0.99, gt=0, le=1)
    max_p99_ms: float = Field(default=2000.0, gt=0)


@check("router.responsive", Responsive)
def responsive(run: Run, params: Responsive) -> list[CheckResult]:
    """The router's API answers, and soon."""
    grade = Grader("router.responsive", params.min_samples)
    ok = run.series("router", "api_ok", run.router_host)
    if len(ok) < params.min_samples:
        return [grade.too_few("router/api_ok", len(ok), "the API")]
    share = float(np.mean(ok.value > 0))
    silent_s = ok.first_below(1)
    gone = "" if silent_s is None else f", first silence at {run.when(silent_s)}"
    results = [
        grade.at_least(
            "router/api_ok",
            share,
            params.min_ok_share,
            "share",
            len(ok),
            f"{share:.2%} of {len(ok)} calls answered{gone}",
            silent_s,
        )
    ]
    latency = run.series("router", "api_latency_ms", run.router_host)
    if len(latency) < params.min_samples:
        return [*results, grade.too_few("router/api_latency_ms", len(latency), "API latency")]
    p99 = float(np.quantile(latency.value, 0.99))
    worst = int(np.argmax(latency.value))
    reason = (
        f"p99 {p99:.1f} ms, slowest {latency.value[worst]:.0f} ms at "
        f"{run.when(float(latency.t[worst]))}"
    )
    subject, limit = "router/api_latency_ms", params.max_p99_ms
    at_s = latency.first_above(limit)
    return [*results, grade.at_most(subject, p99, limit, "ms", len(latency), reason, at_s)]


class Starts(Params):
    """How many starts of the router may have failed to bring its engine up."""

    max_failed: int = Field(default=0, ge=0)
    min_samples: int = Field(default=1, ge=1)


@check("router.starts", Starts)
def starts(run: Run, params: Starts) -> list[CheckResult]:
    """Every start of the router brings a working engine up."""
    grade = Grader("router.starts", params.min_samples)
    if not run.starts:
        return [grade.unknown("router", "nothing tells how the router started")]
    bad = [start for start in run.starts if start.get("outcome") != "ready"]
    count = len(run.starts)
    why = f": {_start(bad[0])}" if bad else ""
    reason = f"{len(bad)} of {count} starts came up without a working engine{why}"
    return [grade.at_most("router", len(bad), params.max_failed, "starts", count, reason)]


def _start(start: Mapping[str, Any]) -> str:
    if ports := ", ".join(map(str, start.get("stuck") or ())):
        return f"nobody read UDP {ports} after {float(start.get('seconds', 0)):.0f} s"
    return str(start.get("reason") or "no reason given")


class Cpu(Params):
    """Mean processor use in the hold, in percent of one processor."""

    max_percent: float = Field(default=150.0, gt=0)


@check("router.cpu", Cpu)
def cpu(run: Run, params: Cpu) -> list[CheckResult]:
    """The router's mean processor use in the hold stays within its bound."""
    grade = Grader("router.cpu", params.min_samples)
    samples = of_router(run, "cpu_percent").within(run.phase("hold"))
    if len(samples) < params.min_samples:
        return [grade.too_few(ROUTER, len(samples), "its processor use in the hold")]
    mean, peak = float(samples.value.mean()), float(samples.value.max())
    reason = f"mean {mean:.1f} % of a processor in the hold, peak {peak:.1f} %"
    limit, at_s = params.max_percent, samples.first_above(params.max_percent)
    return [grade.at_most(ROUTER, mean, limit, "%", len(samples), reason, at_s)]


class Memory(Params):
    """The most memory (resident set) the router may ever hold."""

    max_mib: float = Field(default=2048.0, gt=0)


@check("router.memory", Memory)
def memory(run: Run, params: Memory) -> list[CheckResult]:
    """The router's resident memory stays within its bound."""
    grade = Grader("router.memory", params.min_samples)
    samples = of_router(run, "rss_bytes")
    if len(samples) < params.min_samples:
        return [grade.too_few(ROUTER, len(samples), "its memory")]
    peak = int(np.argmax(samples.value))
    mib = float(samples.value[peak]) / MIB
    reason = f"largest resident set {mib:.0f} MiB, at {run.when(float(samples.t[peak]))}"
    at_s = samples.first_above(params.max_mib * MIB)
    return [grade.at_most(ROUTER, mib, params.max_mib, "MiB", len(samples), reason, at_s)]


class Released(Params):
    """How many more than before the load may be left at the end of the drain."""

    max_more: int = Field(default=8, ge=0)
    min_samples: int = Field(default=3, ge=1)


@check("router.descriptors", Released)
def descriptors(run: Run, params: Released) -> list[CheckResult]:
    """The router gives its descriptors back when the load is gone."""
    return [_released(run, Grader("router.descriptors", params.min_samples), params, "descriptors")]


@check("router.threads", Released)
def threads(run: Run, params: Released) -> list[CheckResult]:
    """The router gives its threads back when the load is gone."""
    return [_released(run, Grader("router.threads", params.min_samples), params, "threads")]


def _released(run: Run, grade: Grader, params: Released, metric: str) -> CheckResult:
    samples = of_router(run, metric)
    before = samples.within(run.phase("null_path", "settle"))
    after = samples.within(_second_half(run.phase("drain")))
    fewest = min(len(before), len(after))
    if fewest < params.min_samples:
        return grade.too_few(ROUTER, fewest, f"{metric} before the load and after it")
    more = float(np.median(after.value) - np.median(before.value))
    too_many_s = after.first_above(float(np.median(before.value)) + params.max_more)
    reason = (
        f"{np.median(before.value):.0f} {metric} before the load, "
        f"{np.median(after.value):.0f} at the end of the drain"
    )
    return grade.at_most(ROUTER, more, params.max_more, metric, fewest, reason, too_many_s)


def _second_half(windows: Windows) -> Windows:
    if not length_s(windows):
        return ()
    last = windows[-1]
    return (Window((last.from_s + last.to_s) / 2, last.to_s),)
