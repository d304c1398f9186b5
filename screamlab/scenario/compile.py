"""Compile a scenario and an inventory into one plan per host and the router's topology.

Pure: the same scenario, hosts, run id and seed give the same plans, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.scenario.impairing import impairments, points, probes, workers_of_point
from screamlab.scenario.model import Client, ReceiverGroup, Scenario, SenderGroup
from screamlab.scenario.placement import Placement, Receiving, Sending
from screamlab.scenario.plan import (
    Codec,
    Endpoint,
    Heard,
    Phase,
    Plan,
    ReceiverStream,
    SenderStream,
)
from screamlab.scenario.workers import ROUTER_PORTS, load_workers, observers, probe_workers
from screamlab.signal import signal_count

PAYLOAD_TYPES: dict[Codec, int] = {"l16": 127, "opus": 111}
NULL_PREFIX = "null/"
# A sender outlasts its listeners, so that its end is never heard as a silence.
SENDER_TAIL_S = 2.0


class Topology(TypedDict):
    """What the router is asked to be configured as."""

    sources: list[dict[str, object]]
    sinks: list[dict[str, object]]
    routes: list[dict[str, object]]


@dataclass(frozen=True)
class Compiled:
    """What a run consists of before any host is touched."""

    plans: dict[str, Plan]
    topology: Topology


def compile_scenario(
    scenario: Scenario, hosts: Sequence[Host], *, run_id: str, seed: int
) -> Compiled:
    """Spread the scenario over the hosts; `BadInput` when they cannot carry it."""
    router = _router(scenario, hosts)
    clients = [host for host in hosts if scenario.hosts.clients in host.groups]
    clients = clients[: scenario.hosts.at_most]
    if not clients:
        raise BadInput(f"the inventory has no host in group '{scenario.hosts.clients}'")
    phases = _timeline(scenario)
    placement = Placement(clients)
    draw = random.Random(f"{scenario.name}/{seed}")
    senders = _senders(scenario, phases, router, placement, draw)
    receivers = _receivers(scenario, phases, senders, placement)
    null_senders, null_receivers = _null_path(scenario, phases, senders, placement)
    sending = [*senders, *null_senders]
    receiving = [*receivers, *null_receivers]
    lab = [router, *clients]
    impaired = impairments(scenario, phases, router, clients)
    probing = probes(impaired, lab, _load_window(phases)[2])
    middle = [host for host in points(impaired, hosts) if host not in lab]
    plans = {
        host.name: Plan(
            run_id=run_id,
            host=host.name,
            scenario=scenario.name,
            scale=scenario.scale,
            seed=seed,
            duration_s=phases[-1].to_s,
            phases=phases,
            device=host.data.device,
            addresses=tuple(placement.used.get(host.name, ())),
            workers=(
                *observers(scenario, host, run_id, phases[-1].to_s, is_router=host is router),
                *load_workers(host.name, sending, receiving),
                *probe_workers(host.name, probing),
                *workers_of_point(host.name, impaired),
            ),
        )
        for host in [*lab, *middle]
    }
    return Compiled(plans, _topology(senders, receivers))


def _router(scenario: Scenario, hosts: Sequence[Host]) -> Host:
    group = scenario.hosts.router
    routers = [host for host in hosts if group in host.groups]
    if len(routers) != 1:
        raise BadInput(f"group '{group}' must hold exactly one host, it has {len(routers)}")
    return routers[0]


def _timeline(scenario: Scenario) -> tuple[Phase, ...]:
    phases, at_s = [], 0.0
    for spec in scenario.phases:
        phases.append(Phase(name=spec.name, kind=spec.kind, from_s=at_s, to_s=at_s + spec.seconds))
        at_s += spec.seconds
    return tuple(phases)


def _load_window(phases: Sequence[Phase]) -> tuple[float, float, float]:
    """When the ramp begins, when every stream is up, when the last hold ends."""
    holds = [phase for phase in phases if phase.kind == "hold"]
    ramps = [phase for phase in phases if phase.kind == "ramp"]
    return (ramps or holds)[0].from_s, holds[0].from_s, holds[-1].to_s


def _senders(
    scenario: Scenario,
    phases: Sequence[Phase],
    router: Host,
    placement: Placement,
    draw: random.Random,
) -> list[Sending]:
    """Every sender, spread over the clients, started one by one over the ramp in drawn order."""
    members = [
        (group, f"{group.name}-{number + 1:02d}")
        for group in scenario.senders
        for number in range(group.count)
    ]
    if len(members) > signal_count():
        raise BadInput(f"{len(members)} senders need as many signals; there are {signal_count()}")
    ramp_s, up_s, end_s = _load_window(phases)
    starts = [ramp_s + (up_s - ramp_s) * at / max(1, len(members)) for at in range(len(members))]
    draw.shuffle(starts)
    placed = []
    for signal, (group, name) in enumerate(members):
        host = placement.in_turn(signal)
        stream = SenderStream(
            name=name,
            protocol=group.protocol,
            codec=group.codec,
            signal=signal,
            local=placement.sender_address(host, len(members)),
            remote=Endpoint(address=router.data.ip, port=ROUTER_PORTS[group.protocol]),
            ssrc=draw.getrandbits(32) if group.protocol == "rtp" else None,
            payload_type=_payload_type(group),
            from_s=starts[signal],
            to_s=end_s + SENDER_TAIL_S,
        )
        placed.append(Sending(host.name, group.client, stream, announced=group.announce))
    return placed


def _payload_type(group: SenderGroup | ReceiverGroup | SenderStream) -> int | None:
    return PAYLOAD_TYPES[group.codec] if group.protocol == "rtp" else None


def _receivers(
    scenario: Scenario,
    phases: Sequence[Phase],
    senders: Sequence[Sending],
    placement: Placement,
) -> list[Receiving]:
    """Every receiver, on another host than its (first) sender where there is one."""
    placed: list[Receiving] = []
    for group in scenario.receivers:
        candidates = [s for s in senders if s.stream.name.rpartition("-")[0] == group.hears]
        for number in range(group.count if candidates else 0):
            heard = [
                candidates[(number * group.mix + at) % len(candidates)] for at in range(group.mix)
            ]
            host = placement.opposite(heard[0].host, len(placed))
            stream = ReceiverStream(
                name=f"{group.name}-{number + 1:02d}",
                protocol=group.protocol,
                codec=group.codec,
                local=placement.receiver_port(host),
                hears=_heard(heard),
                foreign=_heard(s for s in senders if s not in heard),
                payload_type=_payload_type(group),
                lossy="opus" in (group.codec, *(s.stream.codec for s in heard)),
                from_s=min(s.stream.from_s for s in heard),
                to_s=_load_window(phases)[2],
            )
            placed.append(Receiving(host.name, group.client, stream))
    return placed


def _heard(senders: Iterable[Sending]) -> tuple[Heard, ...]:
    return tuple(Heard(sender=s.stream.name, signal=s.stream.signal) for s in senders)


def _null_path(
    scenario: Scenario,
    phases: Sequence[Phase],
    senders: Sequence[Sending],
    placement: Placement,
) -> tuple[list[Sending], list[Receiving]]:
    """Every sender once more, straight to a listener, before the router is loaded."""
    phase = next(phase for phase in phases if phase.kind == "null_path")
    sending, receiving = [], []
    for turn, sender in enumerate(senders):
        host = placement.opposite(sender.host, turn)
        name = NULL_PREFIX + sender.stream.name
        listener = ReceiverStream(
            name=name,
            protocol=sender.stream.protocol,
            codec=sender.stream.codec,
            local=placement.receiver_port(host),
            hears=(Heard(sender=name, signal=sender.stream.signal),),
            payload_type=_payload_type(sender.stream),
            lossy=sender.stream.codec == "opus",
            from_s=phase.from_s,
            to_s=phase.to_s - SENDER_TAIL_S,
        )
        direct = {
            "name": name,
            "remote": listener.local,
            "from_s": phase.from_s,
            "to_s": phase.to_s,
        }
        stream = sender.stream.model_copy(update=direct)
        sending.append(Sending(sender.host, sender.client, stream))
        receiving.append(Receiving(host.name, _null_client(scenario, sender, turn), listener))
    return sending, receiving


def _null_client(scenario: Scenario, sender: Sending, turn: int) -> Client:
    """A kind of receiver that the scenario uses for this format, in turn; else the sender's."""
    wanted = (sender.stream.protocol, sender.stream.codec)
    clients = {r.client for r in scenario.receivers if (r.protocol, r.codec) == wanted}
    return sorted(clients)[turn % len(clients)] if clients else sender.client


def _topology(senders: Sequence[Sending], receivers: Sequence[Receiving]) -> Topology:
    topology = Topology(sources=[], sinks=[], routes=[])
    for sender in senders:
        source = {"name": sender.stream.name, "address": sender.stream.local.address}
        topology["sources"].append({**source, "protocol": sender.stream.protocol})
    for receiver in receivers:
        sink = receiver.stream
        topology["sinks"].append(
            {"name": sink.name, "protocol": sink.protocol, "codec": sink.codec, **dict(sink.local)}
        )
        for heard in sink.hears:
            route = {"name": f"{heard.sender}-to-{sink.name}", "source": heard.sender}
            topology["routes"].append({**route, "sink": sink.name})
    return topology
