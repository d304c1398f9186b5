"""Announcements as RFC 2974 and RFC 8866 have them."""

from __future__ import annotations

from screamlab.load.sap import announcement
from screamlab.scenario.plan import Endpoint, SenderStream

STREAM = SenderStream(
    name="rtp-l16-01",
    protocol="rtp",
    signal=0,
    local=Endpoint(address="198.19.0.32", port=0),
    remote=Endpoint(address="198.19.0.10", port=40000),
    ssrc=1234,
    payload_type=127,
    from_s=0,
    to_s=1,
)


def test_the_header_says_who_announces_what() -> None:
    packet = announcement(STREAM)
    assert packet[0] == 0x20  # version 1, IPv4, announcement, neither encrypted nor compressed
    assert packet[1] == 0  # no authentication data
    assert packet[4:8] == bytes([198, 19, 0, 32])
    assert packet[8:24] == b"application/sdp\0"


def test_the_session_names_format_and_ssrc() -> None:
    lines = announcement(STREAM)[24:].decode().split("\r\n")
    assert lines[0] == "v=0"
    assert "o=- 1234 1 IN IP4 198.19.0.32" in lines
    assert "m=audio 40000 RTP/AVP 127" in lines
    assert "a=rtpmap:127 L16/48000/2" in lines
    opus = STREAM.model_copy(update={"codec": "opus", "payload_type": 111})
    assert b"a=rtpmap:111 opus/48000/2\r\n" in announcement(opus)


def test_a_deletion_names_the_same_announcement() -> None:
    kept, deleted = announcement(STREAM), announcement(STREAM, deletion=True)
    assert deleted[0] == 0x24
    assert deleted[1:] == kept[1:]
