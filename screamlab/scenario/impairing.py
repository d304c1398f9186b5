"""What breaks the network in a run, and the probes that prove it: compiled like the streams are."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import BadInput
from screamlab.impair.condition import Impairment, Schedule, Selector
from screamlab.impair.probe_stream import DIRECTIONS, ProbeStream
from screamlab.impair.worker import LEAD_S
from screamlab.inventory import Host
from screamlab.scenario.model import Scenario
from screamlab.scenario.plan import Endpoint, Phase, Worker

FIRST_PROBE_PORT = 47000


@dataclass(frozen=True)
class Probing:
    """A probe stream and the hosts at its two ends."""

    sender: str
    receiver: str
    stream: ProbeStream


def impairments(
    scenario: Scenario, phases: Sequence[Phase], router: Host, clients: Sequence[Host]
) -> list[tuple[Host, Impairment]]:
    """Every impairment of the run and the host whose link it breaks, in the order of the file."""
    lab = [router, *clients]
    found = []
    for item in scenario.impairments:
        phase = next(phase for phase in phases if phase.name == item.phase)
        targets = [router] if item.links == "router" else clients[: item.at_most]
        for host in targets:
            schedule = scenario.schedules[item.profile]
            found.append(
                (host, impair(host, lab, item.profile, schedule, phase.from_s, phase.to_s))
            )
    return found


def impair(
    host: Host, lab: Sequence[Host], profile: str, schedule: Schedule, from_s: float, to_s: float
) -> Impairment:
    """A profile, by name or path, on the link of `host`: for what it exchanges with the others."""
    return Impairment(
        profile=Path(profile).stem,
        target=host.name,
        device=host.point.device,
        facing=host.point.facing,
        selector=Selector(peers=networks(other for other in lab if other is not host)),
        schedule=schedule,
        from_s=from_s,
        to_s=to_s,
    )


def probes(
    impaired: Sequence[tuple[Host, Impairment]], lab: Sequence[Host], to_s: float
) -> list[Probing]:
    """A probe stream each way over every link that is ever impaired, from zero to `to_s`.

    It runs to a host whose own link is whole at those times; `BadInput` where there is none.
    """
    found: list[Probing] = []
    for target in dict.fromkeys(host for host, _ in impaired):
        peer = _whole_peer(target, impaired, lab)
        for direction in DIRECTIONS:
            sender, receiver = (target, peer) if direction == "from_host" else (peer, target)
            port = FIRST_PROBE_PORT + len(found)
            stream = ProbeStream(
                name=f"{target.name}-{direction.replace('_', '-')}",
                target=target.name,
                direction=direction,
                local=Endpoint(address=sender.data.ip, port=0),
                remote=Endpoint(address=receiver.data.ip, port=port),
                from_s=0.0,
                to_s=to_s,
            )
            found.append(Probing(sender.name, receiver.name, stream))
    return found


def workers_of_point(point: str, impaired: Iterable[tuple[Host, Impairment]]) -> list[Worker]:
    """One worker per device of an impairment point; it breaks one thing after the other."""
    own = [impairment for host, impairment in impaired if host.point.host == point]
    workers = []
    for device in dict.fromkeys(impairment.device for impairment in own):
        parts = [impairment for impairment in own if impairment.device == device]
        workers.append(
            Worker(
                name=f"impairment-{device}",
                kind="impairment",
                from_s=max(0.0, min(part.from_s for part in parts) - LEAD_S),
                to_s=max(part.to_s for part in parts),
                spec={"impairments": [part.model_dump(mode="json") for part in parts]},
            )
        )
    return workers


def points(impaired: Iterable[tuple[Host, Impairment]], hosts: Sequence[Host]) -> list[Host]:
    """The hosts on which links are broken; `BadInput` when the inventory lacks one."""
    known = {host.name: host for host in hosts}
    found = {}
    for host, _ in impaired:
        if host.point.host not in known:
            raise BadInput(
                f"host {host.name}: screamlab_impairment_point: there is no host "
                f"'{host.point.host}' in the inventory"
            )
        found[host.point.host] = known[host.point.host]
    return list(found.values())


def _whole_peer(
    target: Host, impaired: Sequence[tuple[Host, Impairment]], lab: Sequence[Host]
) -> Host:
    own = [item for host, item in impaired if host is target]
    for peer in lab:
        theirs = [item for host, item in impaired if host is peer]
        overlaps = any(a.from_s < b.to_s and b.from_s < a.to_s for a in own for b in theirs)
        if peer is not target and not overlaps:
            return peer
    raise BadInput(
        f"every link is impaired while that of {target.name} is: a probe needs a host whose link "
        "is left alone; use at_most, or phases of their own"
    )


def networks(hosts: Iterable[Host]) -> tuple[str, ...]:
    """The hosts' own addresses and their streams', in as few networks as possible."""
    networks = []
    for host in hosts:
        networks.append(ipaddress.IPv4Network(host.data.ip))
        if host.data.pool:
            networks.append(ipaddress.IPv4Network(host.data.pool))
    return tuple(str(network) for network in ipaddress.collapse_addresses(networks))
