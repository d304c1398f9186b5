"""What was logged: the patterns that were seen, and a view of the timeline that stays small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from screamlab.evidence.timeline import TIMELINE_FILE, Line
from screamlab.judge.log_patterns import Began, Seen, began_with, kind_of, patterns, told
from screamlab.judge.view import Run
from screamlab.report.page import own

# The report stays small: so many lines, of so many characters each, a few hundred kB.
MOST_LINES = 3000
LONGEST_LINE = 300
# From the router's configuration to the end of its shutdown, around the plan's own time.
EARLIER_S, LATER_S = 30.0, 60.0
WARNING = 4

# What is shown first when not all can be; a class that does not fit is thinned evenly.
CLASSES = (
    "phases, impairments, and what a check counts",
    "warnings and worse, and what kernels say",
    "other events",
    "other lines of journals",
    "what is known to be harmless",
    "other lines of the router's log files",
)

# at_s, host, kind, source, level, text
Row = tuple[float, str, str, str, int, str]


@dataclass(frozen=True)
class SeenRow:
    """One pattern: how often, how often a minute, when first, and what it began with."""

    seen: Seen
    per_minute: float
    first: str
    began: Began | None

    @property
    def line(self) -> str:
        """Its most frequent line, numbers left out."""
        return self.seen.shapes.most_common(1)[0][0][:LONGEST_LINE]


@dataclass(frozen=True)
class Logs:
    """The report's section on logs; `shown` and `all` count the lines of each class."""

    verbose: bool
    left_out: tuple[str, ...]
    patterns: tuple[SeenRow, ...]
    rows: tuple[Row, ...]
    classes: tuple[tuple[str, int, int], ...]
    file: str = TIMELINE_FILE

    @property
    def script(self) -> Markup:
        """What filters the lines in the reader's browser."""
        return own("logs.js")


def logs(run: Run) -> Logs:
    """Everything the report says of logs, in two readings of the timeline."""
    seen = [one for one in told(run).seen.values() if one.at_s]
    seen.sort(key=lambda one: one.pattern.severity == "harmless")
    classes = bytes(_class(run, line) for line in _wanted(run))
    counts = Counter(classes)
    steps, shown = _thinning(counts)
    rows = []
    met: Counter[int] = Counter()
    for line, at in zip(_wanted(run), classes, strict=True):
        if at in steps and met[at] % steps[at] == 0:
            text = line.text if len(line.text) <= LONGEST_LINE else line.text[:LONGEST_LINE] + "…"
            at_s = round(line.t - run.zero, 3)
            rows.append((at_s, line.host, line.kind, line.source, line.level, text))
        met[at] += 1
    return Logs(
        verbose=bool(run.meta.get("verbose")),
        left_out=tuple(run.meta.get("left_out", ())),
        patterns=tuple(_seen_row(run, one) for one in seen),
        rows=tuple(rows),
        classes=tuple((CLASSES[at], shown[at], counts[at]) for at in sorted(counts)),
    )


def _wanted(run: Run) -> Iterator[Line]:
    first, last = run.zero - EARLIER_S, run.zero + run.duration_s + LATER_S
    return (line for line in run.bundle.timeline() if first <= line.t <= last)


def _thinning(counts: Counter[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Of each class every how manieth line is shown, and how many that are."""
    room = MOST_LINES
    steps, shown = {}, dict.fromkeys(counts, 0)
    for at in sorted(counts):
        if room:
            steps[at] = -(-counts[at] // room)
            shown[at] = -(-counts[at] // steps[at])
            room -= shown[at]
    return steps, shown


def _class(run: Run, line: Line) -> int:
    if line.kind == "phase" or line.source.startswith("impair."):
        return 0
    if line.kind == "event":
        return 2
    pattern = patterns().of(line, kind_of(run, line)) if line.kind != "log" else None
    if pattern is not None and pattern.severity == "harmless":
        return 4
    if pattern is not None and pattern.severity != "warning":
        return 0
    if line.kind == "kernel" or (line.level <= WARNING and line.kind == "journal"):
        return 1
    return 5 if line.kind == "log" else 3


def _seen_row(run: Run, seen: Seen) -> SeenRow:
    per_minute = len(seen.at_s) / (max(run.duration_s, 1.0) / 60)
    return SeenRow(seen, per_minute, run.when(seen.at_s[0]), began_with(run, seen))
