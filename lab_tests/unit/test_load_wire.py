"""Wire formats against packets that other programs made and against the written standards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from screamlab.load import wire

CAPTURED = json.loads((Path(__file__).parents[1] / "data" / "load_rtp.json").read_text())


def captured(kind: str) -> list[bytes]:
    return [bytes.fromhex(packet) for packet in CAPTURED[kind]["packets"]]


def test_l16_packets_of_gstreamer_are_read() -> None:
    packets = [wire.parse_rtp(datagram) for datagram in captured("l16")]

    assert [packet.sequence for packet in packets] == [65534, 65535, 0, 1]
    assert {packet.ssrc for packet in packets} == {0x11223344}
    assert {packet.payload_type for packet in packets} == {127}
    steps = np.diff([packet.timestamp for packet in packets])
    assert list(steps) == [48, 48, 48]


def test_l16_audio_of_gstreamer_is_its_one_kilohertz_sine() -> None:
    payloads = [wire.parse_rtp(datagram).payload for datagram in captured("l16")]
    audio = np.frombuffer(b"".join(payloads), ">i2").reshape(-1, 2)

    assert audio.shape == (192, 2)
    expected = 0.5 * 32767 * np.sin(2 * np.pi * 1000 * np.arange(192) / 48000)
    shift = int(np.argmax([np.dot(audio[:, 0], np.roll(expected, -n)) for n in range(48)]))
    assert np.max(np.abs(audio[:, 0] - np.roll(expected, -shift))) <= 2
    assert np.array_equal(audio[:, 0], audio[:, 1])


def test_opus_packets_of_gstreamer_are_read() -> None:
    first, second = (wire.parse_rtp(datagram) for datagram in captured("opus"))

    assert (first.payload_type, first.ssrc) == (111, 0x55667788)
    assert first.marker and not second.marker
    assert second.sequence == first.sequence + 1
    assert len(first.payload) == len(captured("opus")[0]) - 12


@given(
    packet=st.builds(
        wire.RtpPacket,
        payload_type=st.integers(0, 127),
        sequence=st.integers(0, 0xFFFF),
        timestamp=st.integers(0, 0xFFFFFFFF),
        ssrc=st.integers(0, 0xFFFFFFFF),
        payload=st.binary(max_size=64),
        marker=st.booleans(),
        csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    )
)
def test_rtp_survives_a_round_trip(packet: wire.RtpPacket) -> None:
    assert wire.parse_rtp(wire.encode_rtp(packet)) == packet


def test_extension_and_padding_are_cut_off() -> None:
    head = bytes.fromhex("b16f0001 00000002 00000003")
    csrc = bytes.fromhex("0000002a")
    extension = bytes.fromhex("bede0001 10ff0000")
    padded = head + csrc + extension + b"audio" + b"\0\0\3"

    packet = wire.parse_rtp(padded)

    assert packet.payload == b"audio"
    assert packet.csrcs == (42,)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        bytes(11),
        bytes(12),
        bytes.fromhex("41000000") + bytes(8),
        bytes.fromhex("82000000") + bytes(8 + 4),
        bytes.fromhex("90000000") + bytes(8),
        bytes.fromhex("90000000") + bytes(8) + bytes.fromhex("00000002") + bytes(4),
        bytes.fromhex("a0000000") + bytes(8) + bytes(2),
        bytes.fromhex("a0000000") + bytes(8) + b"\x03",
    ],
    ids=["empty", "short", "version0", "version1", "csrc", "extension", "words", "pad0", "pad"],
)
def test_broken_rtp_is_refused(datagram: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_rtp(datagram)


@given(datagram=st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_a_wire_error(datagram: bytes) -> None:
    for parse in (wire.parse_rtp, wire.parse_scream):
        try:
            parse(datagram)
        except wire.WireError:
            continue


@pytest.mark.parametrize(
    ("header", "encoded"),
    [
        (wire.ScreamHeader(), "0110020300"),
        (wire.ScreamHeader(rate_hz=44100), "8110020300"),
        (wire.ScreamHeader(rate_hz=192000, bits=24), "0418020300"),
        (wire.ScreamHeader(rate_hz=88200, channels=8, channel_mask=0x063F), "8210083f06"),
    ],
)
def test_scream_headers(header: wire.ScreamHeader, encoded: str) -> None:
    assert header.encode().hex() == encoded
    assert wire.parse_scream(bytes.fromhex(encoded) + b"pcm") == (header, b"pcm")


def test_scream_cannot_declare_every_rate() -> None:
    with pytest.raises(wire.WireError, match="32000 Hz"):
        wire.ScreamHeader(rate_hz=32000).encode()


def test_scream_pcm_keeps_whole_frames_and_the_high_bits() -> None:
    wide = wire.ScreamHeader(bits=24)

    assert wire.scream_pcm(wire.ScreamHeader(), bytes(range(7))) == bytes(range(4))
    assert wire.scream_pcm(wide, bytes(range(8))) == bytes([1, 2, 4, 5])
