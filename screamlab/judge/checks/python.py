"""Whether the router's Python memory grows, by type or traceback, and what cannot be collected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from screamlab.judge.churned import done, groups, settled, times
from screamlab.judge.leak_cycles import growth_per_cycle
from screamlab.judge.model import CheckResult
from screamlab.judge.python_memory import PythonMemory, held_by, python_memory
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect, length_s, merge

NO_TOOL = "the router ran under no profiler of Python memory"
MOST = 20
"""Types or tracebacks that grow are told one by one up to this number."""


class Grown(Params):
    """Growth that is too much, with each cycle of churn, or each minute where there is none.

    The first `warm_up_seconds` of snapshots, and `settle_seconds` after the churn, are not judged:
    the router keeps a connection of its API for 30 s. Floors are of `window_seconds`.
    """

    max_objects: float = Field(default=0.05, gt=0, description="of one type")
    max_bytes: float = Field(default=256.0, gt=0, description="of one traceback")
    max_blocks: float = Field(default=4.0, gt=0, description="of Python memory as a whole")
    window_seconds: float = Field(default=10.0, gt=0)
    warm_up_seconds: float = Field(default=5.0, ge=0)
    settle_seconds: float = Field(default=35.0, ge=0)
    min_samples: int = Field(default=8, ge=1, description="floors")


@dataclass(frozen=True)
class Grew:
    """How something grew with each turn: most likely, at least, and how much would not be seen."""

    before: float
    after: float
    rate: float
    low: float
    blur: float
    floors: int


@dataclass(frozen=True)
class Looks:
    """When is compared with when, and the moments by which growth is counted.

    `turns` is how many of these there are in what growth is told by.
    """

    before: Windows
    during: Windows
    after: Windows
    turns_s: NDArray[np.float64]
    per: str
    turns: float = 1.0

    @property
    def count(self) -> str:
        """How many cycles, or minutes, growth was seen over."""
        return f"{len(self.turns_s) / self.turns:.0f} {self.per}s"

    def growth(self, samples: Samples, window_s: float) -> Grew | None:
        """How a series grew; None without floors before, while and after."""
        # Of a series that hardly moves, no interval of confidence can be told.
        with np.errstate(invalid="ignore"):
            found = growth_per_cycle(
                samples, self.before, self.during, self.after, self.turns_s, window_s
            )
        if found is None:
            return None
        per_turn = found.growth
        rate, low, blur = (self.turns * one for one in (per_turn.rate, per_turn.low, per_turn.blur))
        return Grew(found.before, found.after, rate, low, blur, per_turn.floors)


@check("python.growth", Grown)
def python_growth(run: Run, params: Grown) -> list[CheckResult]:
    """No Python type, and no traceback that asks for memory, holds more and more."""
    grade = Grader("python.growth", params.min_samples)
    memory = python_memory(run)
    if memory is None or not memory.snapshots:
        return [grade.unknown("python", _why_not(memory))]
    looks = _looks(run, memory, params)
    results = [_blocks(memory, looks, params, grade)]
    if memory.kind.judged:
        results += _each(memory, looks, params, grade)
    return results


def _why_not(memory: PythonMemory | None) -> str:
    if memory is None:
        return NO_TOOL
    return "no snapshot was taken: " + ("; ".join(memory.errors) or "nobody asked for one")


def _looks(run: Run, memory: PythonMemory, params: Grown) -> Looks:
    """The quiet before and after the churn; where nobody comes and goes, the holds' ends."""
    seen = (Window(float(memory.taken_s[0]) + params.warm_up_seconds, float("inf")),)
    when = times(run)
    ended = np.sort([one.span.to_s for group in groups(run) for one in done(run, group)])
    if len(ended):
        after = settled(when.after, params.settle_seconds)
        return Looks(intersect(when.before, seen), when.churn, after, ended, "cycle")
    hold = intersect(run.phase("hold"), seen)
    if not hold:
        return Looks((), (), (), ended, "minute")
    first, last = hold[0].from_s, hold[-1].to_s
    tenth_s = (last - first) / 10
    return Looks(
        intersect(hold, (Window(first, first + tenth_s),)),
        hold,
        intersect(hold, (Window(last - tenth_s, last),)),
        np.arange(first, last),
        "minute",
        turns=60.0,
    )


def _blocks(memory: PythonMemory, looks: Looks, params: Grown, grade: Grader) -> CheckResult:
    subject = "python/blocks"
    found = looks.growth(memory.figure("blocks"), params.window_seconds)
    if found is None:
        return grade.unknown(subject, _too_short(memory, looks))
    reason = f"{_told(found, looks)}; {_visible(params.max_blocks + found.blur, looks, 'blocks')}"
    return grade.at_most(
        subject, found.low, params.max_blocks, f"blocks per {looks.per}", found.floors, reason
    )


