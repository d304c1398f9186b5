"""Compile a scenario and an inventory into one plan per host and the router's topology.

Pure: the same scenario, hosts, run id and seed give the same plans, byte for byte.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.load.vlc import source_tag
from screamlab.scenario.capacity import refuse_overload
from screamlab.scenario.capturing import capture_workers
from screamlab.scenario.churn import Churning, churning
from screamlab.scenario.devices import Registrar, devices, registrar
from screamlab.scenario.impairing import impairments, points, probes, workers_of_point
from screamlab.scenario.model import Scenario
from screamlab.scenario.placement import Placement, Receiving, Sending
from screamlab.scenario.plan import Plan, ReceiverStream
from screamlab.scenario.planting import plant
from screamlab.scenario.streams import null_path, receivers, senders
from screamlab.scenario.timeline import load_window, timeline
from screamlab.scenario.workers import (
    ROUTER_UNIT,
    load_workers,
    observers,
    probe_workers,
    router_url,
    sip_workers,
)


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
    registrar: Registrar | None = None


def compile_scenario(
    scenario: Scenario, hosts: Sequence[Host], *, run_id: str, seed: int
) -> Compiled:
    """Spread the scenario over the hosts; `BadInput` when they cannot carry it."""
    router = _router(scenario, hosts)
    clients = [host for host in hosts if scenario.hosts.clients in host.groups]
    clients = clients[: scenario.hosts.at_most]
    if not clients:
        raise BadInput(f"the inventory has no host in group '{scenario.hosts.clients}'")
    phases = timeline(scenario)
    placement = Placement(clients)
    draw = random.Random(f"{scenario.name}/{seed}")
    playing = senders(scenario, phases, router, placement, draw)
    listening = receivers(scenario, phases, playing, placement)
    null_senders, null_receivers = null_path(scenario, phases, playing, placement)
    secret = f"{run_id}/{seed}"
    called = devices(scenario, phases, router, placement, playing, secret)
    churned = churning(scenario, phases, router, placement, playing, draw, secret)
    sending = [*playing, *null_senders]
    receiving = [*listening, *null_receivers]
    accounts = registrar(router, called, churned.accounts)
    lab = [router, *clients]
    impaired = impairments(scenario, phases, router, clients)
    probing = probes(impaired, lab, load_window(phases)[2])
    planted = plant(
        scenario, phases, run_id, lab, [*playing, *listening], impaired, router_url(router)
    )
    capturing = capture_workers(scenario, router, clients, run_id, phases[-1].to_s)
    middle = [host for host in points(impaired, hosts) if host not in lab]
    plans = {}
    watched = [*lab, *middle]
    for turn, host in enumerate(watched):
        load = [
            *load_workers(host.name, router, sending, receiving),
            *sip_workers(host.name, called),
            *churned.workers.get(host.name, ()),
        ]
        watching = observers(
            scenario,
            host,
            run_id,
            phases,
            load,
            turn=turn,
            turns=len(watched),
            is_router=host is router,
            is_registrar=host is router and accounts is not None,
        )
        if host.name in capturing:
            watching.append(capturing[host.name])
        if host is router and scenario.instrument:
            watching += scenario.instrument.workers(phases, ROUTER_UNIT)
        breaking = workers_of_point(host.name, impaired)
        faults = [fault for fault in planted if fault.host == host.name]
        plans[host.name] = Plan(
            run_id=run_id,
            host=host.name,
            scenario=scenario.name,
            scale=scenario.scale,
            seed=seed,
            duration_s=phases[-1].to_s,
            phases=phases,
            device=host.data.device,
            addresses=tuple(placement.used.get(host.name, ())),
            wakeup_latency_us=host.processors.wakeup_latency_us,
            environment={k: v for fault in faults for k, v in fault.environment.items()},
            workers=(
                *watching,
                *load,
                *probe_workers(host.name, probing),
                *breaking,
                *(fault.worker for fault in faults),
            ),
        )
    refuse_overload(plans, hosts)
    topology = _topology(playing, listening, churned)
    return Compiled(plans, topology, accounts)


def _router(scenario: Scenario, hosts: Sequence[Host]) -> Host:
    group = scenario.hosts.router
    routers = [host for host in hosts if group in host.groups]
    if len(routers) != 1:
        raise BadInput(f"group '{group}' must hold exactly one host, it has {len(routers)}")
    return routers[0]


def _identity(sender: Sending) -> dict[str, object]:
    """How the router knows a sender: by its address, or by what VLC announces of itself."""
    if sender.client == "vlc":
        return {"tag": source_tag(sender.stream)}
    return {"address": sender.stream.local.address}


def _place(heard: ReceiverStream) -> dict[str, object]:
    """Where a sink sends; one that is asked for its sound sends nowhere, but may need a name."""
    match heard.protocol:
        case "webrtc":
            return {}
        case "mp3":
            return {"address": heard.local.address}
        case _:
            return dict(heard.local)


def _topology(
    senders: Sequence[Sending], receivers: Sequence[Receiving], churned: Churning
) -> Topology:
    topology = Topology(
        sources=list(churned.sources), sinks=list(churned.sinks), routes=list(churned.routes)
    )
    for sender in senders:
        topology["sources"].append(
            {"name": sender.stream.name, "protocol": sender.stream.protocol, **_identity(sender)}
        )
    named: set[str] = set()
    for receiver in receivers:
        heard = receiver.stream
        assert heard.sink is not None
        if heard.sink in named:
            continue
        named.add(heard.sink)
        sink = {"name": heard.sink, "protocol": heard.protocol, "codec": heard.codec}
        topology["sinks"].append({**sink, **_place(heard)})
        for one in heard.hears:
            route = {"name": f"{one.sender}-to-{heard.sink}", "source": one.sender}
            topology["routes"].append({**route, "sink": heard.sink})
    return topology
