"""One baresip process: its configuration, its control connection and what it says.

baresip 1.0 has no sound card here: its sound comes out of a named pipe, through ALSA's ``file``
plug-in, so that every piece leaves when it is written. It is spoken to by ``ctrl_tcp``: JSON in
netstrings, commands one way and events the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.load.own_source import own_source, uid_of
from screamlab.load.sip.model import SipDevice

EXECUTABLE = "baresip"
FRAMES = {"l16": 192, "opus": 960}
"""Frames that it reads at a time: 4 ms of L16, which fit a packet, and 20 ms of Opus."""

_CODECS = {"l16": "L16/48000/2", "opus": "opus/48000/2"}
_NOBODY = 65534
_END_S = 2.0
_FOLDERS = ("/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules")
_ALSA = """\
pcm.feed {{
  type file
  slave.pcm {{ type null }}
  file "/dev/null"
  infile "{pipe}"
  format "raw"
}}
"""
_CONFIG = """\
sip_listen {address}:5060
call_max_calls 1
audio_source alsa,feed
audio_player aubridge,none
audio_alert aubridge,none
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
audio_txmode poll
rtcp_enable no
jitter_buffer_type off
statmode_default off
opus_stereo yes
opus_sprop_stereo yes
opus_bitrate 128000
module_path {modules}
module alsa.so
module aubridge.so
module l16.so
module opus.so
module ctrl_tcp.so
module_app account.so
module_app menu.so
module_tmp uuid.so
ctrl_tcp_listen 127.0.0.1:{port}
"""


@dataclass(frozen=True)
class Event:
    """Something that baresip tells: the type of event, and what it says about it."""

    type: str
    param: str


class Netstrings:
    """Takes events out of the byte stream of a control connection."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[Event]:
        """Events that are complete now; answers to commands are not among them."""
        self._bytes += data
        return [
            Event(str(message["type"]), str(message.get("param", "")))
            for message in self._messages()
            if message.get("event")
        ]

    def _messages(self) -> Iterator[dict[str, object]]:
        while (colon := self._bytes.find(b":")) > 0:
            size = int(self._bytes[:colon])
            end = colon + 1 + size
            if len(self._bytes) <= end:
                return
            yield json.loads(self._bytes[colon + 1 : end])
            self._bytes = self._bytes[end + 1 :]


def encode_command(name: str, params: str = "") -> bytes:
    """A command as baresip reads it."""
    text = json.dumps({"command": name, "params": params, "token": name}).encode()
    return b"%d:%s," % (len(text), text)


def account(device: SipDevice) -> str:
    """The account line of a device."""
    registrar = f"{device.registrar.address}:{device.registrar.port}"
    words = [
        f"<sip:{device.user}@{device.domain}>",
        f"auth_user={device.user}",
        f"auth_pass={device.password}",
        f'outbound="sip:{registrar}"',
        f"regint={max(1, round(device.refresh_s))}",
        "mediaenc=",
    ]
    if device.media:
        words.append(f"audio_codecs={_CODECS[device.media.codec]}")
    return ";".join(words)


class Baresip:
    """A baresip with one device's address, and its control connection.

    Its sound is written to `feed`. Raises `InfraError` when it cannot have its address.
    """

    def __init__(self, device: SipDevice, directory: Path) -> None:
        self._uid = uid_of(device.media) if device.media else _NOBODY
        self._undo = contextlib.ExitStack()
        if device.media:
            # It binds its RTP to no address.
            self._undo.enter_context(own_source(device.media))
        self._folder = tempfile.TemporaryDirectory(prefix="screamlab-baresip-")
        folder = Path(self._folder.name)
        self._port = _free_port()
        self.feed = _write_folder(folder, device.address, self._port, self._uid)
        self.log = directory / f"baresip-{device.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._netstrings = Netstrings()

    def start(self) -> None:
        """Run it."""
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    "setpriv",
                    f"--reuid={self._uid}",
                    f"--regid={_NOBODY}",
                    "--clear-groups",
                    EXECUTABLE,
                    "-f",
                    self._folder.name,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "HOME": self._folder.name,
                    "ALSA_CONFIG_PATH": f"{self._folder.name}/alsa.conf",
                },
            )

    def has_ended(self) -> bool:
        """Whether it ran and runs no more."""
        return self._process is not None and self._process.poll() is not None

    def connect(self) -> bool:
        """Whether the control connection stands; tries once."""
        if self._connection is None:
            with contextlib.suppress(OSError):
                self._connection = socket.create_connection(("127.0.0.1", self._port), 0.2)
                self._connection.setblocking(False)
        return self._connection is not None

    def command(self, name: str, params: str = "") -> None:
        """Have it do something; what comes of it is told by events."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.sendall(encode_command(name, params))

    def events(self) -> list[Event]:
        """What happened since the last look."""
        events: list[Event] = []
        while self._connection is not None:
            try:
                data = self._connection.recv(1 << 16)
            except (BlockingIOError, ConnectionError):
                break
            if not data:
                break
            events += self._netstrings.feed(data)
        return events

    def last_words(self) -> str:
        """Why it ended, on one line."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self._process else []
        code = self._process.poll() if self._process else None
        return f"{EXECUTABLE} ended with code {code}" + (f": {lines[-1][-300:]}" if lines else "")

    def end(self) -> None:
        """End it by force where it has not ended in order, and leave the host as it was."""
        if process := self._process:
            for ask in (process.terminate, process.kill):
                if process.poll() is None:
                    ask()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_END_S)
        if self._connection is not None:
            self._connection.close()
        self._undo.close()
        self._folder.cleanup()


def require() -> None:
    """`InfraError` when the host has no baresip, or nothing to give it an address of its own."""
    for program in (EXECUTABLE, "setpriv"):
        if shutil.which(program) is None:
            raise InfraError(f"{program} is not installed on this host")


def _write_folder(folder: Path, address: str, port: int, uid: int) -> int:
    """Fill baresip's folder, which is `uid`'s; returns the pipe's descriptor for writing."""
    pipe = folder / "feed"
    os.mkfifo(pipe, 0o600)
    modules = next((place for place in _FOLDERS if Path(place).is_dir()), _FOLDERS[0])
    config = _CONFIG.format(address=address, port=port, modules=modules)
    (folder / "config").write_text(config)
    (folder / "alsa.conf").write_text(_ALSA.format(pipe=pipe))
    (folder / "accounts").touch()
    (folder / "contacts").touch()
    for path in (folder, *folder.iterdir()):
        os.chown(path, uid, _NOBODY)
    # Open both ways, so that neither side waits for the other to come or go.
    return os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port
