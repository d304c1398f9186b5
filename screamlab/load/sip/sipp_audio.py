"""The audio of the calls that sipp makes: L16 by the native sender, Opus by GStreamer."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from screamlab.agent.context import WorkerContext
from screamlab.load.gst_pipeline import LAUNCHER, OPUS_FRAMES, sender_pipeline, warm_up
from screamlab.load.gstreamer import CLIENT
from screamlab.load.native_sender import Sender
from screamlab.load.program import Program
from screamlab.load.sip.media import CallMedia, Outlet
from screamlab.load.sip.model import SipDevice
from screamlab.load.sip.pcm_pipe import PcmPipe
from screamlab.load.sip.report import Reporter
from screamlab.scenario.plan import Endpoint, SenderStream

_HELD_FRAMES = 5 * OPUS_FRAMES


class SippAudio:
    """Knows the ports that offers name, and plays what is answered."""

    def __init__(
        self, devices: Sequence[SipDevice], context: WorkerContext, reporter: Reporter
    ) -> None:
        self.ports: dict[str, int] = {}
        self._context = context
        self._reporter = reporter
        self._streams = {device.name: device.media for device in devices if device.media}
        self._outlets: dict[str, Outlet] = {}
        self._inlets: dict[str, int] = {}
        self._preparing: dict[str, tuple[Program, Endpoint, int]] = {}
        self._programs: list[Program] = []
        if any(stream.codec == "opus" for stream in self._streams.values()):
            warm_up()
        for name, stream in self._streams.items():
            self._prepare(name, stream)
        streams = [self._streams[name] for name in self._outlets]
        outlets = {self._streams[name].name: outlet for name, outlet in self._outlets.items()}
        self._media = CallMedia(streams, outlets, context)

    def usable(self, devices: Sequence[SipDevice]) -> list[SipDevice]:
        """Without those whose audio has no port to come from; they have been told of."""
        return [device for device in devices if device.media is None or device.name in self.ports]

    def start(self) -> None:
        """Be ready to play."""
        self._media.start(keep_out=list(self._inlets.values()))

    def answered(self, name: str, remote: Endpoint, payload_type: int) -> None:
        """A device's call was answered: play to `remote` as soon as that is possible."""
        stream = self._streams[name]
        if stream.codec == "l16":
            self._media.answered(stream.name, remote, payload_type)
            return
        local = Endpoint(address=stream.local.address, port=self.ports[name])
        changes = {"local": local, "remote": remote, "payload_type": payload_type}
        command = [LAUNCHER, *sender_pipeline(stream.model_copy(update=changes)).split()]
        inlet = self._inlets.pop(name)
        program = Program(CLIENT, name, command, self._context, stdin=inlet)
        os.close(inlet)
        self._programs.append(program)
        self._preparing[name] = (program, remote, payload_type)

    def look(self) -> None:
        """See which pipelines have come to play."""
        for name, (program, remote, payload_type) in list(self._preparing.items()):
            if program.is_ready():
                del self._preparing[name]
                self._media.answered(self._streams[name].name, remote, payload_type)

    def over(self, name: str) -> None:
        """A device's call has ended, or will never be."""
        if name in self._streams:
            self._media.over(self._streams[name].name)

    def end(self) -> None:
        """End all audio."""
        self._media.end()
        for program in self._programs:
            program.end()
        for inlet in self._inlets.values():
            os.close(inlet)

    def _prepare(self, name: str, stream: SenderStream) -> None:
        try:
            if stream.codec == "l16":
                sender = Sender(stream, self._context)
                self._outlets[name], self.ports[name] = sender, sender.port
                return
            self.ports[name] = _free_port(stream.local)
        except OSError as error:
            text = f"cannot send from {stream.local.address}:{stream.local.port}: {error.strerror}"
            self._reporter.failed(name, text, text)
            return
        self._inlets[name], outlet = os.pipe2(os.O_CLOEXEC)
        self._outlets[name] = PcmPipe(
            stream, self._context, outlet, OPUS_FRAMES, held_frames=_HELD_FRAMES
        )


def _free_port(local: Endpoint) -> int:
    """The port asked for, or an even one that nobody has (RFC 3550 section 11)."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((local.address, local.port))
            port: int = trial.getsockname()[1]
        if local.port or port % 2 == 0:
            return port
