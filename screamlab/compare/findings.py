"""What one run has to say in a comparison: the outcome of its checks, and its figures.

A run is judged anew, in memory and without known issues, so that all sides of a comparison are
held to the same rules, however old their evidence is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from screamlab.evidence.bundle import Bundle
from screamlab.evidence.subjects import ROUTER
from screamlab.judge.checks import parse_check
from screamlab.judge.checks.latency import Latency, one_clock
from screamlab.judge.faults import MIN_CLEAN_SHARE
from screamlab.judge.model import CheckResult, Outcome
from screamlab.judge.run import judge
from screamlab.judge.samples import Samples
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Windows, length_s, merge, subtract

Better = Literal["lower", "higher"]
MIB = 1 << 20
# The subject of what is no figure of the router's.
LAB = "lab"
# Seconds follow one another too closely to count each: a block of them is one observation.
BLOCK_S = 10.0
# What these checks measure is read from the series; their values would tell the same twice.
_BY_SERIES = re.compile(r"(audio|lab|router|impair)\.(?!recovery|leak|stop)")


@dataclass(frozen=True, order=True)
class Metric:
    """A figure of a run: what it is of, its name, its unit, and which way is better.

    That is read from how a check came out where a check gave the figure, so it may not be known of
    every run, and is no part of which figure it is.
    """

    subject: str
    name: str
    unit: str
    better: Better = field(default="lower", compare=False)


@dataclass
class Figure:
    """A metric's value in one run, and the values of the parts of the run it is made of.

    Parts are streams where it has several, and else blocks of `BLOCK_S` seconds.
    """

    value: float
    parts: list[float] = field(default_factory=list)


@dataclass
class Findings:
    """One run as a comparison sees it; `checks` are by id, each with how its subjects came out."""

    run_id: str
    scenario: str
    scale: str
    version: str | None
    began: float | None
    verdict: Outcome
    reason: str
    settings: frozenset[str]
    phases: tuple[tuple[str, float], ...]
    streams: frozenset[str]
    checks: dict[str, list[bool]] = field(default_factory=dict)
    figures: dict[Metric, Figure] = field(default_factory=dict)


def read_findings(folder: Path) -> Findings:
    """The findings of a run folder; `BadInput` when it is no run."""
    with Bundle(folder) as bundle:
        return findings(Run(bundle))


def findings(run: Run) -> Findings:
    """The findings of a run; without checks and figures where hosts or provisioning failed."""
    verdict = judge(run, ())
    meta = run.meta
    found = Findings(
        run_id=verdict.run_id,
        scenario=verdict.scenario,
        scale=verdict.scale,
        version=run.router.version,
        began=run.zero or None,
        verdict=verdict.verdict,
        reason=verdict.reason,
        settings=frozenset(meta.get("settings", ())),
        phases=tuple((phase.name, phase.to_s - phase.from_s) for phase in run.phases),
        streams=frozenset(stream.subject for stream in run.routed),
    )
    if verdict.verdict != "INFRA":
        found.checks = _checks(verdict.checks)
        found.figures = {
            **_of_streams(run), **_of_router(run), **_of_checks(verdict.checks), **_of_lab(run),
        }  # fmt: skip
    return found


def kind_of(subject: str) -> str:
    """A subject without the numbers of its group: streams by their receiver's group."""
    family, _, name = subject.partition("/")
    if family == "stream":
        name = name.partition("/")[0]
    return re.sub(r"-\d+$", "", name or family)


def _checks(results: tuple[CheckResult, ...]) -> dict[str, list[bool]]:
    """By check, whether each subject it could judge has failed; lab checks judge no router."""
    found = defaultdict(list)
    for result in results:
        if result.status in ("pass", "fail") and not result.id.startswith("lab."):
            found[result.id].append(result.status == "fail")
    return dict(found)


def _of_checks(results: tuple[CheckResult, ...]) -> dict[Metric, Figure]:
    """The values of checks whose figures are not read from the series."""
    values = defaultdict(list)
    higher = set()
    for result in results:
        if result.value is None or result.unit is None or _BY_SERIES.match(result.id):
            continue
        key = (kind_of(result.subject), result.id, result.unit)
        values[key].append(result.value)
        # A check that asks for at least so much passes above its threshold and fails below.
        if result.threshold is not None and result.value != result.threshold:
            above = result.value > result.threshold
            if above == (result.status == "pass"):
                higher.add(key)
    return {
        Metric(*key, "higher" if key in higher else "lower"): Figure(float(np.mean(found)), found)
        for key, found in values.items()
    }


