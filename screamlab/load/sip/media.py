"""The audio of SIP calls: begins when a call is answered, where its answer says, and ends with it.

One process of its own plays all calls of a worker on time. What the worker learns from its calls
it tells that process through shared memory, which the process looks at before every packet.
"""

from __future__ import annotations

import ipaddress
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray
from typing import Protocol

from screamlab.agent.context import WorkerContext
from screamlab.load.native_sender import stagger_seed
from screamlab.load.pacing import Pacer, Track, TrackEnded, grid
from screamlab.scenario.plan import Endpoint, SenderStream

_FORK = multiprocessing.get_context("fork")
_WAITING, _PLAYING, _OVER = range(3)
_END_S = 3.0


class Outlet(Protocol):
    """What sends a stream's packets, of `frames` frames each, from the process that plays."""

    frames: int

    def aim(self, remote: Endpoint, payload_type: int) -> None:
        """Where the answer says that packets shall go, and what they shall be marked as."""

    def track(self, first: int, end: int) -> Track:
        """The stream from its first sample on; writes ``sender.start``."""


class Gate:
    """One call as the playing process sees it."""

    def __init__(self) -> None:
        self._words = RawArray("I", 4)

    def open(self, remote: Endpoint, payload_type: int) -> None:
        """The call is answered: play to `remote`."""
        self._words[1] = int(ipaddress.IPv4Address(remote.address))
        self._words[2] = remote.port
        self._words[3] = payload_type
        self._words[0] = _PLAYING

    def close(self) -> None:
        """The call is over."""
        self._words[0] = _OVER

    @property
    def state(self) -> int:
        """Waiting, playing or over."""
        return self._words[0]

    @property
    def answer(self) -> tuple[Endpoint, int]:
        """Where to play to and as which payload type, once it is open."""
        address = str(ipaddress.IPv4Address(self._words[1]))
        return Endpoint(address=address, port=self._words[2]), self._words[3]


class CallMedia:
    """Plays the streams of calls from `start` on, each as soon and as long as its call stands."""

    def __init__(
        self, streams: Sequence[SenderStream], outlets: Mapping[str, Outlet], context: WorkerContext
    ) -> None:
        """`outlets` by name of stream; `streams` without one are left out."""
        self._streams = [stream for stream in streams if stream.name in outlets]
        self._outlets = outlets
        self._context = context
        self._gates = {stream.name: Gate() for stream in self._streams}
        self._process: ForkProcess | None = None

    def start(self, *, keep_out: Sequence[int] = ()) -> None:
        """Fork the process that plays; it closes the descriptors `keep_out`."""
        if self._streams:
            self._process = _FORK.Process(target=self._play, args=(keep_out,), name="call-media")
            self._process.start()

    def answered(self, name: str, remote: Endpoint, payload_type: int) -> None:
        """The call of this stream stands."""
        if name in self._gates:
            self._gates[name].open(remote, payload_type)

    def over(self, name: str) -> None:
        """The call of this stream is over."""
        if name in self._gates:
            self._gates[name].close()

    def end(self) -> None:
        """End the process; what plays ends too."""
        if self._process is None:
            return
        for gate in self._gates.values():
            gate.close()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _play(self, keep_out: Sequence[int]) -> None:
        for descriptor in keep_out:
            os.close(descriptor)
        parts = [
            _Part(stream, self._outlets[stream.name], self._gates[stream.name])
            for stream in self._streams
        ]
        step = min(part.frames for part in parts)
        windows = [(stream.from_s, stream.to_s) for stream in self._streams]
        samples = grid(windows, step, stagger_seed(self._context), self._context.now_s())
        tracks = [part.track(*window) for part, window in zip(parts, samples, strict=True)]
        Pacer(self._context, tracks).run()


class _Part:
    """A stream on the grid that is silent until its call is answered."""

    def __init__(self, stream: SenderStream, outlet: Outlet, gate: Gate) -> None:
        self._stream = stream
        self._outlet = outlet
        self._gate = gate
        self.frames = outlet.frames
        self._playing: Track | None = None
        self._end = 0

    def track(self, first: int, end: int) -> Track:
        self._end = end
        return Track(self._stream.name, first, end, self.frames, self._emit, self._ended)

    def _emit(self, sample: int) -> int:
        state = self._gate.state
        if state == _OVER:
            raise TrackEnded("the call is over")
        if state == _WAITING:
            return 0
        if self._playing is None:
            self._outlet.aim(*self._gate.answer)
            self._playing = self._outlet.track(sample, self._end)
        return self._playing.emit(sample)

    def _ended(self, reason: str | None) -> None:
        if self._playing is not None:
            self._playing.end_of_track(reason)
