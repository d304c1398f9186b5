"""The probe packet: which stream, which packet of it, and when it was sent.

Network byte order: magic (4 bytes), stream (32 bit), sequence (32 bit, from 0), unix time of
sending in nanoseconds (64 bit), CRC-32 of everything but itself, zeros up to the wanted length.
The CRC tells what a network damaged on the way, where nobody checked the UDP checksum.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_HEADER = struct.Struct("!4sIIQ")
_CRC = struct.Struct("!I")
_MAGIC = b"SLp1"

HEADER_BYTES = _HEADER.size + _CRC.size


class ProbePacket(NamedTuple):
    """One packet of a probe stream; `sent_ns` is unix time."""

    sequence: int
    sent_ns: int


def stream_id(name: str, zero: float) -> int:
    """The number of a stream on the wire: the same at both ends, another in the next run."""
    return zlib.crc32(f"{name}/{zero!r}".encode())


def encode(stream: int, packet: ProbePacket, payload_bytes: int) -> bytes:
    """A datagram of `payload_bytes`, at least `HEADER_BYTES`."""
    header = _HEADER.pack(_MAGIC, stream, packet.sequence & 0xFFFFFFFF, packet.sent_ns)
    padding = bytes(payload_bytes - HEADER_BYTES)
    return header + _CRC.pack(zlib.crc32(padding, zlib.crc32(header))) + padding


def decode(datagram: bytes, stream: int) -> ProbePacket | None:
    """The packet in a datagram; None when it is another stream's, nobody's, or damaged."""
    if len(datagram) < HEADER_BYTES:
        return None
    magic, found, sequence, sent_ns = _HEADER.unpack_from(datagram)
    if magic != _MAGIC or found != stream:
        return None
    (crc,) = _CRC.unpack_from(datagram, _HEADER.size)
    if crc != zlib.crc32(datagram[HEADER_BYTES:], zlib.crc32(datagram[: _HEADER.size])):
        return None
    return ProbePacket(sequence, sent_ns)