def _of_streams(run: Run) -> dict[Metric, Figure]:
    """What is heard of every group of receivers in the hold, without the lab's own bad moments."""
    groups = defaultdict(list)
    for stream in run.routed:
        windows = _clean_hold(run, stream)
        if length_s(windows):
            groups[kind_of(stream.subject)].append((stream, windows))
    figures: dict[Metric, Figure] = {}
    for group, members in groups.items():
        heard = [(_series(run, s, "heard").within(w), s, w) for s, w in members]
        told = [(float(np.mean(one.value > 0)), s, w) for one, s, w in heard if len(one)]
        shares = [share for share, _, _ in told]
        _add(figures, Metric(group, "heard", "share", "higher"), shares)
        # A stream that is not heard has no dropouts and no latency: it says nothing of these.
        audible = [(s, w) for share, s, w in told if share > 0]
        for name, metric, unit in (
            ("dropouts", "dropouts", "per minute"), ("lost", "dropout_ms", "ms per minute"),
        ):  # fmt: skip
            rates = [
                60 * float(_series(run, s, metric).growth().within(w).value.sum()) / length_s(w)
                for s, w in audible
            ]
            _add(figures, Metric(group, name, unit), rates)
        latencies = [
            one.value
            for s, w in audible
            if _has_latency(run, s) and len(one := _series(run, s, "latency_ms").within(w))
        ]
        for q in (50, 95):
            values = [float(np.percentile(one, q)) for one in latencies]
            _add(figures, Metric(group, f"latency p{q}", "ms"), values)
    return figures


# Series of the router's own in the hold: subject, metric, scale, unit, and how it is summed up.
_ROUTER: tuple[tuple[str, str, str, float, str, str], ...] = (
    (ROUTER, "cpu_percent", "processor", 1.0, "%", "mean"),
    (ROUTER, "pss_bytes", "memory", 1 / MIB, "MiB", "max"),
    (ROUTER, "threads", "threads", 1.0, "count", "median"),
    (ROUTER, "descriptors", "descriptors", 1.0, "count", "median"),
    ("router", "api_latency_ms", "API latency p50", 1.0, "ms", "median"),
    ("router", "api_latency_ms", "API latency p95", 1.0, "ms", "p95"),
)
_SUMS: dict[str, Callable[[NDArray[np.float64]], Any]] = {
    "mean": np.mean, "max": np.max, "median": np.median,
    "p95": lambda values: np.percentile(values, 95),
}  # fmt: skip


def _of_router(run: Run) -> dict[Metric, Figure]:
    hold = run.phase("hold")
    figures = {}
    for subject, series, name, scale, unit, how in _ROUTER:
        samples = run.series(subject, series, run.router_host).within(hold)
        if len(samples):
            total = _SUMS[how]
            parts = [scale * float(total(block)) for block in _blocks(samples)]
            figures[Metric("router", name, unit)] = Figure(
                scale * float(total(samples.value)), parts
            )
    if run.starts:
        lost = float(sum(start.get("outcome") != "ready" for start in run.starts))
        figures[Metric("router", "lost starts", "count")] = Figure(lost, [lost])
    return figures


def _blocks(samples: Samples) -> Iterator[NDArray[np.float64]]:
    """The values of whole blocks of `BLOCK_S`."""
    index = np.floor((samples.t - samples.t[0]) / BLOCK_S)
    last = np.floor((samples.t[-1] - samples.t[0] + 1) / BLOCK_S)
    for number in np.unique(index[index < last]):
        yield samples.value[index == number]


def _add(figures: dict[Metric, Figure], metric: Metric, values: list[float]) -> None:
    if values:
        figures[metric] = Figure(float(np.mean(values)), values)


def _of_lab(run: Run) -> dict[Metric, Figure]:
    """How busy and how punctual the lab itself was: where that differs, nothing else is alike."""
    figures: dict[Metric, Figure] = {}
    for family, series, name, unit, how in (
        ("sender", "pacing_p99_ms", "pacing of senders p95", "ms", "p95"),
        ("host", "cpu_percent", "processor of hosts", "%", "mean"),
    ):
        found = [s.value for s in run.family(family, series).values() if len(s)]
        _add(figures, Metric(LAB, name, unit), [float(_SUMS[how](value)) for value in found])
    return figures


def _clean_hold(run: Run, stream: Stream) -> Windows:
    """The hold without the lab's faults; nothing where they leave too little of it."""
    hosts, hold = run.carriers(stream), run.hold(stream)
    clean = subtract(hold, merge(fault.window for fault in run.faults if fault.host in hosts))
    return clean if length_s(clean) >= MIN_CLEAN_SHARE * length_s(hold) else ()


def _has_latency(run: Run, stream: Stream) -> bool:
    """Whether latency can be read from a stream, as the scenario's check of it says."""
    asked = (item for item in run.meta.get("checks", ()) if item.get("id") == "audio.latency")
    params = next((parse_check(item)[1] for item in asked), Latency())
    assert isinstance(params, Latency)
    return params.judges(stream.subject) and one_clock(run, stream.hosts, params.max_clock_ms)


def _series(run: Run, stream: Stream, metric: str) -> Samples:
    return run.series(stream.subject, metric, stream.receiver.host)
