"""What the logs of a run tell: every line of every host held against the known patterns, once."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from screamlab.evidence.timeline import INFORMATION, Line
from screamlab.judge.view import Run

PATTERNS = Path(__file__).parent / "checks" / "log_patterns.yml"
# Something began with a phase or an impairment that began so shortly before it was first seen.
BEGAN_S = 5.0
# The router is up and configured by then: what it said so long before zero it says without load.
CALM_S = 12.0
_MOST_SHAPES = 1000
_VARYING = re.compile(r"0x[0-9a-f]+|\d+")

Severity = Literal["fatal", "exhaustion", "error", "warning", "harmless", "gap"]
Of = Literal["router", "kernel", "host"]


class Pattern(BaseModel):
    """One entry of `log_patterns.yml`, which says what the fields mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    severity: Severity
    of: tuple[Of, ...] = Field(min_length=1)
    match: re.Pattern[str] = re.compile("")
    level: int = INFORMATION
    stall: bool = False
    reason: str


class Patterns(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    processes: re.Pattern[str]
    patterns: tuple[Pattern, ...]

    def of(self, line: Line, source: Of) -> Pattern | None:
        """The pattern that a line belongs to."""
        for pattern in self.patterns:
            if source in pattern.of and line.level <= pattern.level:
                found = pattern.match.search(line.text)
                if found and self._ours(found.groupdict()):
                    return pattern
        return None

    def _ours(self, groups: Mapping[str, str | None]) -> bool:
        """Whether the process that a line is about, if it is about one, is the lab's."""
        named = [name for name in groups.values() if name is not None]
        return all(self.processes.fullmatch(name) for name in named)


@lru_cache(maxsize=1)
def patterns() -> Patterns:
    """The patterns of `log_patterns.yml`."""
    told = yaml.safe_load(PATTERNS.read_text(encoding="utf-8"))
    told["processes"] = told["processes"].replace(" ", "")
    return Patterns.model_validate(told)


@dataclass
class Seen:
    """The lines of one pattern in the run's time, `at_s` on the plan's clock, ascending."""

    pattern: Pattern
    at_s: array[float] = field(default_factory=lambda: array("d"))
    hosts: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    before: bool = False

    def add(self, at_s: float, line: Line) -> None:
        """Count one line."""
        self.at_s.append(at_s)
        self.hosts[line.host] += 1
        shape = _VARYING.sub("#", line.text)
        if shape in self.shapes or len(self.shapes) < _MOST_SHAPES:
            self.shapes[shape] += 1


@dataclass
class Told:
    """How many lines were held against the patterns, and what was seen of each.

    `router` is whether the router's own log is among them: it said something, if only as it began.
    """

    lines: int
    seen: dict[str, Seen]
    router: bool


@dataclass(frozen=True)
class Began:
    """What began `after_s` seconds before something was first seen."""

    what: str
    after_s: float


@lru_cache(maxsize=1)
def told(run: Run) -> Told:
    """What the journals and kernels of all hosts tell of the time in which the plan ran.

    The router's log files repeat what its journal has, so they are not counted. One kernel may be
    heard through several hosts; what it says counts once.
    """
    known = patterns()
    seen = {pattern.id: Seen(pattern) for pattern in known.patterns}
    count = 0
    router = False
    kernel: set[tuple[int, str]] = set()
    for line in run.bundle.timeline():
        at_s = line.t - run.zero
        router = router or (line.kind == "journal" and kind_of(run, line) == "router")
        if line.kind not in ("journal", "kernel") or not -CALM_S <= at_s <= run.duration_s:
            continue
        count += at_s >= 0
        pattern = known.of(line, kind_of(run, line))
        if pattern is None:
            continue
        if line.kind == "kernel":
            if {(round(line.t) + by, line.text) for by in (-1, 0, 1)} & kernel:
                continue
            kernel.add((round(line.t), line.text))
        if at_s < 0:
            seen[pattern.id].before = True
        else:
            seen[pattern.id].add(at_s, line)
    return Told(count, seen, router)


def began_with(run: Run, seen: Seen) -> Began | None:
    """The impairment, or else the phase, that something began with; never seen before it."""
    if seen.before or not seen.at_s:
        return None
    first_s = seen.at_s[0]
    impairments = (
        (item.from_s, f"impairment {item.profile} on {item.target}")
        for plan in run.plans.values()
        for item in plan.impairments
    )
    phases = ((phase.from_s, f"phase {phase.name}") for phase in run.phases)
    return _latest(impairments, first_s) or _latest(phases, first_s)


def _latest(starts: Iterable[tuple[float, str]], first_s: float) -> Began | None:
    near = [(from_s, what) for from_s, what in starts if 0 <= first_s - from_s <= BEGAN_S]
    if not near:
        return None
    from_s, what = max(near)
    return Began(what, first_s - from_s)


def kind_of(run: Run, line: Line) -> Of:
    """Whose line it is, as patterns tell lines apart."""
    if line.kind == "kernel":
        return "kernel"
    return "router" if (line.host, line.source) == (run.router_host, run.router_unit) else "host"
