"""The churn of a run: cycles drawn over their phase, on lanes spread over the client hosts.

A lane is one of the at most `overlap` clients of a group that are at work at the same time; its
cycles follow one another. All that is drawn comes from the generator that is handed in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.load.churn.model import (
    LIMIT_S,
    Churn,
    ConfigChurn,
    ConfigLane,
    Cycle,
    RtpChurn,
    RtpLane,
    SipChurn,
    SipLane,
    WebrtcChurn,
    WebrtcLane,
)
from screamlab.scenario.devices import SIP_PORT, password
from screamlab.scenario.model import ChurnGroup, Scenario
from screamlab.scenario.placement import Placement, Sending
from screamlab.scenario.plan import Endpoint, Phase, Worker
from screamlab.scenario.streams import ROUTER_PORTS
from screamlab.scenario.workers import ROUTER_API_PORT
from screamlab.signal import signal_count

# What connecting and leaving take of a lane's time when nothing is wrong, in seconds.
CONNECT_S = {"sip": 0.2, "rtp": 0.3, "webrtc": 1.0, "config": 1.5}
LEAVE_S = {"sip": 0.3, "rtp": 1.0, "webrtc": 1.0, "config": 1.5}
# A worker outlasts its last cycle by what connecting and leaving may take at most.
TAIL_S = 2 * LIMIT_S
# TEST-NET-1 (RFC 5737): nobody ever sends from there.
NOBODY = "192.0.2."


@dataclass
class Churning:
    """What churn asks of the hosts, by name, of the router's configuration, and of the registrar.

    `sources`, `sinks`, `routes` and `accounts` are further ones of those the run has already.
    """

    workers: dict[str, list[Worker]] = field(default_factory=dict)
    sources: list[dict[str, object]] = field(default_factory=list)
    sinks: list[dict[str, object]] = field(default_factory=list)
    routes: list[dict[str, object]] = field(default_factory=list)
    accounts: list[dict[str, str]] = field(default_factory=list)


def churning(
    scenario: Scenario,
    phases: Sequence[Phase],
    router: Host,
    placement: Placement,
    senders: Sequence[Sending],
    draw: random.Random,
    secret: str,
) -> Churning:
    """All churn groups of a scenario; `BadInput` for one that does not fit into its phase.

    Passwords are drawn from `secret`.
    """
    found = Churning()
    for group in scenario.churn:
        phase = next(phase for phase in phases if phase.name == group.phase)
        cycles = draw_cycles(group, phase, draw)
        build = _Build(found, group, router, placement, senders, secret)
        lanes = [
            (placement.in_turn(number - 1), number)
            for number in range(1, min(group.overlap, group.cycles) + 1)
        ]
        makers: dict[str, Callable[[Host, Sequence[int]], Churn]] = {
            "rtp": build.rtp, "config": build.config, "webrtc": build.webrtc, "sip": build.sip,
        }  # fmt: skip
        for host in dict.fromkeys(host for host, _ in lanes):
            own = [number for on, number in lanes if on is host]
            spec = makers[group.kind](host, own)
            carried = tuple(cycle for cycle in cycles if cycle.lane in own)
            worker = _worker(group, spec.model_copy(update={"cycles": carried}))
            found.workers.setdefault(host.name, []).append(worker)
    return found


def draw_cycles(group: ChurnGroup, phase: Phase, draw: random.Random) -> list[Cycle]:
    """The cycles of a group, numbered by when they begin.

    Hold times are drawn one from each of as many equal parts of their range, so that their sum
    hardly depends on chance; then each lane's free time is shared out at random.
    """
    least, most = group.hold_seconds
    holds = [
        least + (most - least) * (part + draw.random()) / group.cycles
        for part in range(group.cycles)
    ]
    draw.shuffle(holds)
    around_s = CONNECT_S[group.kind] + LEAVE_S[group.kind]
    lanes: list[list[float]] = [[] for _ in range(min(group.overlap, group.cycles))]
    for hold in holds:
        min(lanes, key=lambda lane: sum(lane) + around_s * len(lane)).append(hold)
    spans = []
    for number, lane in enumerate(lanes, 1):
        taken_s = sum(lane) + around_s * len(lane)
        free_s = phase.to_s - phase.from_s - taken_s
        if free_s < 0:
            raise BadInput(_too_many(group, phase, sum(holds) + around_s * len(holds)))
        spans += [(*span, number) for span in _spread(lane, phase.from_s, free_s, group.kind, draw)]
    return [
        Cycle(number=number, lane=lane, from_s=from_s, to_s=to_s)
        for number, (from_s, to_s, lane) in enumerate(sorted(spans), 1)
    ]


def _spread(
    holds: Sequence[float], from_s: float, free_s: float, kind: str, draw: random.Random
) -> list[tuple[float, float]]:
    """The beginning and end of one lane's cycles, `free_s` shared out before, between and after."""
    pauses = sorted(draw.uniform(0, free_s) for _ in holds)
    spans, taken_s = [], 0.0
    for hold, pause in zip(holds, pauses, strict=True):
        begin = from_s + pause + taken_s
        spans.append((round(begin, 3), round(begin + CONNECT_S[kind] + hold, 3)))
        taken_s += CONNECT_S[kind] + hold + LEAVE_S[kind]
    return spans


