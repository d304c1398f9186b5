"""What the external clients are told, and what they are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, InfraError
from screamlab.evidence.spool import Spool
from screamlab.load import ffmpeg, mp3, vlc
from screamlab.load.own_source import uid_of
from screamlab.scenario.plan import Endpoint, Heard, ReceiverStream, SenderStream

DATA = Path(__file__).parent.parent / "data" / "external"
Run = Callable[[dict[str, Any], WorkerContext], None]

SENDER = SenderStream(
    name="s-01",
    protocol="rtp",
    codec="opus",
    signal=0,
    local=Endpoint(address="198.18.0.1", port=0),
    remote=Endpoint(address="198.18.0.9", port=40000),
    from_s=0.0,
    to_s=0.0,
)
RECEIVER = ReceiverStream(
    name="r-01",
    protocol="rtp",
    local=Endpoint(address="198.18.0.2", port=41000),
    hears=(Heard(sender="s-01", signal=0),),
    from_s=0.0,
    to_s=0.0,
)


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    spool = Spool(tmp_path, writer="w", host="h")
    return WorkerContext("w", "h", time.time(), 0.0, 0.0, spool, tmp_path)


@pytest.mark.parametrize(
    ("run", "stream", "sentence"),
    [
        (
            ffmpeg.run_senders,
            SENDER.model_copy(update={"protocol": "scream"}),
            "send opus over scr",
        ),
        (ffmpeg.run_senders, SENDER.model_copy(update={"rate_hz": 44100}), "48000 Hz stereo only"),
        (ffmpeg.run_receivers, RECEIVER.model_copy(update={"codec": "mp3"}), "hear mp3 over rtp"),
        (vlc.run_senders, SENDER.model_copy(update={"codec": "l16"}), "send l16 over rtp"),
        (vlc.run_senders, SENDER.model_copy(update={"payload_type": 111}), "payload type 96 only"),
        (vlc.run_receivers, RECEIVER, "hear l16 over rtp"),
    ],
)
def test_a_stream_the_client_cannot_play_is_bad_input(
    run: Run, stream: SenderStream | ReceiverStream, sentence: str, context: WorkerContext
) -> None:
    with pytest.raises(BadInput, match=f"stream {stream.name}: .*{sentence}"):
        run({"streams": [stream.model_dump()]}, context)


@pytest.mark.parametrize("client", [ffmpeg, vlc])
def test_a_host_without_the_program_says_so(
    client: Any, context: WorkerContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InfraError, match=f"{client.CLIENT.executable} is not installed"):
        client.run_senders({"streams": [SENDER.model_dump()]}, context)


@pytest.mark.parametrize(
    ("ssrc", "told"), [(1, "1"), (0x7FFFFFFF, "2147483647"), (0x80000000, "-2147483648")]
)
def test_ffmpeg_takes_an_ssrc_as_a_signed_number(ssrc: int, told: str) -> None:
    command = ffmpeg.sender_command(SENDER.model_copy(update={"ssrc": ssrc}))

    assert command[command.index("-ssrc") + 1] == told


def test_ffmpeg_sends_opus_from_the_streams_own_address() -> None:
    command = ffmpeg.sender_command(SENDER)

    assert command[-1].startswith("rtp://198.18.0.9:40000?localaddr=198.18.0.1&")
    assert command[command.index("-payload_type") + 1] == "111"
    assert command[command.index("-frame_duration") + 1] == "20"


def test_ffmpeg_expects_what_the_session_says() -> None:
    stream = RECEIVER.model_copy(update={"payload_type": 96, "codec": "opus"})

    assert ffmpeg.session(stream).splitlines()[-2:] == [
        "m=audio 41000 RTP/AVP 96",
        "a=rtpmap:96 opus/48000/2",
    ]


def test_vlc_announces_itself_to_the_router_only() -> None:
    direct = SENDER.model_copy(update={"name": "null/s-01"})

    assert ",sap,name=s-01}" in " ".join(vlc.sender_command(SENDER))
    assert ",sap" not in " ".join(vlc.sender_command(direct))
    assert vlc.source_tag(SENDER) == "rtp:s-01#198.18.0.9.40000"


def test_every_address_of_a_pool_has_a_user_of_its_own() -> None:
    pool = [
        SENDER.model_copy(update={"local": Endpoint(address=f"198.19.{net}.{host}", port=0)})
        for net in range(4)
        for host in range(256)
    ]

    users = {uid_of(stream) for stream in pool}

    assert len(users) == len(pool)
    assert min(users) >= 61184
    assert max(users) <= 65519


def test_the_key_of_a_routers_certificate_is_read() -> None:
    # openssl x509 -in router.pem -noout -pubkey
    expected = (DATA / "router.pub").read_text().splitlines()[1:-1]

    assert mp3.public_key((DATA / "router.pem").read_text()) == "".join(expected)


def test_a_stream_without_a_sink_or_of_an_unknown_one_has_no_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sinks = [{"name": "lab-m-01", "ip": "198.18.0.7"}, {"name": "kitchen", "ip": "198.18.0.8"}]
    monkeypatch.setattr(mp3.RouterClient, "items", lambda *_: sinks)
    streams = mp3.Streams("https://198.18.0.9:8443/")
    heard = RECEIVER.model_copy(update={"sink": "m-01"})

    assert streams.url(heard) == "https://198.18.0.9:8443/stream/198.18.0.7/"
    with pytest.raises(InfraError, match="has no sink 'kitchen'"):
        streams.url(heard.model_copy(update={"sink": "kitchen"}))
    with pytest.raises(BadInput, match="r-01: a listener by MP3 needs a sink"):
        streams.url(RECEIVER)
