"""GStreamer pipelines as the lab uses them: what gst-launch-1.0 is told."""

from __future__ import annotations

import shutil
import subprocess

from screamlab.errors import InfraError
from screamlab.scenario.plan import ReceiverStream, SenderStream

LAUNCHER = "gst-launch-1.0"
L16_FRAMES = 288
OPUS_FRAMES = 960
"""20 ms, the frame ScreamRouter's own Opus uses."""

_OPUS_BITRATE = 128000
_PAYLOAD_TYPES = {"l16": 127, "opus": 111}


def sender_pipeline(stream: SenderStream) -> str:
    """The gst-launch description of a sender that reads its PCM from standard input."""
    payload_type = (
        _PAYLOAD_TYPES[stream.codec] if stream.payload_type is None else stream.payload_type
    )
    identity = f"pt={payload_type}" + ("" if stream.ssrc is None else f" ssrc={stream.ssrc}")
    frames, pcm = sender_format(stream)
    ptime_ns = frames * 1_000_000_000 // stream.rate_hz
    payloader = {
        "l16": f"rtpL16pay {identity} min-ptime={ptime_ns} max-ptime={ptime_ns}",
        "opus": f"audioconvert ! opusenc bitrate={_OPUS_BITRATE} frame-size=20"
        f" ! rtpopuspay {identity}",
    }[stream.codec]
    return (
        f"fdsrc fd=0 blocksize={frames * 2 * stream.channels}"
        f" ! rawaudioparse format=pcm pcm-format={pcm} sample-rate={stream.rate_hz}"
        f" num-channels={stream.channels} ! {payloader}"
        f" ! udpsink host={stream.remote.address} port={stream.remote.port}"
        f" bind-address={stream.local.address} bind-port={stream.local.port}"
        " sync=false async=false"
    )


def receiver_pipeline(stream: ReceiverStream, descriptor: int) -> str:
    """The gst-launch description of a receiver that writes its PCM to `descriptor`."""
    payload_type = (
        _PAYLOAD_TYPES[stream.codec] if stream.payload_type is None else stream.payload_type
    )
    caps = f"application/x-rtp,media=audio,clock-rate={stream.rate_hz},payload={payload_type}"
    if stream.codec == "opus":
        caps += ",encoding-name=OPUS"
        decoder = "rtpopusdepay ! opusdec plc=true"
    else:
        caps += (
            f",encoding-name=L16,encoding-params=(string){stream.channels}"
            f",channels={stream.channels}"
        )
        decoder = "rtpL16depay"
    return (
        f"udpsrc address={stream.local.address} port={stream.local.port} buffer-size=4194304"
        f" caps={caps} ! rtpjitterbuffer mode=none latency={round(stream.playout_ms)}"
        " do-lost=true"
        f" ! {decoder} ! audioconvert ! audioresample"
        f" ! audio/x-raw,format=S16LE,rate={stream.rate_hz},channels={stream.channels}"
        f" ! audiorate skip-to-first=true tolerance=1000000 ! fdsink fd={descriptor} sync=false"
    )


def sender_format(stream: SenderStream) -> tuple[int, str]:
    """Frames of one packet, and the PCM format that the pipeline reads."""
    return (OPUS_FRAMES, "s16le") if stream.codec == "opus" else (L16_FRAMES, "s16be")


def warm_up() -> None:
    """Have the plugin registry built once, not by all pipelines at the same time.

    Raises `InfraError` when GStreamer is not installed.
    """
    inspector = shutil.which("gst-inspect-1.0")
    if shutil.which(LAUNCHER) is None or inspector is None:
        raise InfraError(f"{LAUNCHER} is not installed on this host")
    subprocess.run(
        [inspector, "--exists", "udpsink"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
