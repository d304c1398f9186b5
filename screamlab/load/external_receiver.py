"""Receivers that are programs of somebody else's: they hand us their PCM over a pipe."""

from __future__ import annotations

import fcntl
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from screamlab.agent.context import WorkerContext
from screamlab.errors import ScreamlabError
from screamlab.load.frame_clock import BEHIND_S, FrameClock
from screamlab.load.listening import Listener
from screamlab.load.pacing import ahead_of_others
from screamlab.load.program import Client, Program
from screamlab.scenario.plan import ReceiverStream

_LOOK_S = 0.02
_OVERRUN_MS = 1000.0
_PIPE_BYTES = 1 << 20
# What a program has not handed over yet at the end of its window was held up, not missing.
_HELD_S = 2 * BEHIND_S


@dataclass(frozen=True)
class Tap:
    """How a receiver is run, how many frames of PCM it decodes at a time, and whether it is
    `gapless`: it fills what is lost, as a jitter buffer does."""

    command: Sequence[str]
    frames: int
    gapless: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)


def listen(
    client: Client,
    streams: Sequence[ReceiverStream],
    tap: Callable[[ReceiverStream, int], Tap],
    context: WorkerContext,
) -> None:
    """Listen to every stream through a process of its own until the worker's end.

    `tap` is given the stream and the descriptor that takes 16-bit little-endian PCM; what it
    raises, or a process that ends early, is ``worker.failed`` of that stream; the others go on.
    """
    ahead_of_others()
    receivers: dict[int, _Receiver] = {}
    try:
        for stream in streams:
            if receiver := _open(client, stream, tap, context):
                receivers[receiver.descriptor] = receiver
        _listen(receivers, context)
        context.sleep_until(context.to_s)
    finally:
        for receiver in receivers.values():
            receiver.program.end()


def _open(
    client: Client,
    stream: ReceiverStream,
    tap: Callable[[ReceiverStream, int], Tap],
    context: WorkerContext,
) -> _Receiver | None:
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(theirs, fcntl.F_SETFL, 0)
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        told = tap(stream, theirs)
        program = Program(
            client,
            stream.name,
            told.command,
            context,
            keep=(theirs,),
            environment=told.environment,
        )
    except ScreamlabError as error:
        os.close(ours)
        context.spool.event("worker.failed", f"receiver/{stream.name}", error=str(error))
        return None
    finally:
        os.close(theirs)
    clock = FrameClock(told.frames, gapless=told.gapless)
    return _Receiver(stream, program, clock, ours, context)


class _Receiver:
    def __init__(
        self,
        stream: ReceiverStream,
        program: Program,
        clock: FrameClock,
        descriptor: int,
        context: WorkerContext,
    ) -> None:
        self.program = program
        self.descriptor = descriptor
        self.listener = Listener(stream, context)
        self._context = context
        self._subject = f"receiver/{stream.name}"
        self._frame_bytes = 2 * stream.channels
        self._clock = clock
        self._bytes = 0
        self._rest = b""
        context.spool.event("receiver.start", self._subject, from_s=stream.from_s)

    def read(self) -> bool:
        """Take what the program has decoded; False when it has ended."""
        try:
            pcm = os.read(self.descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return True
        arrival = time.time()
        if not pcm:
            return False
        if self.listener.begin <= arrival <= self.listener.end:
            self._bytes += len(pcm)
            self._hear(self._rest + pcm, arrival)
        return True

    def _hear(self, pcm: bytes, arrival: float) -> None:
        whole = len(pcm) // self._frame_bytes * self._frame_bytes
        self._rest = pcm[whole:]
        if not whole:
            return
        first = self._clock.advance(whole // self._frame_bytes, arrival)
        if self._clock.set_by_s:
            by_ms = round(self._clock.set_by_s * 1000, 3)
            self.listener.notice("rebuffer", {"by_ms": by_ms})
        self.listener.arrived(arrival)
        self.listener.hear(pcm[:whole], first)

    def values(self) -> dict[str, float]:
        return {"bytes": self._bytes}

    def close(self, *, failed: bool) -> None:
        """Stop listening; `failed` when the program ended before its time."""
        if failed:
            self.program.end()
            error = self.program.last_words()
            self._context.spool.event("worker.failed", self._subject, error=error)
        now = min(time.time(), self.listener.end)
        held = 0.0 < now - self._clock.until < _HELD_S
        self.listener.close(self._clock.until if held else now, self.values())
        os.close(self.descriptor)
        self.program.end()


def _listen(receivers: dict[int, _Receiver], context: WorkerContext) -> None:
    remaining = dict(receivers)
    epoll = select.epoll()
    for descriptor in remaining:
        epoll.register(descriptor, select.EPOLLIN)

    def done(descriptor: int, *, failed: bool) -> None:
        epoll.unregister(descriptor)
        remaining.pop(descriptor).close(failed=failed)

    looked = time.monotonic()
    while remaining and not context.stopping.is_set():
        ready = epoll.poll(_LOOK_S)
        late_ms = (time.monotonic() - looked - _LOOK_S) * 1000
        looked = time.monotonic()
        if late_ms > _OVERRUN_MS:
            context.spool.event("receiver.overrun", context.name, late_ms=round(late_ms, 3))
        for descriptor, _event in ready:
            if not remaining[descriptor].read():
                done(descriptor, failed=True)
        now = time.time()
        for descriptor, receiver in list(remaining.items()):
            if now >= receiver.listener.end:
                done(descriptor, failed=False)
            elif now >= receiver.listener.begin:
                receiver.listener.attend(now, receiver.values)
    for descriptor in list(remaining):
        done(descriptor, failed=False)
