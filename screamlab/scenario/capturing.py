"""Who keeps packets in a run, and who tells whom of incidents."""

from __future__ import annotations

from collections.abc import Sequence

from screamlab.inventory import Host
from screamlab.observe.capture import Keeping, Watching
from screamlab.scenario.devices import SIP_PORT
from screamlab.scenario.impairing import networks
from screamlab.scenario.model import Scenario
from screamlab.scenario.plan import Endpoint, Worker

CALL_PORT = 46999


def capture_workers(
    scenario: Scenario, router: Host, clients: Sequence[Host], run_id: str, to_s: float
) -> dict[str, Worker]:
    """The worker of every host; none where the scenario captures nothing."""
    asked = scenario.watch.capture
    if asked is None:
        return {}
    lab = [router, *clients]
    chosen = {"router": [router], "clients": list(clients), "all": lab}[asked.hosts]
    workers = {}
    for host in lab:
        keep = None
        if host in chosen:
            keep = Keeping(
                device=host.data.device,
                filters=_filters(lab, asked.snap_bytes),
                ring_mib=asked.ring_mib,
                around_s=asked.around_seconds,
                at_most=asked.incidents,
                cap_mib=asked.cap_mib,
                listen=_called_at(host),
            )
        tell = tuple(_called_at(other) for other in chosen if other is not host)
        spec = Watching(run=run_id, tell=tell, keep=keep).model_dump(mode="json")
        workers[host.name] = Worker(name="capture", kind="capture", from_s=0, to_s=to_s, spec=spec)
    return workers


def _filters(lab: Sequence[Host], snap_bytes: int) -> dict[str, int]:
    """UDP between hosts of the lab: SIP whole, of the rest the heads."""
    networks_of_lab = networks(lab)
    ends = (
        "(" + " or ".join(f"{end} net {network}" for network in networks_of_lab) + ")"
        for end in ("src", "dst")
    )
    between = " and ".join(["udp", *ends])
    sip = f"udp port {SIP_PORT}"
    return {f"{between} and {sip}": 0, f"{between} and not {sip}": snap_bytes}


def _called_at(host: Host) -> Endpoint:
    return Endpoint(address=host.data.ip, port=CALL_PORT)
