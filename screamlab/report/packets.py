"""What the captures of a run show: where dropouts lie, the flows around them, SIP ladders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from screamlab.evidence.packets import Flow
from screamlab.evidence.sip_ladder import Dialog
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, contains
from screamlab.judge.wire import GAPS, POINTS, Traced, flows_of, kept, packets, side, traced

MOST_DROPOUTS = 100
MOST_FLOWS = 300
MOST_LADDERS = 20


@dataclass(frozen=True)
class Incident:
    """Packets that one host kept; `causes` say why, of its own and of what others told of."""

    host: str
    file: str
    window: Window
    mib: float
    causes: str


@dataclass(frozen=True)
class SeenFlow:
    """A flow of a stream at one point, beside what its listener heard in the same time."""

    file: str
    point: str
    name: str
    flow: Flow
    heard: str


@dataclass(frozen=True)
class Sip:
    """How many SIP dialogs of which kind a host saw, and how often messages were sent again."""

    host: str
    dialogs: int
    calls: int
    messages: int
    retransmissions: int
    problems: int


@dataclass(frozen=True)
class Wire:
    """All of the section; `error` in a sentence when captures could not be read."""

    zero: float
    points: tuple[str, ...]
    error: str
    incidents: list[Incident]
    sides: list[tuple[str, int]]
    dropouts: list[Traced]
    flows: list[SeenFlow]
    sip: list[Sip]
    ladders: list[tuple[str, Dialog]]


def wire(run: Run) -> Wire | None:
    """What there is to show; None for a run that captured nothing."""
    if not run.events("capture."):
        return None
    found = traced(run)
    sides = Counter(side(one.places) if one.seen else "not captured" for one in found)
    return Wire(
        zero=run.zero,
        points=POINTS,
        error=packets(run).error,
        incidents=[_incident(event.host, event.fields, run.zero)
                   for event in run.events("capture.incident")],
        sides=sides.most_common(),
        dropouts=list(found[:MOST_DROPOUTS]),
        flows=list(islice(_flows(run), MOST_FLOWS)),
        sip=_sip(run),
        ladders=_ladders(run)[:MOST_LADDERS],
    )  # fmt: skip


def _incident(host: str, fields: dict[str, object], zero: float) -> Incident:
    causes = fields.get("causes")
    counted = causes.items() if isinstance(causes, dict) else ()
    window = Window(_number(fields["from_t"]) - zero, _number(fields["to_t"]) - zero)
    told = ", ".join(f"{count} × {kind}" for kind, count in counted)
    return Incident(host, str(fields["file"]), window, _number(fields["bytes"]) / 2**20, told)


def _number(value: object) -> float:
    return float(str(value))


def _flows(run: Run) -> Iterator[SeenFlow]:
    """Every flow of a stream once: those into the router are of all that hear the same sender."""
    for capture in packets(run).captures:
        told = set()
        for stream in run.routed:
            for at, flows in sorted(flows_of(run, capture, stream).items()):
                end = stream.sender if at < 2 else stream.receiver
                for flow in flows:
                    if (at, flow) not in told:
                        told.add((at, flow))
                        heard = _heard(run, stream, kept(run, capture))
                        file = f"{capture.host}/{capture.file}"
                        yield SeenFlow(file, POINTS[at], end.name, flow, heard)


def _heard(run: Run, stream: Stream, window: Window | None) -> str:
    """What the oracle heard of a stream in a window, in words."""
    events = [
        event
        for kind in GAPS
        for event in run.events(kind, stream.subject)
        if window and contains((window,), event.at_s)
    ]
    ms = sum(float(event.fields.get("ms") or 0.0) for event in events)
    return f"{len(events)} dropouts, {ms:.0f} ms" if events else "no dropout"


def _sip(run: Run) -> list[Sip]:
    by_host: dict[str, list[Dialog]] = {}
    for capture in packets(run).captures:
        by_host.setdefault(capture.host, []).extend(capture.dialogs)
    return [
        Sip(
            host=host,
            dialogs=len(dialogs),
            calls=sum(dialog.is_call for dialog in dialogs),
            messages=sum(len(dialog.messages) for dialog in dialogs),
            retransmissions=sum(dialog.retransmissions for dialog in dialogs),
            problems=sum(bool(dialog.problem) for dialog in dialogs),
        )
        for host, dialogs in by_host.items()
        if dialogs
    ]


def _ladders(run: Run) -> list[tuple[str, Dialog]]:
    """What failed or was sent again, and what is about calls, in this order."""
    found = [
        (capture.host, dialog)
        for capture in packets(run).captures
        for dialog in capture.dialogs
        if dialog.problem or dialog.retransmissions or dialog.is_call
    ]
    return sorted(found, key=lambda one: (not one[1].problem, not one[1].retransmissions))
