"""What the logs of all hosts tell, by the severity of `log_patterns.yml`; a result per pattern."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from screamlab.judge.faults import charged
from screamlab.judge.log_patterns import Seen, Severity, began_with, told
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, inside, length_s

_SHOWN = 120


class Lines(Params):
    """Lines of one pattern a minute; the lines that were read are the samples."""

    min_samples: int = Field(default=1, ge=1)
    max_per_minute: float = Field(default=0.0, ge=0)


class Errors(Lines):
    """The same, where a few are no news."""

    max_per_minute: float = Field(default=1.0, ge=0)


class Warnings(Lines):
    """The same, where many are no news."""

    max_per_minute: float = Field(default=30.0, ge=0)


@check("log.fatal", Lines)
def fatal(run: Run, params: Lines) -> list[CheckResult]:
    """No log tells of a process that was killed or crashed, or of one that is blocked."""
    return _judged(run, params, "log.fatal", "fatal")


@check("log.exhaustion", Lines)
def exhaustion(run: Run, params: Lines) -> list[CheckResult]:
    """No log tells of a resource running out."""
    return _judged(run, params, "log.exhaustion", "exhaustion")


@check("log.errors", Errors)
def errors(run: Run, params: Errors) -> list[CheckResult]:
    """The router's log is free of errors that are not known to be harmless."""
    return _judged(run, params, "log.errors", "error")


@check("log.warnings", Warnings)
def warnings(run: Run, params: Warnings) -> list[CheckResult]:
    """The router's log does not fill with warnings that are not known to be harmless."""
    return _judged(run, params, "log.warnings", "warning")


def _judged(run: Run, params: Lines, check_id: str, severity: Severity) -> list[CheckResult]:
    grade = Grader(check_id, params.min_samples)
    router = run.router_host
    if router is None or not run.bundle.has_journal(router):
        return [grade.unknown("router", "its journal is not in the run folder")]
    seen = told(run).seen.values()
    gaps = [one for one in seen if one.pattern.severity == "gap" and one.at_s]
    return [
        _result(run, params, grade, one, gaps) for one in seen if one.pattern.severity == severity
    ]


def _result(
    run: Run, params: Lines, grade: Grader, seen: Seen, gaps: Sequence[Seen]
) -> CheckResult:
    deaf = [host for host in run.plans if not run.bundle.hears_kernel(host)]
    if deaf and seen.pattern.of == ("kernel",):
        reason = f"what the kernel of {deaf[0]} said is not in the run folder"
        return grade.unknown(seen.pattern.id, reason)
    if seen.pattern.of == ("router",) and not told(run).router:
        return grade.unknown(seen.pattern.id, "the router's unit has logged nothing")

    def evaluate(windows: Windows) -> CheckResult:
        return _graded(run, params, grade, seen, windows)

    faults = run.faults if seen.pattern.stall else ()
    whole = (Window(0.0, run.duration_s),)
    result = charged(faults, run.beside_router, whole, evaluate)
    if gaps and result.status == "pass":
        told_gap = f"{gaps[0].pattern.reason}: {_where(run, gaps[0])}"
        return result.but(status="invalid", reason=told_gap)
    return result


def _graded(run: Run, params: Lines, grade: Grader, seen: Seen, windows: Windows) -> CheckResult:
    lines = told(run).lines
    at_s = np.asarray(seen.at_s)[inside(np.asarray(seen.at_s), windows)]
    count, first_s = len(at_s), float(at_s[0]) if len(at_s) else None
    rate = count / (max(length_s(windows), 1.0) / 60)
    reason = f"{count} of {lines} lines" + (f" {_where(run, seen)}" if count else "")
    pattern = seen.pattern.id
    limit = params.max_per_minute
    return grade.at_most(pattern, rate, limit, "per minute", lines, reason, first_s)


def _where(run: Run, seen: Seen) -> str:
    """Where and when something was seen, what it began with, and its most frequent line."""
    where = ", ".join(sorted(seen.hosts))
    began = began_with(run, seen)
    with_what = f", {began.after_s:.1f} s after {began.what} began" if began else ""
    shape, most = seen.shapes.most_common(1)[0]
    shown = shape if len(shape) <= _SHOWN else shape[: _SHOWN - 1] + "…"
    first = run.when(seen.at_s[0])
    return f"on {where}, first at {first}{with_what}; most often ({most} ×): {shown}"
