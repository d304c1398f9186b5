"""What the router writes into its journal."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from screamlab.evidence.journal import Entry
from screamlab.judge.faults import charged
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, contains

PATTERNS = Path(__file__).with_name("log_patterns.yml")
_SHOWN = 120
# syslog(3): 3 is LOG_ERR, and what is worse has a lower number.
_ERR = 3


class Patterns(BaseModel):
    """Regular expressions that tell the router's log lines apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: tuple[re.Pattern[str], ...]
    allowed: tuple[re.Pattern[str], ...]
    exhaustion: tuple[re.Pattern[str], ...]
    stall: tuple[re.Pattern[str], ...]


@lru_cache(maxsize=1)
def patterns() -> Patterns:
    """The patterns of `log_patterns.yml`."""
    return Patterns.model_validate(yaml.safe_load(PATTERNS.read_text(encoding="utf-8")))


class Journal(Params):
    """The unit whose journal is read; its lines are the samples."""

    unit: str = "screamrouter.service"
    min_samples: int = Field(default=1, ge=1)


class Errors(Journal):
    """Lines at error level or above a minute, those that are known to be harmless left out."""

    max_per_minute: float = Field(default=1.0, ge=0)


@check("log.errors", Errors)
def errors(run: Run, params: Errors) -> list[CheckResult]:
    """The router's journal is free of errors that are not known to be harmless."""
    grade = Grader("log.errors", params.min_samples)
    lines = run.journal(params.unit)
    if lines is None:
        return [grade.unknown(params.unit, "its journal is not in the run folder")]
    known = patterns()
    bad = [
        line
        for line in lines
        if (line.priority <= _ERR or _matches(known.error, line.message))
        and not _matches(known.allowed, line.message)
    ]
    minutes = max(run.duration_s, 1.0) / 60
    rate = len(bad) / minutes
    reason = f"{len(bad)} of {len(lines)} lines are errors{_most(run, bad)}"
    return [
        grade.at_most(params.unit, rate, params.max_per_minute, "per minute", len(lines), reason)
    ]


class Exhaustion(Journal):
    """Lines that tell of a resource running out."""

    max_lines: int = Field(default=0, ge=0)


@check("log.exhaustion", Exhaustion)
def exhaustion(run: Run, params: Exhaustion) -> list[CheckResult]:
    """The router's journal tells of no resource running out."""
    grade = Grader("log.exhaustion", params.min_samples)
    lines = run.journal(params.unit)
    if lines is None:
        return [grade.unknown(params.unit, "its journal is not in the run folder")]
    known = patterns()
    bad = [line for line in lines if _matches(known.exhaustion, line.message)]
    stall = [line for line in lines if _matches(known.stall, line.message)]

    def evaluate(windows: Windows) -> CheckResult:
        told = [*bad, *(line for line in stall if contains(windows, line.t - run.zero))]
        told.sort(key=lambda line: line.t)
        reason = f"{len(told)} of {len(lines)} lines tell of exhaustion{_most(run, told)}"
        return grade.at_most(params.unit, len(told), params.max_lines, "lines", len(lines), reason)

    whole = (Window(0.0, run.duration_s),)
    return [charged(run.faults, run.beside_router, whole, evaluate)]


def _matches(expressions: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(expression.search(text) for expression in expressions)


def _most(run: Run, lines: list[Entry]) -> str:
    """The most frequent of `lines`, numbers left out of the comparison, and the first moment."""
    if not lines:
        return ""
    shapes = Counter(re.sub(r"0x[0-9a-f]+|\d+", "#", line.message) for line in lines)
    shape, count = shapes.most_common(1)[0]
    shown = shape if len(shape) <= _SHOWN else shape[: _SHOWN - 1] + "…"
    return f", first at {run.when(lines[0].t - run.zero)}; most often ({count} ×): {shown}"
