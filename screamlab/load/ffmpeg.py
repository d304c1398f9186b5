"""FFmpeg as an independent client: RTP both ways, and a listener of the router's MP3 streams.

One ``ffmpeg`` process per stream; what it says goes to ``ffmpeg-<stream>.log``. It reads PCM 1024
frames at a time (libavformat/pcm.c), so its L16 leaves in bursts of four packets every 21 ms. It
receives with a reordering queue and no playout clock, and fills gaps by the RTP timestamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load import mp3
from screamlab.load.external_receiver import Tap, listen
from screamlab.load.external_sender import Feed, play
from screamlab.load.program import Client
from screamlab.scenario.plan import ReceiverStream, SenderStream

_RTP = frozenset({("rtp", "l16"), ("rtp", "opus")})
CLIENT = Client(
    name="FFmpeg",
    executable="ffmpeg",
    log="ffmpeg",
    ready=b"ffmpeg version",
    sends=_RTP,
    hears=_RTP | {("mp3", "mp3")},
)

# For L16 fewer than the smallest of its packets has, which would else leave before its time.
_FEED_FRAMES = {"l16": 144, "opus": 480}
_PACKET_FRAMES = {"l16": 288, "opus": 960, "mp3": mp3.FRAMES}
_PAYLOAD_TYPES = {"l16": 127, "opus": 111}
_ENCODINGS = {"l16": "L16", "opus": "opus"}
_ENCODERS = {
    "l16": ("-c:a", "pcm_s16be"),
    "opus": ("-c:a", "libopus", "-b:a", "128k", "-frame_duration", "20"),
}
# FFmpeg's own Opus decoder puts other levels on the two channels than libopus (1345 of 32768 apart,
# where libopus has 55) for the SILK and CELT layers together that the router sends.
_DECODERS = {"l16": (), "opus": ("-c:a", "libopus")}
_RTP_HEADER_BYTES = 12
_RECEIVE_BUFFER_BYTES = 4 << 20
_RUN = ("ffmpeg", "-nostdin", "-nostats", "-loglevel", "info", "-fflags", "nobuffer")


def run_senders(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every stream of ``spec["streams"]`` through an ffmpeg of its own.

    Raises `BadInput` for a stream it cannot play, `InfraError` when it is not installed. One that
    ends early is ``worker.failed`` with its last words; the others go on.
    """
    streams = [SenderStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    play(CLIENT, streams, _feed, context)


def run_receivers(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` through an ffmpeg of its own; those of protocol
    mp3 at the router ``spec["router"]``. Errors as `run_senders`.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    asking = any(stream.protocol == "mp3" for stream in streams)
    router = mp3.Streams(spec["router"]) if asking else None

    def tap(stream: ReceiverStream, descriptor: int) -> Tap:
        if router is not None and stream.protocol == "mp3":
            inlet = mp3_inlet(router.url(stream))
        else:
            file = context.directory / f"ffmpeg-{stream.name.replace('/', '-')}.sdp"
            file.write_text(session(stream))
            inlet = rtp_inlet(stream, file)
        command = receiver_command(inlet, stream, descriptor)
        gapless = stream.protocol == "rtp"
        return Tap(command, _PACKET_FRAMES[stream.codec], gapless)

    listen(CLIENT, streams, tap, context)


def _feed(stream: SenderStream) -> Feed:
    return Feed(sender_command(stream), _FEED_FRAMES[stream.codec])


def sender_command(stream: SenderStream) -> list[str]:
    """The command line of a sender that reads little-endian PCM from standard input."""
    identity = ["-payload_type", str(_payload_type(stream))]
    if stream.ssrc is not None:
        # The option is a signed number of the same 32 bits.
        identity += ["-ssrc", str((stream.ssrc ^ 1 << 31) - (1 << 31))]
    packet = _PACKET_FRAMES["l16"] * 2 * stream.channels + _RTP_HEADER_BYTES
    options = f"localaddr={stream.local.address}&pkt_size={packet}"
    if stream.local.port:
        options += f"&local_rtpport={stream.local.port}"
    return [
        *_RUN,
        "-nofind_stream_info",
        *("-f", "s16le", "-ar", str(stream.rate_hz), "-ac", str(stream.channels), "-i", "pipe:0"),
        *_ENCODERS[stream.codec],
        *("-f", "rtp", "-flush_packets", "1", *identity),
        f"rtp://{stream.remote.address}:{stream.remote.port}?{options}",
    ]


def receiver_command(inlet: Sequence[str], stream: ReceiverStream, descriptor: int) -> list[str]:
    """The command line of a receiver that writes little-endian PCM to `descriptor`."""
    return [
        *_RUN,
        *inlet,
        *("-f", "s16le", "-ar", str(stream.rate_hz), "-ac", str(stream.channels)),
        *("-flush_packets", "1", f"pipe:{descriptor}"),
    ]


def rtp_inlet(stream: ReceiverStream, file: Path) -> list[str]:
    """Where a receiver of RTP gets its sound: its own address and the port of its session."""
    return [
        "-nofind_stream_info",
        *("-protocol_whitelist", "file,rtp,udp", "-localaddr", stream.local.address),
        *("-buffer_size", str(_RECEIVE_BUFFER_BYTES)),
        *("-max_delay", str(round(stream.playout_ms * 1000))),
        *_DECODERS[stream.codec],
        *("-f", "sdp", "-i", str(file)),
        *("-af", "aresample=async=1:min_hard_comp=0.001:first_pts=0"),
    ]


def mp3_inlet(url: str) -> list[str]:
    """Where a listener of MP3 gets its sound; the router's certificate is its own."""
    return ["-tls_verify", "0", "-f", "mp3", "-i", url]


def session(stream: ReceiverStream) -> str:
    """What a receiver of RTP expects, as SDP (RFC 8866)."""
    payload_type = _payload_type(stream)
    encoding = f"{_ENCODINGS[stream.codec]}/{stream.rate_hz}/{stream.channels}"
    lines = (
        "v=0",
        f"o=- 0 0 IN IP4 {stream.local.address}",
        f"s={stream.name}",
        f"c=IN IP4 {stream.local.address}",
        "t=0 0",
        f"m=audio {stream.local.port} RTP/AVP {payload_type}",
        f"a=rtpmap:{payload_type} {encoding}",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _payload_type(stream: SenderStream | ReceiverStream) -> int:
    return _PAYLOAD_TYPES[stream.codec] if stream.payload_type is None else stream.payload_type