def _too_many(group: ChurnGroup, phase: Phase, needed_s: float) -> str:
    length_s = phase.to_s - phase.from_s
    least, most = group.hold_seconds
    around_s = CONNECT_S[group.kind] + LEAVE_S[group.kind]
    return (
        f"churn '{group.name}': {group.cycles} cycles that hold {least:g} to {most:g} s and take "
        f"{around_s:g} s to come and go need {needed_s:.0f} s; {group.overlap} at a time have "
        f"{group.overlap * length_s:.0f} s in phase '{phase.name}' of {length_s:g} s"
    )


def _worker(group: ChurnGroup, spec: Churn) -> Worker:
    return Worker(
        name=f"churn-{group.name}",
        kind=f"churn_{group.kind}",
        from_s=spec.cycles[0].from_s,
        to_s=max(cycle.to_s for cycle in spec.cycles) + TAIL_S,
        spec=spec.model_dump(mode="json"),
    )


@dataclass(frozen=True)
class _Build:
    """Makes the lanes of one group, and enters what they need elsewhere."""

    found: Churning
    group: ChurnGroup
    router: Host
    placement: Placement
    senders: Sequence[Sending]
    secret: str

    @property
    def url(self) -> str:
        return f"https://{self.router.data.ip}:{ROUTER_API_PORT}"

    def rtp(self, host: Host, numbers: Sequence[int]) -> RtpChurn:
        lanes = []
        for lane in numbers:
            local = self.placement.own_address(host, self.group.overlap)
            sink = self.placement.receiver_port(host)
            self._route(self._name(lane), local.address, sink)
            signal = (len(self.senders) + lane - 1) % signal_count()
            remote = Endpoint(address=self.router.data.ip, port=ROUTER_PORTS["rtp"])
            lanes.append(RtpLane(number=lane, local=local, remote=remote, sink=sink, signal=signal))
        return RtpChurn(group=self.group.name, cycles=(), lanes=tuple(lanes))

    def config(self, host: Host, numbers: Sequence[int]) -> ConfigChurn:
        playing = [sender.stream.name for sender in self.senders]
        lanes = [
            ConfigLane(
                number=lane,
                source=f"{NOBODY}{lane}",
                sink=self.placement.receiver_port(host),
                live=playing[(lane - 1) % len(playing)] if playing else None,
            )
            for lane in numbers
        ]
        return ConfigChurn(group=self.group.name, cycles=(), router=self.url, lanes=tuple(lanes))

    def webrtc(self, host: Host, numbers: Sequence[int]) -> WebrtcChurn:
        sink = f"churn-{self.group.name}-sink"
        if sink not in [known["name"] for known in self.found.sinks]:
            self.found.sinks.append({"name": sink, "protocol": "webrtc", "codec": "opus"})
            heard = [s.stream.name for s in self.senders if self._is_heard(s.stream.name)][:1]
            self.found.routes += [_to(sink, source) for source in heard]
        lanes = [
            WebrtcLane(
                number=lane,
                address=self.placement.own_address(host, self.group.overlap).address,
                sink=sink,
            )
            for lane in numbers
        ]
        return WebrtcChurn(group=self.group.name, cycles=(), router=self.url, lanes=tuple(lanes))

    def sip(self, host: Host, numbers: Sequence[int]) -> SipChurn:
        lanes = [
            SipLane(
                number=lane, user=self._name(lane), password=password(self.secret, self._name(lane))
            )
            for lane in numbers
        ]
        self.found.accounts += [{"user": lane.user, "password": lane.password} for lane in lanes]
        return SipChurn(
            group=self.group.name,
            cycles=(),
            registrar=Endpoint(address=self.router.data.ip, port=SIP_PORT),
            domain=self.router.data.ip,
            address=host.data.ip,
            lanes=tuple(lanes),
        )

    def _name(self, lane: int) -> str:
        # Unlike any name of a sender or a receiver, unless a group of theirs begins with churn-.
        return f"churn-{self.group.name}-{lane:02d}"

    def _is_heard(self, sender: str) -> bool:
        return sender.rpartition("-")[0] == self.group.hears

    def _route(self, name: str, source: str, sink: Endpoint) -> None:
        """A source, a sink and a route between them, all of that name."""
        self.found.sources.append({"name": name, "protocol": "rtp", "address": source})
        self.found.sinks.append({"name": name, "protocol": "rtp", "codec": "l16", **dict(sink)})
        self.found.routes.append(_to(name, name))


def _to(sink: str, source: str) -> dict[str, object]:
    return {"name": f"{source}-to-{sink}", "source": source, "sink": sink}
