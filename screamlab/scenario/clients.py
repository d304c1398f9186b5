"""The kinds of client there are: what each sends and hears, and which worker plays it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Client = Literal[
    "native", "gstreamer", "ffmpeg", "vlc", "sipp", "baresip", "chromium", "aiortc", "page"
]
# What a group of a scenario speaks: `sip` is a registered device whose calls carry RTP, `webrtc`
# a listener by WHEP, `mp3` a listener of the router's HTTP stream.
Speaks = Literal["scream", "rtp", "sip", "webrtc", "mp3"]
Format = tuple[Speaks, str]

L16: Format = ("rtp", "l16")
OPUS: Format = ("rtp", "opus")


@dataclass(frozen=True)
class Kind:
    """What one client can send and hear as (protocol, codec), and the agent's workers for it."""

    sends: frozenset[Format] = frozenset()
    hears: frozenset[Format] = frozenset()
    sender: str = ""
    receiver: str = ""

    @property
    def calls(self) -> bool:
        """Whether it is a SIP device, which sends nothing without being in a call."""
        return any(protocol == "sip" for protocol, _ in self.sends)


KINDS: dict[Client, Kind] = {
    "native": Kind(
        sends=frozenset({("scream", "l16"), L16}),
        hears=frozenset({("scream", "l16"), L16}),
        sender="native_sender",
        receiver="native_receiver",
    ),
    "gstreamer": Kind(
        sends=frozenset({L16, OPUS}),
        hears=frozenset({L16, OPUS}),
        sender="gst_sender",
        receiver="gst_receiver",
    ),
    "ffmpeg": Kind(
        sends=frozenset({L16, OPUS}),
        hears=frozenset({L16, OPUS, ("mp3", "mp3")}),
        sender="ffmpeg_sender",
        receiver="ffmpeg_receiver",
    ),
    "vlc": Kind(
        sends=frozenset({OPUS}),
        hears=frozenset({("mp3", "mp3")}),
        sender="vlc_sender",
        receiver="vlc_receiver",
    ),
    "sipp": Kind(sends=frozenset({("sip", "l16"), ("sip", "opus")}), sender="sipp_devices"),
    "baresip": Kind(sends=frozenset({("sip", "l16"), ("sip", "opus")}), sender="baresip_devices"),
    "chromium": Kind(hears=frozenset({("webrtc", "opus")}), receiver="chromium_receiver"),
    "aiortc": Kind(hears=frozenset({("webrtc", "opus")}), receiver="aiortc_receiver"),
    "page": Kind(hears=frozenset({("webrtc", "opus")}), receiver="web_page"),
}

# Listeners that ask the router for a sink's sound, where others are sent it.
ASKING = frozenset({"webrtc", "mp3"})


def players() -> dict[str, tuple[Client, Literal["sender", "receiver"]]]:
    """Of every kind of worker that plays or hears a stream: the client, and which of the two."""
    found: dict[str, tuple[Client, Literal["sender", "receiver"]]] = {}
    for client, kind in KINDS.items():
        if kind.sender:
            found[kind.sender] = (client, "sender")
        if kind.receiver:
            found[kind.receiver] = (client, "receiver")
    return found
