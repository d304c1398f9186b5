"""Packets that do not arrive, or arrive with the sound of another: nft(8) on the host they are for.

Each fault has a table of its own, whose removal is all of its undoing.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.impair.commands import output
from screamlab.inject.fault import Fault, Place
from screamlab.load import wire
from screamlab.scenario.plan import Endpoint

# linux/if_ether.h and linux/if_packet.h.
_ETH_P_IP = 0x0800
_PACKET_HOST = 0
_UDP_HEADER = struct.Struct("!HHHH")
_IP_BYTES = 65535
_LOOK_S = 0.2
# The first packet that is changed comes so much later than the one it is reckoned from.
_LEAD_PACKETS = 100
# 16 bit, two channels, 48 kHz.
_PACKETS_PER_S = 48000 * 4 / wire.PAYLOAD_BYTES


class _Filter(Fault):
    """What is lost is a rule of nft(8); all that goes to the host's own sockets passes it."""

    means: ClassVar[tuple[str, ...]] = ("nftables",)

    def _drop(self, rule: str) -> None:
        place = f"inet {self._table}"
        output(
            "nft",
            f"add table {place}; "
            f"add chain {place} input {{ type filter hook input priority 0; }}; "
            f"add rule {place} input {rule} drop",
        )

    def undo(self, place: Place) -> None:
        """See `Fault.undo`."""
        # What is not there cannot be deleted, and what is there can be added.
        output("nft", f"add table inet {self._table}; delete table inet {self._table}")

    @property
    def _table(self) -> str:
        return f"screamlab_{self.name.replace('-', '_')}"


class Drop(_Filter):
    """Everything to a port of the host is lost: to `port`, or to where the stream is heard."""

    kind: Literal["drop"]
    protocol: Literal["udp", "tcp"] = "udp"
    port: int | None = Field(default=None, ge=1, le=65535)

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        port = self.port or _heard_at(self, place).port
        self._drop(f"{self.protocol} dport {port}")
        context.sleep_until(context.to_s)


class Repeat(_Filter):
    """Single packets of a stream arrive with the sound of the packet before them.

    One in `every` packets is dropped, and sent again by the host itself under its own RTP header.
    """

    kind: Literal["repeat"]
    every: int = Field(default=100, ge=2)

    def plant(self, place: Place, context: WorkerContext) -> None:
        """See `Fault.plant`."""
        heard = _heard_at(self, place)
        with (
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)) as tap,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out,
        ):
            tap.bind((place.device, _ETH_P_IP))
            before, changed = b"", frozenset[int]()
            for datagram in _datagrams(tap, heard, context):
                number, sound = _sequence(datagram), datagram[wire.RTP_HEADER.size :]
                if not changed:
                    changed = self._changed(number)
                    told = ", ".join(map(str, sorted(changed)))
                    # The sequence number: UDP's header, then 16 bits of RTP's (RFC 3550, 5.1).
                    self._drop(
                        f"iifname {place.device} udp dport {heard.port} @th,80,16 {{ {told} }}"
                    )
                elif number in changed:
                    sent = datagram[: wire.RTP_HEADER.size] + before
                    out.sendto(sent, (heard.address, heard.port))
                before = sound

    def _changed(self, first: int) -> frozenset[int]:
        """The sequence numbers of the packets that are changed in the fault's time."""
        packets = int(self.for_seconds * _PACKETS_PER_S) - _LEAD_PACKETS
        steps = range(_LEAD_PACKETS, _LEAD_PACKETS + max(1, packets), self.every)
        return frozenset((first + step) & 0xFFFF for step in steps)


def _heard_at(fault: Fault, place: Place) -> Endpoint:
    if place.local is None:
        raise BadInput(
            f"fault {fault.name}: 'where' must name the stream whose packets it is about"
        )
    return place.local


def _datagrams(tap: socket.socket, to: Endpoint, context: WorkerContext) -> Iterator[bytes]:
    """What comes in for an address and port, until the fault's time is over."""
    address = socket.inet_aton(to.address)
    while context.now_s() < context.to_s and not context.stopping.is_set():
        if not select.select([tap], [], [], _LOOK_S)[0]:
            continue
        packet, (_, _, direction, *_) = tap.recvfrom(_IP_BYTES)
        header = (packet[0] & 0x0F) * 4
        if direction != _PACKET_HOST or packet[9] != socket.IPPROTO_UDP or packet[16:20] != address:
            continue
        _, port, length, _ = _UDP_HEADER.unpack_from(packet, header)
        if port == to.port:
            yield packet[header + _UDP_HEADER.size : header + length]


def _sequence(datagram: bytes) -> int:
    return wire.RTP_HEADER.unpack_from(datagram)[2]
