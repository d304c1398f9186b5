"""The workers of a host's plan: who plays its streams, probes its link, and watches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from screamlab.impair.probe_stream import ProbeStream
from screamlab.inventory import Host
from screamlab.load.sip.model import SipDevice
from screamlab.scenario.clients import ASKING, KINDS
from screamlab.scenario.devices import Placed
from screamlab.scenario.impairing import Probing
from screamlab.scenario.model import Scenario
from screamlab.scenario.placement import Receiving, Sending
from screamlab.scenario.plan import Phase, ReceiverStream, SenderStream, Worker
from screamlab.scenario.streams import ROUTER_PORTS

ROUTER_API_PORT = 8443
ROUTER_UNIT = "screamrouter.service"


def observers(
    scenario: Scenario,
    host: Host,
    run_id: str,
    phases: Sequence[Phase],
    load: Sequence[Worker],
    *,
    turn: int,
    turns: int,
    is_router: bool,
    is_registrar: bool,
) -> list[Worker]:
    """What watches the host itself and its `load`; on the router's host, router and registrar.

    Hosts may be one machine, and whoever looks at all of them at once keeps it from its work: each
    has its `turn` of as many `turns` in every interval.
    """
    watched = [{"name": "agent", "unit": f"screamlab-{run_id}.service"}]
    if scenario.watch.workers:
        watched += [{"name": f"worker/{worker.name}", "worker": worker.name} for worker in load]
    if is_router:
        watched.append({"name": "router", "unit": ROUTER_UNIT})
    interval_s = scenario.watch.interval_seconds
    interval = {"interval_s": interval_s}
    window = {"from_s": 0.0, "to_s": phases[-1].to_s}
    sampled = {**window, "from_s": round(interval_s * turn / turns, 3)}
    asked = {**window, "from_s": round(interval_s * (turn + 0.5) / turns, 3)}
    ports = sorted(ROUTER_PORTS.values()) if is_router else []
    spec = {"processes": watched, "devices": [host.data.device], "udp_ports": ports, **interval}
    units = {"processes": [item for item in watched if "unit" in item]}
    observers = [
        Worker(name="sampler", kind="sampler", spec=spec, **sampled),
        Worker(name="crash-watch", kind="crash_watch", spec=units, **window),
    ]
    if is_router:
        url = {"url": router_url(host), "unit": ROUTER_UNIT, **interval}
        observers.append(Worker(name="router-stats", kind="router_stats", spec=url, **asked))
        observers.append(Worker(name="wakeups", kind="wakeups", spec=interval, **asked))
    if host.metrics:
        shown = {"run_id": run_id, "phases": [phase.model_dump() for phase in phases]}
        spec = {**host.metrics.model_dump(), **shown}
        observers.append(Worker(name="metrics", kind="metrics", spec=spec, **window))
    if is_registrar:
        observers.append(Worker(name="registrar", kind="sip_registrar", spec=interval, **asked))
    return observers


def load_workers(
    host: str, router: Host, sending: Sequence[Sending], receiving: Sequence[Receiving]
) -> list[Worker]:
    """One worker per client kind and direction, receivers first so that they hear the start."""
    workers = []
    for client, kind in KINDS.items():
        heard = [r.stream for r in receiving if r.host == host and r.client == client]
        asking = any(stream.protocol in ASKING for stream in heard)
        more = {"router": router_url(router)} if asking else {}
        workers += _worker(kind.receiver, "streams", heard, **more)
    for client, kind in KINDS.items():
        sent = [s.stream for s in sending if s.host == host and s.client == client]
        if not kind.calls:
            workers += _worker(kind.sender, "streams", sent)
    announced = [s.stream for s in sending if s.host == host and s.announced]
    return workers + _worker("sap_announcer", "streams", announced)


def sip_workers(host: str, placed: Sequence[Placed]) -> list[Worker]:
    """One worker per client kind for all SIP devices of a host."""
    workers = []
    for client, kind in KINDS.items():
        own = [p.device for p in placed if p.host == host and p.client == client]
        workers += _worker(kind.sender, "devices", own)
    return workers


def probe_workers(host: str, probing: Sequence[Probing]) -> list[Worker]:
    """One worker per direction for all probe streams of a host."""
    received = [probe.stream for probe in probing if probe.receiver == host]
    sent = [probe.stream for probe in probing if probe.sender == host]
    return _worker("probe_receiver", "streams", received) + _worker("probe_sender", "streams", sent)


def router_url(router: Host) -> str:
    """Where the router's API is."""
    return f"https://{router.data.ip}:{ROUTER_API_PORT}"


def _worker(
    kind: str,
    key: str,
    items: Sequence[SenderStream | ReceiverStream | ProbeStream | SipDevice],
    **more: Any,
) -> list[Worker]:
    """The worker that plays these, or none where there are none."""
    if not items:
        return []
    return [
        Worker(
            name=kind.replace("_", "-"),
            kind=kind,
            from_s=min(item.from_s for item in items),
            to_s=max(item.to_s for item in items),
            spec={key: [item.model_dump(mode="json") for item in items], **more},
        )
    ]
