"""Crashes of the router and of the lab's processes, and what came before each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from screamlab.evidence.journal import Entry
from screamlab.evidence.stacks import build_ids
from screamlab.judge.crashes import (
    Crash,
    Group,
    down,
    groups,
    lab_crashes,
    router_crashes,
    watched_unit,
)
from screamlab.judge.impaired import planned_impairments
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, contains, length_s, merge

BEFORE_S = 10.0
# A process says its last words while its core is written.
AFTER_S = 5.0
MOST_LINES = 20
MOST_EVENTS = 12
MOST_FRAMES = 12
MOST_PYTHON = 60
# What every second brings; beside a crash it says nothing.
_ORDINARY = ("core.", "probe.", "sampler.", "stream.heard")
# How the lines begin that faulthandler(3) of Python writes.
_FAULT_HANDLER = ("Fatal Python error", "Current thread 0x", "Thread 0x", "  File ", "  <no Python")


@dataclass(frozen=True)
class CrashGroup:
    """Crashes that are the same; lines and events are of the seconds before the first.

    `python` is where Python's threads were, as its fault handler told; `impaired` the impairments
    in force.
    """

    group: Group
    whose: str
    when: str
    impaired: tuple[str, ...]
    lines: tuple[str, ...]
    python: tuple[str, ...]
    build_ids: tuple[tuple[str, str], ...]
    events: tuple[str, ...]

    @property
    def frames(self) -> list[tuple[str, str]]:
        """Function and place of the innermost frames."""
        return [(f.function, f.place) for f in self.group.first.frames[:MOST_FRAMES]]


def crash_groups(run: Run) -> list[CrashGroup]:
    """The router's crashes first, each kind by how often it happened."""
    of_router = [_told(run, group, "the router") for group in groups(router_crashes(run))]
    return of_router + [_told(run, group, "the lab") for group in groups(lab_crashes(run))]


def down_s(run: Run) -> float:
    """For how long the router was gone after its process had ended."""
    return length_s(down(run))


def _told(run: Run, group: Group, whose: str) -> CrashGroup:
    first = group.first
    lines, python = _journal(run, first)
    return CrashGroup(
        group=group,
        whose=whose,
        when=run.when(first.at_s),
        impaired=tuple(
            f"{planned.impairment.profile} on {planned.impairment.target}"
            for planned in planned_impairments(run)
            if contains((planned.window,), first.at_s)
        ),
        lines=lines,
        python=python,
        build_ids=_build_ids(run, first),
        events=_events(run, first),
    )


def _events(run: Run, crash: Crash) -> tuple[str, ...]:
    """What happened on any host just before."""
    near = [
        f"{event.at_s:.1f} s {event.kind} {event.subject} on {event.host}"
        for event in run.between(crash.at_s - BEFORE_S, crash.at_s)
        if not event.kind.startswith(_ORDINARY)
    ]
    return tuple(near[-MOST_EVENTS:])


def _build_ids(run: Run, crash: Crash) -> tuple[tuple[str, str], ...]:
    """The libraries that the crash went through, each with its build id."""
    wanted = {frame.library for frame in crash.frames}
    texts = (run.bundle.path / "hosts" / crash.host / name for name in crash.files)
    found: dict[str, str] = {}
    for text in texts:
        if text.suffix == ".txt" and text.is_file():
            found |= build_ids(text.read_text(errors="replace"))
    return tuple((PurePosixPath(file).name, found[file]) for file in found if file in wanted)


def _journal(run: Run, crash: Crash) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The last lines of the unit that crashed, and Python's own stacks of the crash."""
    last: deque[str] = deque(maxlen=MOST_LINES)
    python: list[str] = []
    for entry in _around_crashes(run, crash.host, crash.subject):
        at_s, text = entry.t - run.zero, entry.message
        if not crash.at_s - BEFORE_S <= at_s <= crash.at_s + AFTER_S:
            continue
        if text.startswith("Fatal Python error"):
            python = []
        if text.startswith(_FAULT_HANDLER):
            python.append(text)
        elif at_s <= crash.at_s:
            last.append(f"{at_s:.1f} s {text}")
    return tuple(last), tuple(_current_first(python)[:MOST_PYTHON])


@lru_cache(maxsize=4)
def _around_crashes(run: Run, host: str, subject: str) -> tuple[Entry, ...]:
    """What the unit of a process logged around its crashes, in one reading of the journal."""
    unit = watched_unit(run, host, subject)
    crashes = (*router_crashes(run), *lab_crashes(run))
    near = merge(Window(one.at_s - BEFORE_S, one.at_s + AFTER_S) for one in crashes)
    entries = run.bundle.journal(host, unit) if unit else ()
    return tuple(entry for entry in entries if contains(near, entry.t - run.zero))


def _current_first(python: list[str]) -> list[str]:
    """The thread that crashed, which is told last, before the others."""
    heads = (at for at, line in enumerate(python) if line.startswith("Current thread"))
    at = next(heads, 0)
    return python[:1] + python[at:] + python[1:at] if at else python
