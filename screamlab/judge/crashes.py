"""Crashes of a run: who died where, of what, and which of them are the same crash.

A crash is a core that was found, or a death by signal that systemd told of without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from screamlab.evidence.stacks import Frame, crashed, telling
from screamlab.evidence.subjects import AGENT, ROUTER
from screamlab.judge.samples import Event
from screamlab.judge.view import Run
from screamlab.judge.watched import units
from screamlab.judge.windows import Window, Windows, merge
from screamlab.observe.core_file import signal_name

# systemd.journal-fields(7): "a process of a unit has exited".
_EXITED = "98e322203f7a4ed290d09fe03c09fe15"
# Signals by which a program ends itself; SIGKILL, SIGTERM and SIGINT come from outside.
_FATAL = frozenset(
    {"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGQUIT", "SIGSEGV", "SIGSYS", "SIGTRAP"}
)
# A core is written, and then found, around the time at which systemd sees the process end.
_SAME_DEATH_S = 60.0


@dataclass(frozen=True)
class Crash:
    """One process that died; `at_s` on the plan's clock.

    `frames` is where its thread was, innermost first, nothing when that is not known; `files` lie
    in the host's folder of the run; `error` says what is missing of them.
    """

    at_s: float
    host: str
    subject: str
    signal: str
    command: str = ""
    build_id: str = ""
    frames: tuple[Frame, ...] = ()
    files: tuple[str, ...] = ()
    error: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for crashes that are the same: the signal and the innermost functions."""
        return (self.signal, *(telling(self.frames) or (self.command,)))


@dataclass(frozen=True)
class Group:
    """Crashes that are the same, the first one first."""

    crashes: tuple[Crash, ...]

    @property
    def first(self) -> Crash:
        return self.crashes[0]

    @property
    def function(self) -> str:
        """The innermost function with a name; what was run where no stack is known."""
        named = (f.function for f in self.first.frames if f.function != "??")
        return next(named, self.first.command or "an unknown place")

    @property
    def title(self) -> str:
        """What happened, in a few words."""
        place = next((f.place for f in self.first.frames if f.function == self.function), "")
        return f"{self.first.signal} in {self.function}{f' ({place})' if place else ''}"


def groups(crashes: Iterable[Crash]) -> list[Group]:
    """Crashes sorted by what is the same, the most frequent first."""
    found: dict[tuple[str, ...], list[Crash]] = {}
    for crash in sorted(crashes, key=lambda crash: crash.at_s):
        found.setdefault(crash.identity, []).append(crash)
    return sorted((Group(tuple(same)) for same in found.values()), key=lambda g: -len(g.crashes))


@lru_cache(maxsize=4)
def router_crashes(run: Run) -> tuple[Crash, ...]:
    """Every crash of the router, those without a core included."""
    cores = _cores(run, ROUTER)
    without = list(cores)
    told = []
    for death in _deaths(run):
        match = next((c for c in without if abs(c.at_s - death.at_s) < _SAME_DEATH_S), None)
        if match is None:
            told.append(death)
        else:
            without.remove(match)
    return tuple(sorted([*cores, *told], key=lambda crash: crash.at_s))


@lru_cache(maxsize=4)
def lab_crashes(run: Run) -> tuple[Crash, ...]:
    """Every crash of the lab's own processes: agents, workers, clients."""
    return tuple(_cores(run, AGENT))


def blind(run: Run, host: str, subject: str) -> str:
    """Why a crash of `subject` on `host` might not have been seen; nothing when it would have."""
    canaries = [e for e in run.events("core.canary", subject) if e.host == host]
    if not canaries:
        return "nothing tells whether a core would have been kept"
    if not canaries[-1].fields.get("ok"):
        return f"no core would have been kept: {canaries[-1].fields.get('reason')}"
    return "" if looks(run, host, subject) else "nobody looked for cores to the end"


def looks(run: Run, host: str, subject: str) -> int:
    """How often cores of `subject` on `host` were looked for by a watch that came to its end."""
    watched = [e for e in run.events("core.watched", subject) if e.host == host]
    return sum(int(event.fields.get("looks", 0)) for event in watched)


def watched_unit(run: Run, host: str, subject: str) -> str | None:
    """The unit that is watched on a host as `subject`."""
    plan = run.plans.get(host)
    return units(plan).get(subject) if plan else None


def down(run: Run) -> Windows:
    """When the router was gone: from each end of its process until its API answered again.

    A router that did not come back was gone until the end of the run.
    """
    answered = run.series("router", "api_ok", run.router_host)
    back = answered.t[answered.value > 0]
    ends = [crash.at_s for crash in router_crashes(run)]
    ends += [event.at_s for event in run.events("process.gone", ROUTER)]
    found = []
    for at_s in ends:
        later = back[back > at_s]
        found.append(Window(at_s, float(later[0]) if len(later) else max(run.duration_s, at_s)))
    return merge(found)


def _cores(run: Run, subject: str) -> list[Crash]:
    kept = run.events("core.kept", subject)
    return [_crash(run, found, kept) for found in run.events("core.found", subject)]


def _crash(run: Run, found: Event, kept: Iterable[Event]) -> Crash:
    """A core with what was kept of it."""
    told = found.fields
    crash = Crash(
        found.at_s,
        found.host,
        found.subject,
        str(told.get("signal", "an unknown signal")),
        str(told.get("command", "")),
        str(told.get("build_id") or ""),
    )
    # A number may be given away again; what was kept of a core is told after the core.
    own = (e for e in kept if (e.host, e.fields.get("pid")) == (found.host, told.get("pid")))
    rest = next((event for event in own if event.at_s >= found.at_s), None)
    if rest is None:
        return replace(crash, error="nothing of it was kept")
    files = tuple(map(str, rest.fields.get("files", ())))
    texts = [_host_file(run, found.host, name) for name in files if name.endswith(".txt")]
    frames = next((crashed(p.read_text(errors="replace")) for p in texts if p.is_file()), ())
    return replace(crash, frames=frames, files=files, error=str(rest.fields.get("error", "")))


def _host_file(run: Run, host: str, name: str) -> Path:
    return run.bundle.path / "hosts" / host / name


def _deaths(run: Run) -> list[Crash]:
    """When systemd saw the router's main process die of a signal of its own making."""
    host = run.router_host
    unit = run.router_unit
    found = []
    for entry in run.journal(unit) if unit else ():
        fields = entry.fields
        if fields.get("MESSAGE_ID") == _EXITED and fields.get("EXIT_CODE") in ("killed", "dumped"):
            signal = signal_name(int(fields.get("EXIT_STATUS", "0")))
            if signal in _FATAL and host and unit:
                at_s, error = entry.t - run.zero, "it left no core"
                found.append(Crash(at_s, host, ROUTER, signal, command=unit, error=error))
    return found
