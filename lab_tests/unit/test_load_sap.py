"""Announcements as RFC 2974 and RFC 8866 have them."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool
from screamlab.load import sap
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


def test_it_announces_while_the_sender_sends_and_takes_it_back_at_the_end_of_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sap, "INTERVAL_S", 0.2)
    end_s = 0.7
    local = Endpoint(address="127.0.0.1", port=0)
    stream = STREAM.model_copy(update={"local": local, "remote": local, "to_s": 0.5})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.bind(("127.0.0.1", 0))
        monkeypatch.setattr(sap, "PORT", router.getsockname()[1])
        spool = Spool(tmp_path, writer="sap", host="h")
        context = WorkerContext("sap", "h", time.time(), 0.0, end_s, spool, tmp_path)
        sap.run({"streams": [stream.model_dump()]}, context)
        assert context.now_s() >= end_s
        router.setblocking(False)
        kinds = [router.recv(2048)[0] for _ in range(4)]
        with pytest.raises(BlockingIOError):
            router.recv(2048)
    assert kinds == [0x20, 0x20, 0x20, 0x24]
