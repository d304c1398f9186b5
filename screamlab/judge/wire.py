"""Where on its way a stream broke: what captures on both sides of the router show at a dropout.

A dropout is only ever as old as what the captures hold of the moment before it: the trouble lies
between the last point at which the packets were seen whole and the first at which they were not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from screamlab.evidence.packets import Capture, Flow, Packets, read_packets
from screamlab.evidence.rtp_statistics import PAUSE_S
from screamlab.judge.samples import Event
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, contains
from screamlab.scenario.plan import Endpoint, ReceiverStream, SenderStream

POINTS = ("left the sender", "reached the router", "left the router", "reached the receiver")
"""Where captures see a stream, in the order of its way."""

PLACES = ("the sender", "the way to the router", "the router", "the way to the receiver",
          "the receiver")  # fmt: skip
"""What lies before each point, and after the last."""

ROUTER = PLACES.index("the router")

GAPS = ("audio.dropout", "audio.silence")

# What is heard at a moment was on the wire before: by what router and player buffer.
_BEFORE_S = 1.0
_AFTER_S = 0.1

# Streams that are sent to where the plan says, unlike those that are asked for.
_SENT = {"rtp", "scream"}

Leg = Literal["to_router", "from_router"]


@dataclass(frozen=True)
class Seen:
    """One point in the time of one dropout: packets lost (None: not RTP) and the longest pause."""

    host: str
    lost: int | None
    pause_ms: float

    @property
    def whole(self) -> bool:
        """Whether nothing was missing there."""
        return not self.lost and not self.pause_ms


@dataclass(frozen=True)
class Traced:
    """One dropout of one stream: what the points saw of it, and in which `places` it may lie."""

    stream: Stream
    at_s: float
    ms: float
    seen: Mapping[int, Seen]

    @property
    def places(self) -> tuple[int, ...]:
        """Indices of `PLACES`, empty when no point saw it.

        The router may have put the gap into packets that are all there, and so may whoever comes
        after the last point.
        """
        if not self.seen:
            return ()
        broken = [at for at, seen in self.seen.items() if not seen.whole]
        if broken:
            whole = [at for at in self.seen if at < min(broken)]
            return tuple(range(max(whole, default=-1) + 1, min(broken) + 1))
        return tuple(sorted({ROUTER, *range(max(self.seen) + 1, len(PLACES))}))

    @property
    def text(self) -> str:
        """Where it lies, in words."""
        if not self.seen:
            return "no capture was running where it passed"
        seen = "; ".join(f"{POINTS[at]} {_told(one)}" for at, one in sorted(self.seen.items()))
        return f"{side(self.places)}: in {' or '.join(PLACES[at] for at in self.places)} ({seen})"


def side(places: tuple[int, ...]) -> str:
    """Before, in, or after the router, as far as `places` allow it."""
    sides = {"before the router": min(places) < ROUTER, "in the router": ROUTER in places,
             "after the router": max(places) > ROUTER}  # fmt: skip
    return " or ".join(name for name, possible in sides.items() if possible)


@lru_cache(maxsize=4)
def packets(run: Run) -> Packets:
    """What the captures of a run hold."""
    return read_packets(run.bundle.path)


@lru_cache(maxsize=4)
def traced(run: Run) -> tuple[Traced, ...]:
    """Every dropout of every routed stream of a run that captured, in the order of time."""
    if not run.events("capture.start"):
        return ()
    found = [
        _trace(run, stream, event)
        for stream in run.routed
        for kind in GAPS
        for event in run.events(kind, stream.subject)
    ]
    return tuple(sorted(found, key=lambda one: one.at_s))


def kept(run: Run, capture: Capture) -> Window | None:
    """The time that a capture was to cover, on the plan's clock."""
    return _kept(run).get((capture.host, capture.file))


@lru_cache(maxsize=4)
def _kept(run: Run) -> dict[tuple[str, str], Window]:
    return {
        (event.host, str(event.fields.get("file"))): Window(
            float(event.fields["from_t"]) - run.zero, float(event.fields["to_t"]) - run.zero
        )
        for event in run.events("capture.incident")
    }


