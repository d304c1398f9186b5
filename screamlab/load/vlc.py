"""VLC as an independent client: an RTP Opus sender that announces itself, and an MP3 listener.

One ``vlc`` process per stream; what it says goes to ``vlc-<stream>.log``. It refuses root, so as
root it is run as another user: a sender as one of its own, whose packets leave from the stream's
address, since it cannot be told one. Nor can its SSRC and its payload type, always 96, be chosen.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.load import mp3
from screamlab.load.external_receiver import Tap, listen
from screamlab.load.external_sender import Feed, play
from screamlab.load.own_source import own_source, uid_of
from screamlab.load.program import Client
from screamlab.scenario.plan import NULL_PREFIX, ReceiverStream, SenderStream

CLIENT = Client(
    name="VLC",
    executable="vlc",
    log="vlc",
    ready=b"using the dummy interface module",
    sends=frozenset({("rtp", "opus")}),
    hears=frozenset({("mp3", "mp3")}),
)
PAYLOAD_TYPE = 96
"""Of everything it sends: modules/stream_out/rtp.c numbers its streams from here."""

_FEED_FRAMES = 480
_NOBODY = 65534
_VLC = ("vlc", "-v", "-I", "dummy", "--no-dbus", "--ignore-config")
_NOWHERE = "/nonexistent"


def run_senders(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every stream of ``spec["streams"]`` through a VLC of its own.

    Raises `BadInput` for a stream it cannot play, `InfraError` when it is not installed. One that
    ends early is ``worker.failed`` with its last words; the others go on.
    """
    streams = [SenderStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    for stream in streams:
        if stream.payload_type not in (None, PAYLOAD_TYPE):
            raise BadInput(f"stream {stream.name}: VLC sends payload type {PAYLOAD_TYPE} only")
    with contextlib.ExitStack() as stack:
        for stream in streams:
            stack.enter_context(own_source(stream))
        play(CLIENT, streams, _feed, context)


def run_receivers(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` at the router ``spec["router"]`` through a VLC
    of its own. Errors as `run_senders`, and a `RouterError` when the router does not answer.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    router = mp3.Streams(spec["router"])

    with _home(mp3.known_host(spec["router"])) as home:

        def tap(stream: ReceiverStream, descriptor: int) -> Tap:
            os.fchown(descriptor, *_user(_NOBODY))
            command = receiver_command(router.url(stream), descriptor)
            command = [*_as_user(_NOBODY), *command]
            return Tap(command, mp3.FRAMES, gapless=False, environment=_environment(home))

        listen(CLIENT, streams, tap, context)


def _feed(stream: SenderStream) -> Feed:
    command = [*_as_user(uid_of(stream)), *sender_command(stream)]
    return Feed(command, _FEED_FRAMES, environment=_environment(_NOWHERE))


def sender_command(stream: SenderStream) -> list[str]:
    """The command line of a sender that reads little-endian PCM from standard input.

    It announces itself by SAP, except to a listener of ours.
    """
    announced = "" if stream.name.startswith(NULL_PREFIX) else f",sap,name={stream.name}"
    encoder = f"transcode{{acodec=opus,ab=128,channels={stream.channels},samplerate=48000}}"
    sender = f"rtp{{dst={stream.remote.address},port={stream.remote.port}{announced}}}"
    return [
        *_VLC,
        *("--demux", "rawaud", "--rawaud-fourcc", "s16l"),
        *("--rawaud-channels", str(stream.channels), "--rawaud-samplerate", str(stream.rate_hz)),
        *(f"--sout=#{encoder}:{sender}", "fd://0", "vlc://quit"),
    ]


def receiver_command(url: str, descriptor: int) -> list[str]:
    """The command line of a listener that writes little-endian PCM to `descriptor`."""
    return [
        *_VLC,
        *("--aout", "afile", "--audiofile-file", f"/dev/fd/{descriptor}", "--no-audiofile-wav"),
        *("--audiofile-format", "s16", "--audiofile-channels", "2", url, "vlc://quit"),
    ]


def source_tag(stream: SenderStream) -> str:
    """What the router calls the source that this sender announces."""
    return f"rtp:{stream.name}#{stream.remote.address}.{stream.remote.port}"


@contextlib.contextmanager
def _home(known_hosts: str) -> Iterator[str]:
    """A home folder that any user can read, from where GnuTLS takes the keys that it trusts."""
    with tempfile.TemporaryDirectory(prefix="screamlab-vlc-") as home:
        Path(home).chmod(0o755)
        keys = Path(home, ".gnutls")
        keys.mkdir()
        (keys / "known_hosts").write_text(known_hosts)
        yield home


def _environment(home: str) -> dict[str, str]:
    return {"HOME": home, "XDG_RUNTIME_DIR": _NOWHERE}


def _as_user(uid: int) -> list[str]:
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def _user(uid: int) -> tuple[int, int]:
    return (-1, -1) if os.geteuid() else (uid, uid)
