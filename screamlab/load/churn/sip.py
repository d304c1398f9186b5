"""SIP devices that register and un-register: one sipp, in which each call is a cycle.

All calls begin together and each waits for its own time, which sipp keeps to the millisecond. What
a cycle did is read from sipp's log, why it failed from its errors.
"""

from __future__ import annotations

import os
import selectors
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.load.churn.driver import churn_subject
from screamlab.load.churn.model import Cycle, SipChurn, read_spec
from screamlab.load.churn.sip_xml import register_xml
from screamlab.load.sip.model import SipDevice
from screamlab.load.sip.sipp_output import parse_failure, parse_said
from screamlab.load.sip.sipp_process import EXECUTABLE, Job, Sipp

# sipp is told to have a device leave this long before its end.
_LEAVE_S = 0.5
_LOOK_S = 0.25


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Carry out a `SipChurn`. Raises `InfraError` when sipp is not installed.

    Series ``churn/<group>``: sipp's own statistics.
    """
    churn = read_spec(SipChurn, spec)
    if shutil.which(EXECUTABLE) is None:
        raise InfraError(f"{EXECUTABLE} is not installed on this host")
    sipp = Sipp(job(churn, context), context.zero, context.directory)
    try:
        _Listening(sipp, churn, context).run()
    finally:
        sipp.end()
        sipp.close()
    context.sleep_until(context.to_s)


def job(churn: SipChurn, context: WorkerContext) -> Job:
    """What sipp is to do: one device per cycle, with the credentials of the cycle's lane."""
    scenario = register_xml(churn.limit_s)
    lanes = {lane.number: lane for lane in churn.lanes}
    devices = tuple(
        SipDevice(
            name=str(cycle.number),
            address=churn.address,
            registrar=churn.registrar,
            domain=churn.domain,
            user=lanes[cycle.lane].user,
            password=lanes[cycle.lane].password,
            from_s=cycle.from_s,
            to_s=cycle.to_s + _LEAVE_S,
            scenario_xml=scenario,
        )
        for cycle in churn.cycles
    )
    return Job(f"churn-{churn.group}", devices)


@dataclass
class Progress:
    """How far a cycle has come; times are unix seconds."""

    cycle: Cycle
    zero: float
    begins: float | None = None
    registered: float | None = None
    leaves: float | None = None
    unregistered: float | None = None

    def said(self, what: str, at: float) -> dict[str, Any] | None:
        """sipp logged a step; the fields of the cycle's event once it is over."""
        if what == "unanswered":
            return self.over("REGISTER was not answered in time")
        setattr(self, what, at)
        return self.over() if what == "unregistered" else None

    def over(self, error: str = "") -> dict[str, Any]:
        """The fields of the event of a cycle that is over, because of `error` if there is one."""
        began = self.begins if self.begins is not None else self.zero + self.cycle.from_s
        told: dict[str, Any] = {
            "t": began,
            "ok": not error,
            "number": self.cycle.number,
            "lane": self.cycle.lane,
            "late_ms": _ms(self.zero + self.cycle.from_s, began),
        }
        if self.begins and self.registered:
            told["connect_ms"] = _ms(self.begins, self.registered)
        if self.leaves and self.unregistered:
            told["disconnect_ms"] = _ms(self.leaves, self.unregistered)
        if error:
            told["error"] = f"{'un-registering: ' if self.leaves else ''}{error}"
        return told


class _Listening:
    """Hears what sipp says until all cycles are over."""

    def __init__(self, sipp: Sipp, churn: SipChurn, context: WorkerContext) -> None:
        self._sipp = sipp
        self._context = context
        self._subject = churn_subject(churn.group)
        self._numbers = [cycle.number for cycle in churn.cycles]
        self._open = {cycle.number: Progress(cycle, context.zero) for cycle in churn.cycles}
        self._selector = selectors.DefaultSelector()
        takers: tuple[Callable[[str], None], ...] = (self._log, self._errors, self._statistics)
        for pipe, take in zip(sipp.pipes, takers, strict=True):
            self._selector.register(pipe, selectors.EVENT_READ, take)

    def run(self) -> None:
        while self._open and self._selector.get_map() and self._goes_on():
            for key, _ in self._selector.select(_LOOK_S):
                text = os.read(key.fd, 1 << 16).decode(errors="replace")
                if text:
                    key.data(text)
                else:
                    self._selector.unregister(key.fileobj)
        self._note(self._sipp.entries.rest())
        self._sipp.end()
        if not self._context.stopping.is_set():
            for number in list(self._open):
                self._over(number, self._open[number].over(self._sipp.last_words()))

    def _goes_on(self) -> bool:
        return not self._context.stopping.is_set() and self._context.now_s() < self._context.to_s

    def _log(self, text: str) -> None:
        for line in self._sipp.lines("log", text):
            said = parse_said(line)
            if said and said.rest and int(said.device) in self._open:
                number = int(said.device)
                if told := self._open[number].said(said.what, float(said.rest[0])):
                    self._over(number, told)

    def _errors(self, text: str) -> None:
        self._note(self._sipp.entries.feed(text))

    def _note(self, entries: Iterable[str]) -> None:
        for entry in entries:
            self._sipp.note(entry)
            failure = parse_failure(entry)
            if failure and 1 <= failure.call <= len(self._numbers):
                number = self._numbers[failure.call - 1]
                if number in self._open:
                    self._over(number, self._open[number].over(failure.cause))

    def _statistics(self, text: str) -> None:
        for line in self._sipp.lines("statistics", text):
            if figures := self._sipp.statistics.feed(line):
                self._context.spool.series(self._subject, figures)

    def _over(self, number: int, told: dict[str, Any]) -> None:
        del self._open[number]
        self._context.spool.event("churn.cycle", self._subject, **told)


def _ms(begin: float, end: float) -> float:
    return round((end - begin) * 1000, 3)
