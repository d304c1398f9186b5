"""Session announcements for RTP senders: SAP (RFC 2974) that carries SDP (RFC 8866).

Routers up to 0.3.67 take RTP only from senders that were announced. The announcement goes straight
to the router, from the sender's own address, for as long as the sender sends.
"""

from __future__ import annotations

import socket
import zlib
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.scenario.plan import SenderStream

PORT = 9875
INTERVAL_S = 2.0
_VERSION_1 = 0x20
_DELETION = 0x04
_ENCODINGS = {"l16": "L16", "opus": "opus"}


def announcement(stream: SenderStream, *, deletion: bool = False) -> bytes:
    """One SAP packet that announces an RTP sender, or takes its announcement back."""
    sdp = _sdp(stream).encode()
    flags = _VERSION_1 | (_DELETION if deletion else 0)
    message_id = zlib.crc32(sdp) & 0xFFFF
    head = bytes([flags, 0]) + message_id.to_bytes(2, "big")
    return head + socket.inet_aton(stream.local.address) + b"application/sdp\0" + sdp


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Announce ``spec["streams"]`` while they send; each from its own address."""
    streams = [SenderStream.model_validate(stream) for stream in spec["streams"]]
    due_s = min(stream.from_s for stream in streams)
    while due_s < context.to_s and context.sleep_until(due_s):
        for stream in streams:
            if stream.from_s <= due_s < stream.to_s:
                _send(stream, announcement(stream))
        due_s += INTERVAL_S
    context.sleep_until(context.to_s)
    for stream in streams:
        _send(stream, announcement(stream, deletion=True))


def _sdp(stream: SenderStream) -> str:
    encoding = f"{_ENCODINGS[stream.codec]}/{stream.rate_hz}/{stream.channels}"
    lines = (
        "v=0",
        f"o=- {stream.ssrc} 1 IN IP4 {stream.local.address}",
        f"s={stream.name}",
        f"c=IN IP4 {stream.remote.address}",
        "t=0 0",
        f"m=audio {stream.remote.port} RTP/AVP {stream.payload_type}",
        f"a=rtpmap:{stream.payload_type} {encoding}",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _send(stream: SenderStream, packet: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((stream.local.address, 0))
        sender.sendto(packet, (stream.remote.address, PORT))
