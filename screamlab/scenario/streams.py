"""Who sends and who hears: a scenario's groups as streams on hosts, and the null path of each."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Literal

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.scenario.clients import ASKING, KINDS, Client
from screamlab.scenario.model import ReceiverGroup, Scenario
from screamlab.scenario.placement import Placement, Receiving, Sending
from screamlab.scenario.plan import (
    NULL_PREFIX,
    PLAYOUT_MS,
    Codec,
    Endpoint,
    Heard,
    Phase,
    ReceiverStream,
    SenderStream,
)
from screamlab.scenario.timeline import load_window
from screamlab.signal import signal_count

# A sender outlasts its listeners, so that its end is never heard as a silence.
SENDER_TAIL_S = 2.0
# Where the router takes what is sent to it.
ROUTER_PORTS = {"rtp": 40000, "scream": 16401}
PAYLOAD_TYPES: dict[Codec, int] = {"l16": 127, "opus": 111}
# VLC numbers its own streams from here and cannot be told otherwise.
VLC_PAYLOAD_TYPE = 96
# The jitter buffer of a player in a browser grows to about twice as much as others have.
WEBRTC_PLAYOUT_MS = 200.0
# Listeners that one browser carries.
PER_BROWSER = 8


def senders(
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
    ramp_s, up_s, end_s = load_window(phases)
    starts = [ramp_s + (up_s - ramp_s) * at / max(1, len(members)) for at in range(len(members))]
    draw.shuffle(starts)
    placed = []
    for signal, (group, name) in enumerate(members):
        host = placement.in_turn(signal)
        # The media of a SIP call is RTP.
        protocol: Literal["scream", "rtp"] = "scream" if group.protocol == "scream" else "rtp"
        stream = SenderStream(
            name=name,
            protocol=protocol,
            codec=group.codec,
            signal=signal,
            local=placement.own_address(host, len(members)),
            remote=Endpoint(address=router.data.ip, port=ROUTER_PORTS[protocol]),
            ssrc=draw.getrandbits(32) if protocol == "rtp" else None,
            payload_type=(
                VLC_PAYLOAD_TYPE if group.client == "vlc" else _payload_type(protocol, group.codec)
            ),
            from_s=starts[signal],
            to_s=end_s + SENDER_TAIL_S,
        )
        announced = group.announce and protocol == "rtp"
        placed.append(Sending(host.name, group.client, stream, announced=announced))
    return placed


def receivers(
    scenario: Scenario,
    phases: Sequence[Phase],
    senders: Sequence[Sending],
    placement: Placement,
) -> list[Receiving]:
    """Every receiver, on another host than its (first) sender where there is one."""
    placed: list[Receiving] = []
    for group in scenario.receivers:
        candidates = [s for s in senders if s.stream.name.rpartition("-")[0] == group.hears]
        shared: dict[tuple[Heard, ...], str] = {}
        for number in range(group.count if candidates else 0):
            heard = [
                candidates[(number * group.mix + at) % len(candidates)] for at in range(group.mix)
            ]
            # Listeners of one browser are on one host; a browser costs more than all of them.
            turn = number // PER_BROWSER if group.protocol == "webrtc" else len(placed)
            host = placement.opposite(heard[0].host, turn)
            name = f"{group.name}-{number + 1:02d}"
            hears = _heard(heard)
            sink = name
            if group.protocol in ASKING:
                sink = shared.setdefault(hears, f"{group.name}-sink-{len(shared) + 1:02d}")
            assert group.protocol != "sip"
            stream = ReceiverStream(
                name=name,
                protocol=group.protocol,
                codec=group.codec,
                local=_listening_at(group, host, placement),
                hears=hears,
                foreign=_heard(s for s in senders if s not in heard),
                payload_type=_payload_type(group.protocol, group.codec),
                lossy={group.codec, *(s.stream.codec for s in heard)} != {"l16"},
                sink=sink,
                from_s=min(s.stream.from_s for s in heard),
                to_s=load_window(phases)[2],
                playout_ms=WEBRTC_PLAYOUT_MS if group.protocol == "webrtc" else PLAYOUT_MS,
            )
            placed.append(Receiving(host.name, group.client, stream))
    return placed


def null_path(
    scenario: Scenario,
    phases: Sequence[Phase],
    senders: Sequence[Sending],
    placement: Placement,
) -> tuple[list[Sending], list[Receiving]]:
    """Every sender once more, straight to a listener, before the router is loaded.

    Clients that only call have nobody to call without the router: they take no part.
    """
    phase = next(phase for phase in phases if phase.kind == "null_path")
    sending, receiving = [], []
    direct = [sender for sender in senders if _client_for(scenario, sender, 0)]
    for turn, sender in enumerate(direct):
        host = placement.opposite(sender.host, turn)
        name = NULL_PREFIX + sender.stream.name
        listener = ReceiverStream(
            name=name,
            protocol=sender.stream.protocol,
            codec=sender.stream.codec,
            local=placement.receiver_port(host),
            hears=(Heard(sender=name, signal=sender.stream.signal),),
            payload_type=sender.stream.payload_type,
            lossy=sender.stream.codec != "l16",
            from_s=phase.from_s,
            to_s=phase.to_s - SENDER_TAIL_S,
        )
        changes = {
            "name": name,
            "remote": listener.local,
            "from_s": phase.from_s,
            "to_s": phase.to_s,
        }
        stream = sender.stream.model_copy(update=changes)
        client = _client_for(scenario, sender, turn)
        assert client is not None
        sending.append(Sending(sender.host, sender.client, stream))
        receiving.append(Receiving(host.name, client, listener))
    return sending, receiving


def _client_for(scenario: Scenario, sender: Sending, turn: int) -> Client | None:
    """Who hears a sender directly: a client the scenario uses for its format, in turn, else any.

    None when the sender sends nothing without being in a call.
    """
    wanted = (sender.stream.protocol, sender.stream.codec)
    if wanted not in KINDS[sender.client].sends:
        return None
    used = {r.client for r in scenario.receivers if r.count and (r.protocol, r.codec) == wanted}
    able = sorted(used) or [client for client, kind in KINDS.items() if wanted in kind.hears]
    if not used and sender.client in able:
        return sender.client
    return able[turn % len(able)]


def _payload_type(protocol: str, codec: Codec) -> int | None:
    return PAYLOAD_TYPES[codec] if protocol == "rtp" else None


def _listening_at(group: ReceiverGroup, host: Host, placement: Placement) -> Endpoint:
    """The port a sink sends to; for one that asks, the address it or its sink is told apart by."""
    if group.protocol in ASKING:
        return placement.own_address(host, group.count)
    return placement.receiver_port(host)


def _heard(senders: Iterable[Sending]) -> tuple[Heard, ...]:
    return tuple(Heard(sender=s.stream.name, signal=s.stream.signal) for s in senders)
