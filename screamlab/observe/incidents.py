"""When packets are worth keeping: windows around what went wrong that do not overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from screamlab.evidence.subjects import ROUTER
from screamlab.scenario.plan import NULL_PREFIX

LONGEST_S = 60.0
"""Trouble that goes on for longer than this is cut into one incident after the other."""

# What is an incident, by kind of event; of whom, where not of everybody.
_KINDS: dict[str, tuple[str, ...]] = {
    "audio.dropout": (),
    "audio.silence": (),
    "core.found": (),
    "router.hang": (),
    "sip.failed": (),
    "process.gone": (ROUTER,),
    "process.restarted": (ROUTER,),
}


def is_incident(event: Mapping[str, Any]) -> bool:
    """Whether an event is one around which packets are kept; the null path has no router in it."""
    kind, subject = str(event.get("kind")), str(event.get("subject"))
    if kind not in _KINDS or subject.startswith(f"stream/{NULL_PREFIX}"):
        return False
    return not _KINDS[kind] or subject in _KINDS[kind]


@dataclass
class Incident:
    """Trouble and the time around it, in unix seconds; `causes` counts events by kind."""

    number: int
    from_t: float
    to_t: float
    causes: Counter[str] = field(default_factory=Counter)


class Incidents:
    """Windows of `around_s` before and after every event, merged while they overlap.

    At most `at_most` of them; `left_out` counts the events for which there was no other, and those
    that are told only after a later window is over.
    """

    def __init__(self, around_s: float, at_most: int) -> None:
        self.left_out = 0
        self._around_s = around_s
        self._at_most = at_most
        self._all: list[Incident] = []
        self._taken = 0

    def add(self, t: float, kind: str) -> None:
        """Something of `kind` happened at `t`."""
        incident = self._window_of(t - self._around_s, t, t + self._around_s)
        if incident is None:
            self.left_out += 1
        else:
            incident.causes[kind] += 1

    def take(self, before_t: float) -> list[Incident]:
        """The incidents that were over before `before_t` and have not been taken yet."""
        due = [one for one in self._all[self._taken :] if one.to_t < before_t]
        self._taken += len(due)
        return due

    def _window_of(self, begin: float, t: float, end: float) -> Incident | None:
        last = self._all[-1] if self._all else None
        if last and len(self._all) > self._taken and begin <= last.to_t and end >= last.from_t:
            from_t, to_t = min(begin, last.from_t), max(end, last.to_t)
            if to_t - from_t <= LONGEST_S:
                before = self._all[-2].to_t if len(self._all) > 1 else from_t
                last.from_t, last.to_t = max(from_t, before), to_t
                return last
        for incident in self._all:
            # Windows that follow one another closely are as good as one.
            if incident.from_t <= t <= incident.to_t and last and end <= last.to_t:
                return incident
        if len(self._all) == self._at_most or (last and end <= last.to_t):
            return None
        self._all.append(
            Incident(len(self._all) + 1, max(begin, last.to_t) if last else begin, end)
        )
        return self._all[-1]