def _each(memory: PythonMemory, looks: Looks, params: Grown, grade: Grader) -> list[CheckResult]:
    """A result for each that grows, and one for all that do not."""
    kind = memory.kind
    limit = params.max_objects if kind.unit == "objects" else params.max_bytes
    unit = f"{kind.unit} per {looks.per}"
    if not memory.names:
        why = "; ".join(memory.errors) or f"{memory.tool} told nothing"
        return [grade.unknown(f"python/{kind.by}s", why)]
    flat = looks.growth(Samples(memory.t, np.zeros_like(memory.t)), params.window_seconds)
    if flat is None:
        return [grade.unknown(f"python/{kind.by}s", _too_short(memory, looks))]
    grown: list[tuple[Grew, str]] = []
    others: list[Grew] = []
    for row, name in enumerate(memory.names):
        if not params.judges(f"python/{kind.by}/{name}"):
            continue
        series = memory.series(row)
        moves = np.ptp(series.value) > 0
        found = looks.growth(series, params.window_seconds) if moves else flat
        assert found is not None
        if found.low > limit and found.floors >= params.min_samples:
            grown.append((found, name))
        else:
            others.append(found)
    grown.sort(key=lambda item: -item[0].rate)
    results = []
    for found, name in grown[:MOST]:
        reason = f"{_told(found, looks)}{_held_by(memory, name)}"
        results.append(
            grade.at_most(f"python/{kind.by}/{name}", found.low, limit, unit, found.floors, reason)
        )
    if others:
        seen = float(limit + np.quantile([found.blur for found in others], 0.95))
        more = f"; {len(grown) - MOST} more grow, too" if len(grown) > MOST else ""
        reason = (
            f"{len(others)} of {len(others) + len(grown)} {kind.by}s do not grow{more}; "
            f"{_visible(seen, looks, kind.unit)} in 95 % of them"
        )
        most = max(min(found.low, limit) for found in others)
        floors = min(found.floors for found in others)
        results.append(grade.at_most(f"python/{kind.by}s", most, limit, unit, floors, reason))
    return results


def _told(found: Grew, looks: Looks) -> str:
    return (
        f"floor {found.before:.0f} before and {found.after:.0f} after {looks.count}, "
        f"{found.rate:+.3g} a {looks.per}, {found.low:+.3g} at least"
    )


def _visible(least: float, looks: Looks, unit: str) -> str:
    return f"a growth of {least:.2g} {unit} a {looks.per} would have been seen"


def _held_by(memory: PythonMemory, name: str) -> str:
    suspect = memory.suspects.get(name)
    chain = held_by(suspect) if suspect else ""
    return f"; held by {chain}" if chain else ""


def _too_short(memory: PythonMemory, looks: Looks) -> str:
    spans = (looks.before, looks.during, looks.after)
    counted = [len(memory.figure("blocks").within(merge(span))) for span in spans]
    quiet_s = length_s(looks.after)
    return (
        f"snapshots before, while and after: {counted[0]}, {counted[1]} and {counted[2]} in "
        f"{quiet_s:.0f} s, which is too few to compare"
    )


class Garbage(Params):
    """How many objects there may be that the collector finds and cannot free.

    With `instrument.save_all`, also how many objects of cycles a minute: they are freed, but not
    before the collector comes. Without a number, they are only told.
    """

    max_objects: int = Field(default=0, ge=0)
    max_cyclic_per_minute: float | None = Field(default=None, ge=0)


@check("python.garbage", Garbage)
def python_garbage(run: Run, params: Garbage) -> list[CheckResult]:
    """The garbage collector can free all that nobody holds."""
    grade = Grader("python.garbage", params.min_samples)
    memory = python_memory(run)
    if memory is None or not memory.snapshots:
        return [grade.unknown("python", _why_not(memory))]
    last, taken = memory.snapshots[-1], len(memory.snapshots)
    stuck: dict[str, int] = last["uncollectable"]
    freed = last["collected"] - memory.snapshots[0]["collected"]
    reason = f"{freed} objects were freed by the collector alone, {_types(stuck)} could not be"
    count = sum(stuck.values())
    results = [grade.at_most("python/garbage", count, params.max_objects, "objects", taken, reason)]
    if "cyclic" in last:
        results.append(_cyclic(memory, params, grade))
    return results


def _cyclic(memory: PythonMemory, params: Garbage, grade: Grader) -> CheckResult:
    """The first snapshot's are of the time before."""
    counted: Counter[str] = Counter()
    for line in memory.snapshots[1:]:
        counted.update(line["cyclic"])
    minutes = float(np.ptp(memory.taken_s)) / 60
    rate = sum(counted.values()) / minutes if minutes else 0.0
    limit = params.max_cyclic_per_minute
    reason = f"only the collector could free, at least, {_types(counted)}"
    most = limit if limit is not None else rate
    taken = len(memory.snapshots)
    return grade.at_most("python/cycles", rate, most, "objects per minute", taken, reason)


def _types(counted: dict[str, int]) -> str:
    if not counted:
        return "none"
    first = ", ".join(f"{count} {name}" for name, count in Counter(counted).most_common(5))
    return f"{first} and others" if len(counted) > 5 else first
