"""Whether the network was broken as asked; where it was not, the run is invalid, never failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import Field

from screamlab.judge.impaired import (
    CONFIDENCE,
    Figure,
    Planned,
    planned_impairments,
    truth_table,
)
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Event
from screamlab.judge.view import Run

# Bursts of this mean length are no bursts.
_ONE_BY_ONE = 1.2
_NAMES = {"share": "", "packets": " packets", "ms": " ms"}


class Proof(Params):
    """How sure an interval is; `min_samples` are independent ones, or worth as many."""

    confidence: float = Field(default=CONFIDENCE, ge=0.8, lt=1)
    min_samples: int = Field(default=100, ge=1)


class Delay(Proof):
    """How far p10, p50 and p90 may lie from what was asked, beyond what chance explains.

    The impairment point's timers, and packets whose spacing is not known exactly, cost this much.
    """

    tolerance_ms: float = Field(default=2.0, ge=0)
    tolerance_share: float = Field(default=0.1, ge=0, description="of asked p90 - p10, if more")


@check("impair.delay", Delay)
def delay(run: Run, params: Delay) -> list[CheckResult]:
    """Probes are delayed as every impairment asks, unimpaired time being the measure."""
    found = _by_subject(run, params, lambda figure: figure.what.startswith("delay"))
    results = []
    for subject, figures in found.items():
        asked = [figure.asked for figure in figures if figure.asked]
        spread = asked[-1].low - asked[0].low if asked else 0.0
        limit = max(params.tolerance_ms, params.tolerance_share * spread)
        results.append(_grade("impair.delay", params, subject, figures, limit))
    return _or_unknown(run, "impair.delay", results)


class Loss(Proof):
    """How far a loss rate may lie from what was asked, beyond what chance explains."""

    tolerance_share: float = Field(default=0.001, ge=0, lt=1, description="of packets")


@check("impair.loss", Loss)
def loss(run: Run, params: Loss) -> list[CheckResult]:
    """Every impairment loses as many probes as asked."""
    found = _by_subject(run, params, lambda figure: figure.what == "loss")
    results = [
        _grade("impair.loss", params, subject, figures, params.tolerance_share)
        for subject, figures in found.items()
    ]
    return _or_unknown(run, "impair.loss", results)


class Bursts(Proof):
    """How far the mean length of bursts may lie from what was asked, beyond chance."""

    tolerance_share: float = Field(default=0.1, ge=0, description="of the length asked")
    min_samples: int = Field(default=5, ge=1, description="bursts")


@check("impair.bursts", Bursts)
def bursts(run: Run, params: Bursts) -> list[CheckResult]:
    """Losses come in bursts as long as every impairment that loses asks.

    Where losses are to come one by one, and too few came to tell, nothing is asked.
    """
    found = _by_subject(run, params, lambda figure: figure.what == "burst")
    results = []
    for subject, figures in found.items():
        asked, worth = figures[0].asked, figures[0].effective
        if asked and asked.high < _ONE_BY_ONE and worth < params.min_samples:
            continue
        limit = params.tolerance_share * (asked.high if asked else 1.0)
        results.append(_grade("impair.bursts", params, subject, figures, limit))
    return _or_unknown(run, "impair.bursts", results)


class Reordering(Proof):
    """How far the share of reordered packets may lie from what was asked, beyond chance."""

    tolerance_share: float = Field(default=0.002, ge=0, lt=1, description="of packets")
    tolerance_relative: float = Field(default=0.2, ge=0, description="of the share asked, if more")


@check("impair.reordering", Reordering)
def reordering(run: Run, params: Reordering) -> list[CheckResult]:
    """Probes overtake each other as every impairment asks (RFC 4737), or not at all."""
    found = _by_subject(run, params, lambda figure: figure.what == "reordered")
    results = []
    for subject, figures in found.items():
        asked = figures[0].asked
        relative = params.tolerance_relative * (asked.high if asked else 0.0)
        limit = max(params.tolerance_share, relative)
        results.append(_grade("impair.reordering", params, subject, figures, limit))
    return _or_unknown(run, "impair.reordering", results)


class Applied(Params):
    """How late an impairment, a step of it, and its end may come."""

    max_late_ms: float = Field(default=500.0, gt=0)
    max_step_late_ms: float = Field(default=250.0, gt=0)
    max_late_steps: int = Field(default=0, ge=0, description="steps that may be later than that")
    max_heal_s: float = Field(default=10.0, gt=0)
    min_samples: int = Field(default=1, ge=1)


@check("impair.applied", Applied)
def applied(run: Run, params: Applied) -> list[CheckResult]:
    """Every impairment was armed, then applied, in time, and healed; all of it was seen."""
    results = [_applied(run, params, planned) for planned in planned_impairments(run)]
    return _or_unknown(run, "impair.applied", results)


class Residue(Params):
    """The samples are agents of impairment points that came to their ends."""

    min_samples: int = Field(default=1, ge=1)


@check("impair.residue", Residue)
def residue(run: Run, params: Residue) -> list[CheckResult]:
    """What an impairment put on a host is gone when it ends, before the lab heals once more."""
    grade = Grader("impair.residue", params.min_samples, bad="invalid")
    results = []
    for host in dict.fromkeys(planned.point for planned in planned_impairments(run)):
        ended = sum(event.host == host for event in run.events("agent.end"))
        told = [event for event in run.events("impair.left") if event.host == host]
        left = [str(one) for event in told for one in event.fields["left"]]
        reason = f"left at the end: {'; '.join(left) or 'nothing'}"
        at_s = told[0].at_s if told else None
        results.append(grade.at_most(host, len(left), 0, "things", ended, reason, at_s))
    return _or_unknown(run, "impair.residue", results)


def _applied(run: Run, params: Applied, planned: Planned) -> CheckResult:
    grade = Grader("impair.applied", params.min_samples, bad="invalid")
    subject, begin = planned.subject, planned.window.from_s
    kinds = ("armed", "applied", "step_late", "healed")
    armed, begun, late, healed = (_told(run, planned, f"impair.{kind}") for kind in kinds)
    if not any((armed, begun, healed)):
        return grade.unknown(subject, f"{planned.point} told nothing of it")
    if not begun:
        return _wrong(grade, subject, "was never applied", len(armed))
    first = begun[0].at_s
    if not any(event.at_s <= first for event in armed):
        return _wrong(grade, subject, f"applied at {run.when(first)} without being armed", 1)
    off_ms = abs(first - begin) * 1000
    if off_ms > params.max_late_ms:
        reason = f"applied {off_ms:.0f} ms off its time, at {run.when(first)}"
        return grade.at_most(subject, off_ms, params.max_late_ms, "ms", 1, reason)
    slow = [e for e in late if float(e.fields.get("late_ms", 0.0)) > params.max_step_late_ms]
    if len(slow) > params.max_late_steps:
        reason = f"{len(slow)} steps late, first at {run.when(slow[0].at_s)}"
        return grade.at_most(subject, len(slow), params.max_late_steps, "steps", 1, reason)
    ends = [event for event in healed if event.at_s >= first]
    if not ends:
        return _wrong(grade, subject, "was never healed", 1)
    if not ends[-1].fields.get("verified", True):
        return _wrong(grade, subject, f"not clean after healing at {run.when(ends[-1].at_s)}", 1)
    over_s = ends[0].at_s - planned.window.to_s
    reason = f"applied {off_ms:.0f} ms off its time, healed {over_s:.1f} s after its end"
    return grade.at_most(subject, abs(over_s), params.max_heal_s, "s", len(begun), reason)


def _told(run: Run, planned: Planned, kind: str) -> list[Event]:
    """What the impairment point told of this impairment, and of no other on the same device."""
    it = planned.impairment
    others = [p for p in planned_impairments(run) if p != planned and p.point == planned.point]
    same = [p.window for p in others if p.impairment.device == it.device]
    before = max((w.to_s for w in same if w.to_s <= it.from_s), default=float("-inf"))
    after = min((w.from_s for w in same if w.from_s >= it.to_s), default=float("inf"))
    return [
        event
        for event in run.events(kind)
        if event.host == planned.point
        and event.fields.get("device") == it.device
        and before <= event.at_s < after
    ]


def _wrong(grade: Grader, subject: str, reason: str, samples: int) -> CheckResult:
    return grade.at_most(subject, 1, 0, "", max(1, samples), reason)


def _by_subject(
    run: Run, params: Proof, wanted: Callable[[Figure], bool]
) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = {}
    for figure in truth_table(run, params.confidence):
        # What could not be measured at all stands for every figure of its direction.
        if wanted(figure) or figure.asked is None:
            found.setdefault(figure.subject, []).append(figure)
    return found


def _grade(
    check_id: str, params: Proof, subject: str, figures: Sequence[Figure], limit: float
) -> CheckResult:
    grade = Grader(check_id, params.min_samples, bad="invalid")
    unmeasured = [figure for figure in figures if figure.why]
    if unmeasured:
        return grade.unknown(subject, f"{unmeasured[0].what}: {unmeasured[0].why}")
    samples = min(figure.samples for figure in figures)
    worth = int(min(figure.effective for figure in figures))
    if worth < params.min_samples:
        reason = f"{samples} samples, worth {worth} independent ones; {params.min_samples} needed"
        return grade.unknown(subject, reason, samples)
    worst = max(figures, key=Figure.off)
    reason = "; ".join(told(figure) for figure in figures)
    reason = f"{reason}; {samples} samples at {params.confidence:.1%}"
    return grade.at_most(subject, worst.off(), limit, worst.unit, samples, reason)


def told(figure: Figure) -> str:
    """A figure in words: asked, achieved, interval."""
    assert figure.asked and figure.interval and figure.achieved is not None
    low, high = figure.interval
    asked = _number(figure, figure.asked.low)
    if figure.asked.high - figure.asked.low > 0.02 * abs(figure.asked.high):
        asked = f"{asked} to {_number(figure, figure.asked.high)}"
    return (
        f"{figure.what} {_number(figure, figure.achieved)} "
        f"[{_number(figure, low)}, {_number(figure, high)}], asked {asked}{_NAMES[figure.unit]}"
    )


def _number(figure: Figure, value: float) -> str:
    return f"{value:.2%}" if figure.unit == "share" else f"{value:.2f}"


def _or_unknown(run: Run, check_id: str, results: list[CheckResult]) -> list[CheckResult]:
    if results:
        return results
    what = "no impairment asks for this" if planned_impairments(run) else "no impairment is planned"
    return [Grader(check_id, 1).unknown("impairments", what)]
