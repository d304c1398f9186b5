"""Wire formats: the legacy Scream datagram and RTP with L16 audio.

Scream: the 5-byte header of the Scream virtual sound card's network protocol before 1152 bytes
of little-endian PCM. RTP: RFC 3550 section 5.1; L16: RFC 3551 section 4.5.11.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

PAYLOAD_BYTES = 1152
"""Audio bytes of one datagram, Scream's fixed size and what ScreamRouter sends as L16."""

SCREAM_HEADER_BYTES = 5
RTP_HEADER = struct.Struct("!BBHII")
RTP_VERSION_2 = 0x80
L16_PAYLOAD_TYPE = 127
"""Dynamic payload type that ScreamRouter uses for L16/48000/2."""

_STEREO_MASK = 0x0003
_SCREAM_HEADER = struct.Struct("<BBBH")


class WireError(ValueError):
    """A datagram that is not what its protocol says it should be."""


@dataclass(frozen=True, slots=True)
class ScreamHeader:
    """The format a Scream datagram declares; `channel_mask` as in WAVEFORMATEXTENSIBLE."""

    rate_hz: int = 48000
    bits: int = 16
    channels: int = 2
    channel_mask: int = _STEREO_MASK

    def encode(self) -> bytes:
        """The five header bytes; `WireError` for a rate that is no multiple of 44.1 or 48 kHz."""
        for base, flag in ((48000, 0x00), (44100, 0x80)):
            multiplier, rest = divmod(self.rate_hz, base)
            if rest == 0 and 1 <= multiplier <= 0x7F:
                return _SCREAM_HEADER.pack(
                    flag | multiplier, self.bits, self.channels, self.channel_mask
                )
        raise WireError(f"Scream cannot carry {self.rate_hz} Hz")


def parse_scream(datagram: bytes) -> tuple[ScreamHeader, bytes]:
    """Split a Scream datagram into its header and its PCM bytes."""
    if len(datagram) < SCREAM_HEADER_BYTES:
        raise WireError(f"Scream datagram of {len(datagram)} bytes has no whole header")
    rate, bits, channels, mask = _SCREAM_HEADER.unpack_from(datagram)
    base = 44100 if rate & 0x80 else 48000
    header = ScreamHeader(base * (rate & 0x7F), bits, channels, mask)
    if header.rate_hz == 0 or channels == 0 or bits not in (16, 24, 32):
        raise WireError(
            f"Scream header declares {header.rate_hz} Hz, {bits} bits, {channels} channels"
        )
    return header, datagram[SCREAM_HEADER_BYTES:]


def scream_pcm(header: ScreamHeader, payload: bytes) -> bytes:
    """The whole frames as 16-bit little-endian PCM; wider words lose their low bits."""
    width = header.bits // 8
    size = len(payload) // (width * header.channels) * (width * header.channels)
    if width == 2:
        return payload[:size]
    pcm = bytearray(2 * size // width)
    pcm[0::2], pcm[1::2] = payload[width - 2 : size : width], payload[width - 1 : size : width]
    return bytes(pcm)


class RtpPacket(NamedTuple):
    """One RTP packet, RFC 3550 section 5.1; extension and padding are already cut off."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()


def encode_rtp(packet: RtpPacket) -> bytes:
    """Encode without extension or padding."""
    head = RTP_HEADER.pack(
        RTP_VERSION_2 | len(packet.csrcs),
        packet.marker << 7 | packet.payload_type,
        packet.sequence,
        packet.timestamp,
        packet.ssrc,
    )
    return head + struct.pack(f"!{len(packet.csrcs)}I", *packet.csrcs) + packet.payload


def parse_rtp(datagram: bytes) -> RtpPacket:
    """Decode one RTP packet; `WireError` says what is wrong with it."""
    if len(datagram) < RTP_HEADER.size:
        raise WireError(f"RTP packet of {len(datagram)} bytes has no whole header")
    first, second, sequence, timestamp, ssrc = RTP_HEADER.unpack_from(datagram)
    if first >> 6 != 2:
        raise WireError(f"RTP version {first >> 6} instead of 2")
    csrcs: tuple[int, ...] = ()
    start = RTP_HEADER.size
    if count := first & 0x0F:
        csrcs = _unpack(f"!{count}I", datagram, start)
        start += 4 * count
    if first & 0x10:
        _profile, words = _unpack("!HH", datagram, start)
        start += 4 + 4 * words
    end = len(datagram)
    if first & 0x20:
        end -= datagram[-1] or end + 1
    if start > end:
        raise WireError(f"RTP packet of {len(datagram)} bytes is shorter than its own header says")
    return RtpPacket(
        second & 0x7F, sequence, timestamp, ssrc, datagram[start:end], bool(second & 0x80), csrcs
    )


def _unpack(layout: str, datagram: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, datagram, at)
    except struct.error as error:
        raise WireError(f"RTP packet of {len(datagram)} bytes ends within its header") from error