def flows_of(run: Run, capture: Capture, stream: Stream) -> dict[int, list[Flow]]:
    """A stream's flows in one capture, by the point at which they were seen."""
    found = defaultdict(list)
    legs: dict[Leg, dict[str | None, int]] = {
        "to_router": {stream.sender.host: 0, run.router_host: 1},
        "from_router": {run.router_host: 2, stream.receiver.host: 3},
    }
    for flow in capture.flows:
        leg = _leg(flow, stream)
        if leg and capture.host in legs[leg]:
            found[legs[leg][capture.host]].append(flow)
    return dict(found)


def _leg(flow: Flow, stream: Stream) -> Leg | None:
    sent, heard = stream.sender.stream, stream.receiver.stream
    assert isinstance(sent, SenderStream) and isinstance(heard, ReceiverStream)
    target = Endpoint(address=flow.destination, port=flow.destination_port)
    if flow.source == sent.local.address and target == sent.remote:
        return "to_router" if _is_audio(flow, sent) else None
    if flow.source == sent.remote.address and target.address == heard.local.address:
        # A listener by WebRTC is sent to at a port of its own choice.
        found = heard.protocol == "webrtc" or target == heard.local
        return "from_router" if found and _is_audio(flow, heard) else None
    return None


def _is_audio(flow: Flow, stream: SenderStream | ReceiverStream) -> bool:
    """Whether it is of the stream's own kind; the router sends SAP to the ports of RTP too."""
    return (flow.ssrc is None) == (stream.protocol == "scream")


def _trace(run: Run, stream: Stream, event: Event) -> Traced:
    ms = float(event.fields.get("ms") or 0.0)
    window = Window(event.at_s - _BEFORE_S, event.at_s + ms / 1000 + _AFTER_S)
    seen: dict[int, Seen] = {}
    for capture in packets(run).captures:
        covered = kept(run, capture)
        if capture.error or covered is None or not contains((covered,), event.at_s):
            continue
        own = Window(max(window.from_s, covered.from_s), min(window.to_s, covered.to_s))
        flows = flows_of(run, capture, stream)
        for at in _points(run, capture.host, stream) | flows.keys():
            seen[at] = _look(flows.get(at, ()), own, run.zero, capture.host)
    return Traced(stream, event.at_s, ms, seen)


def _points(run: Run, host: str, stream: Stream) -> set[int]:
    """Where a host must see packets of a stream; of one that is asked for, none are certain."""
    sent, heard = stream.sender.stream.protocol, stream.receiver.stream.protocol
    hosts = (stream.sender.host, run.router_host, run.router_host, stream.receiver.host)
    legs = (sent, sent, heard, heard)
    ends = enumerate(zip(hosts, legs, strict=True))
    return {at for at, (where, leg) in ends if where == host and leg in _SENT}


def _look(flows: Iterable[Flow], window: Window, zero: float, host: str) -> Seen:
    """What one point saw of a stream within a window."""
    lost, pauses, is_rtp = 0, [0.0], False
    ordered = sorted(flows, key=lambda flow: flow.seen.first)
    for flow in ordered:
        is_rtp |= flow.ssrc is not None
        for one in flow.seen.breaks:
            if window.from_s <= one.t - zero and one.t - zero - one.pause_ms / 1000 < window.to_s:
                lost += one.lost
                pauses.append(one.pause_ms)
    # Where nothing was sent before the first packet, after the last, and from one SSRC to the next.
    edges = [window.from_s, *(t - zero for f in ordered for t in (f.seen.first, f.seen.last)),
             window.to_s]  # fmt: skip
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        silent_s = min(end, window.to_s) - max(begin, window.from_s)
        if silent_s > PAUSE_S:
            pauses.append(round(1000 * silent_s, 1))
    return Seen(host, lost if is_rtp else None, max(pauses))


def _told(seen: Seen) -> str:
    if seen.whole:
        return "whole"
    parts = [f"with {seen.lost} packets missing"] if seen.lost else []
    parts += [f"with a pause of {seen.pause_ms:.0f} ms"] if seen.pause_ms else []
    return " and ".join(parts)
