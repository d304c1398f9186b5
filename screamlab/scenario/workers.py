"""The workers of a host's plan: who plays its streams, probes its link, and watches it."""

from __future__ import annotations

from collections.abc import Sequence

from screamlab.impair.probe_stream import ProbeStream
from screamlab.inventory import Host
from screamlab.scenario.impairing import Probing
from screamlab.scenario.model import Scenario
from screamlab.scenario.placement import Receiving, Sending
from screamlab.scenario.plan import ReceiverStream, SenderStream, Worker

ROUTER_PORTS = {"rtp": 40000, "scream": 16401}
ROUTER_API_PORT = 8443
ROUTER_UNIT = "screamrouter.service"


def observers(
    scenario: Scenario, host: Host, run_id: str, duration_s: float, *, is_router: bool
) -> list[Worker]:
    """What watches the host itself, and on the router's host the router."""
    watched = [{"name": "agent", "unit": f"screamlab-{run_id}.service"}]
    if is_router:
        watched.append({"name": "router", "unit": ROUTER_UNIT})
    interval = {"interval_s": scenario.watch.interval_seconds}
    window = {"from_s": 0.0, "to_s": duration_s}
    ports = sorted(ROUTER_PORTS.values()) if is_router else []
    spec = {"processes": watched, "devices": [host.data.device], "udp_ports": ports, **interval}
    observers = [Worker(name="sampler", kind="sampler", spec=spec, **window)]
    if is_router:
        url = {"url": f"https://{host.data.ip}:{ROUTER_API_PORT}", **interval}
        observers.append(Worker(name="router-stats", kind="router_stats", spec=url, **window))
    return observers


def load_workers(
    host: str, sending: Sequence[Sending], receiving: Sequence[Receiving]
) -> list[Worker]:
    """One worker per client kind and direction, receivers first so that they hear the start."""
    workers = []
    parts: tuple[tuple[str, Sequence[Sending | Receiving]], ...] = (
        ("receiver", receiving),
        ("sender", sending),
    )
    for role, placed in parts:
        for client, prefix in (("native", "native"), ("gstreamer", "gst")):
            streams = [p.stream for p in placed if p.host == host and p.client == client]
            workers += _worker(f"{prefix}-{role}", streams)
    announced = [s.stream for s in sending if s.host == host and s.announced]
    return workers + _worker("sap-announcer", announced)


def probe_workers(host: str, probing: Sequence[Probing]) -> list[Worker]:
    """One worker per direction for all probe streams of a host."""
    received = [probe.stream for probe in probing if probe.receiver == host]
    sent = [probe.stream for probe in probing if probe.sender == host]
    return _worker("probe-receiver", received) + _worker("probe-sender", sent)


def _worker(
    name: str, streams: Sequence[SenderStream | ReceiverStream | ProbeStream]
) -> list[Worker]:
    """The worker that plays these streams, or none where there are none."""
    if not streams:
        return []
    return [
        Worker(
            name=name,
            kind=name.replace("-", "_"),
            from_s=min(stream.from_s for stream in streams),
            to_s=max(stream.to_s for stream in streams),
            spec={"streams": [stream.model_dump(mode="json") for stream in streams]},
        )
    ]
