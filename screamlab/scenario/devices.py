"""The SIP devices of a run: who registers where, with which credentials, and who calls."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from screamlab.inventory import Host
from screamlab.load.sip.model import SipDevice
from screamlab.scenario.clients import KINDS, Client
from screamlab.scenario.model import Scenario
from screamlab.scenario.placement import Placement, Sending
from screamlab.scenario.plan import Endpoint, Phase
from screamlab.scenario.timeline import load_window

SIP_PORT = 5060
# A device is registered this long before it calls, and gone this long after.
BEFORE_CALL_S = 2.0
AFTER_CALL_S = 1.0


@dataclass(frozen=True)
class Placed:
    """A device and the host and client that play it."""

    host: str
    client: Client
    device: SipDevice


class Registrar(TypedDict):
    """What the registrar on the router's host is told of a run."""

    address: str
    accounts: list[dict[str, str]]


def devices(
    scenario: Scenario,
    phases: Sequence[Phase],
    router: Host,
    placement: Placement,
    senders: Sequence[Sending],
    secret: str,
) -> list[Placed]:
    """The devices that call, one for each sender that is one, and those that are only present.

    Passwords are drawn from `secret`, so that each run has its own.
    """
    registrar = Endpoint(address=router.data.ip, port=SIP_PORT)
    ramp_s, _, end_s = load_window(phases)

    def device(name: str, group: str, address: str, from_s: float, to_s: float) -> SipDevice:
        return SipDevice(
            name=name,
            address=address,
            registrar=registrar,
            domain=registrar.address,
            user=name,
            password=password(secret, name),
            from_s=from_s,
            to_s=to_s,
            scenario_xml=scenario.sipp_xml.get(group),
        )

    found = []
    for sender in senders:
        if KINDS[sender.client].calls:
            media = sender.stream
            from_s, to_s = media.from_s - BEFORE_CALL_S, media.to_s + AFTER_CALL_S
            of = media.name.rpartition("-")[0]
            calling = device(media.name, of, media.local.address, max(0.0, from_s), to_s)
            calling = calling.model_copy(update={"media": media})
            found.append(Placed(sender.host, sender.client, calling))
    present = [
        (group, f"{group.name}-{number + 1:02d}")
        for group in scenario.devices
        for number in range(group.count)
    ]
    for turn, (group, name) in enumerate(present):
        host = placement.in_turn(turn)
        own = device(name, group.name, host.data.ip, ramp_s, end_s)
        found.append(Placed(host.name, group.client, own))
    return found


def registrar(
    router: Host, placed: Sequence[Placed], more: Sequence[dict[str, str]]
) -> Registrar | None:
    """What the registrar must know, `more` accounts among it; None for a run without SIP."""
    accounts = [{"user": p.device.user, "password": p.device.password} for p in placed]
    accounts += more
    return Registrar(address=router.data.ip, accounts=accounts) if accounts else None


def password(secret: str, name: str) -> str:
    """The password of a device or lane, the same for the same secret and name."""
    return hmac.new(secret.encode(), name.encode(), hashlib.sha256).hexdigest()[:24]
