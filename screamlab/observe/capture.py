"""The worker ``capture``: watches its host's events, and keeps the packets around incidents.

Every host of a run that captures has one. It tells the capturing hosts of what goes wrong on its
own; on a capturing host the window around each incident is cut out of dumpcap's ring into
``incident-<n>.pcapng`` in the spool, once it is over. Whole SIP messages are kept, and the first
bytes of everything else.

Events of subject ``capture``: ``capture.start{device}``, ``capture.incident{file, from_t, to_t,
bytes, causes, whole}``, ``capture.left_out{causes, reason}``, ``capture.end{packets, missed,
left_out}``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.evidence.follow import new_records
from screamlab.impair.condition import Strict
from screamlab.observe.calling import Calls
from screamlab.observe.incidents import Incident, Incidents, is_incident
from screamlab.observe.ring import FILE_S, Ring
from screamlab.scenario.plan import Endpoint

POLL_S = 0.5
# An incident is cut out once dumpcap has begun another file, and events that are told late are in.
SETTLE_S = FILE_S + 3.0


class Keeping(Strict):
    """What a capturing host keeps."""

    device: str
    filters: dict[str, int] = Field(description="capture filter: bytes kept of a packet, 0 for all")
    ring_mib: float
    around_s: float
    at_most: int
    cap_mib: float = Field(description="of all incidents together")
    listen: Endpoint


class Watching(Strict):
    """What the worker does: `tell` these of incidents, and keep packets where there is `keep`."""

    run: str
    tell: tuple[Endpoint, ...] = ()
    keep: Keeping | None = None


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Watch until the worker's window ends; `InfraError` when packets cannot be kept."""
    wanted = Watching.model_validate(spec)
    keep = wanted.keep
    try:
        calls = Calls(wanted.run, keep.listen if keep else None, wanted.tell)
    except OSError as error:
        raise InfraError(f"capture: cannot listen for calls: {error.strerror}") from error
    keeper = Keeper(keep, context) if keep else None
    offsets: dict[Path, int] = {}
    # Before a reboot of the host, others were told already.
    _new(context, offsets)
    try:
        while not context.stopping.is_set() and context.now_s() < context.to_s:
            context.sleep_until(min(context.to_s, context.now_s() + POLL_S))
            events = [(float(event["t"]), str(event["kind"])) for event in _new(context, offsets)]
            for t, kind in events:
                calls.tell(t, kind)
            events += calls.heard()
            if keeper:
                keeper.attend(events)
    finally:
        calls.close()
        if keeper:
            keeper.close()


class Keeper:
    """Cuts incidents out of the ring of one host."""

    def __init__(self, keep: Keeping, context: WorkerContext) -> None:
        self._context = context
        # Those from before a reboot of the host count, and keep their numbers.
        kept = sorted(context.directory.glob("incident-*.pcapng"))
        self._before = int(kept[-1].stem.partition("-")[2]) if kept else 0
        self._incidents = Incidents(keep.around_s, max(0, keep.at_most - self._before))
        self._left_bytes = keep.cap_mib * 2**20 - sum(file.stat().st_size for file in kept)
        runtime_s = context.to_s - context.now_s() + SETTLE_S
        self._ring = Ring(
            context.directory,
            keep.device,
            keep.filters,
            ring_mib=keep.ring_mib,
            runtime_s=runtime_s,
        )
        context.spool.event("capture.start", "capture", device=keep.device)

    def attend(self, events: list[tuple[float, str]]) -> None:
        """Take in what went wrong, and cut out what is over."""
        self._ring.check()
        for t, kind in events:
            self._incidents.add(t, kind)
        for incident in self._incidents.take(self._now() - SETTLE_S):
            self._cut(incident)

    def close(self) -> None:
        """End the ring, cut out what is left, and remove the ring."""
        packets, missed = self._ring.stop()
        try:
            for incident in self._incidents.take(float("inf")):
                self._cut(incident)
        finally:
            self._ring.remove()
        counted = {"packets": packets, "missed": missed, "left_out": self._incidents.left_out}
        self._context.spool.event("capture.end", "capture", **counted)

    def _cut(self, incident: Incident) -> None:
        number = self._before + incident.number
        file = self._context.directory / f"incident-{number:03d}.pcapng"
        told: dict[str, Any] = {
            "causes": dict(incident.causes),
            "from_t": incident.from_t,
            "to_t": incident.to_t,
        }
        try:
            whole = self._ring.cut(incident.from_t, incident.to_t, file)
        except InfraError as error:
            self._leave_out(told, str(error))
            return
        size = file.stat().st_size if file.exists() else 0
        if not size:
            self._leave_out(told, "the ring no longer had it")
        elif size > self._left_bytes:
            file.unlink()
            self._leave_out(told, f"its {size / 2**20:.1f} MiB are more than is left of the cap")
        else:
            self._left_bytes -= size
            told |= {"file": file.name, "bytes": size, "whole": whole}
            self._context.spool.event("capture.incident", "capture", **told)

    def _leave_out(self, told: dict[str, Any], reason: str) -> None:
        self._context.spool.event("capture.left_out", "capture", **told, reason=reason)

    def _now(self) -> float:
        return self._context.zero + self._context.now_s()


def _new(context: WorkerContext, offsets: dict[Path, int]) -> list[dict[str, Any]]:
    files = sorted(context.directory.glob("events-*.jsonl"))
    return [event for file in files for event in new_records(file, offsets) if is_incident(event)]
