"""GStreamer as an independent client: one ``gst-launch-1.0`` process per stream.

A sender gets its PCM on standard input, paced by our own clock, and does payloading, encoding and
sending itself. A receiver does receiving, jitter buffer and decoding itself and hands its PCM to
us over a pipe. What a process says goes to ``gst-<stream>.log`` in the run's spool folder.
"""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.load.gst_pipeline import (
    L16_FRAMES,
    OPUS_FRAMES,
    Pipeline,
    receiver_pipeline,
    sender_format,
    sender_pipeline,
    warm_up,
)
from screamlab.load.listening import Listener
from screamlab.load.native_sender import stagger_seed
from screamlab.load.pacing import RATE_HZ, Pacer, Track, TrackEnded, ahead_of_others, grid
from screamlab.load.playout import FastestTransit
from screamlab.load.waveform import waveform
from screamlab.scenario.plan import ReceiverStream, SenderStream

_READY_S = 15.0
_LOOK_S = 0.02
_OVERRUN_MS = 1000.0
_PIPE_BYTES = 65536


def run_senders(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every stream of ``spec["streams"]`` through a pipeline of its own.

    Raises `BadInput` for a stream GStreamer is not asked to play, `InfraError` when it is not
    installed. A pipeline that ends early is ``worker.failed`` with its last words; the others go
    on.
    """
    streams = [SenderStream.model_validate(item) for item in spec["streams"]]
    _check(streams)
    warm_up()
    ahead_of_others()
    senders = [_Sender(stream, context) for stream in streams]
    try:
        _wait_until_ready(senders, context)
        windows = [(stream.from_s, stream.to_s) for stream in streams]
        samples = grid(windows, L16_FRAMES, stagger_seed(context), context.now_s())
        tracks = [sender.track(*window) for sender, window in zip(senders, samples, strict=True)]
        Pacer(context, tracks).run()
        context.sleep_until(context.to_s)
    finally:
        for sender in senders:
            sender.pipeline.end()


def run_receivers(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` through a pipeline of its own.

    Errors as `run_senders`.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    _check(streams)
    warm_up()
    ahead_of_others()
    receivers = {}
    try:
        for stream in streams:
            receiver = _Receiver(stream, context)
            receivers[receiver.descriptor] = receiver
        _listen(receivers, context)
        context.sleep_until(context.to_s)
    finally:
        for receiver in receivers.values():
            receiver.pipeline.end()


def _check(streams: Sequence[SenderStream | ReceiverStream]) -> None:
    for stream in streams:
        if stream.protocol != "rtp":
            raise BadInput(f"stream {stream.name}: GStreamer does not speak {stream.protocol}")
        if stream.rate_hz != RATE_HZ:
            raise BadInput(f"stream {stream.name}: GStreamer streams run at {RATE_HZ} Hz only")


class _Sender:
    def __init__(self, stream: SenderStream, context: WorkerContext) -> None:
        self._stream = stream
        self._context = context
        self._subject = f"sender/{stream.name}"
        self._frames, pcm = sender_format(stream)
        self._audio = waveform(
            stream.signal,
            channels=stream.channels,
            big_endian=pcm == "s16be",
            packet_frames=self._frames,
        )
        self._blocked = False
        self.pipeline = Pipeline(
            stream.name, sender_pipeline(stream), context, stdin=subprocess.PIPE
        )
        assert self.pipeline.process.stdin is not None
        self._pipe = self.pipeline.process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    def track(self, first: int, end: int) -> Track:
        """This stream on the grid; writes its ``sender.start``."""
        self._context.spool.event(
            "sender.start",
            self._subject,
            first_s=round(first / RATE_HZ, 6),
            protocol="rtp",
            codec=self._stream.codec,
        )
        return Track(self._stream.name, first, end, self._frames, self._emit, self._end)

    def _emit(self, sample: int) -> int:
        try:
            written = os.write(self._pipe.fileno(), self._audio.packet(sample, self._frames))
        except BlockingIOError:
            self._report_blocked()
            return 0
        except BrokenPipeError:
            raise TrackEnded(self.pipeline.last_words()) from None
        self._blocked = False
        return written

    def _report_blocked(self) -> None:
        if not self._blocked:
            self._blocked = True
            held_ms = round(1000 * _PIPE_BYTES / (2 * self._stream.channels * RATE_HZ), 1)
            self._context.spool.event(
                "sender.overrun", self._subject, late_ms=held_ms, error="the pipeline does not read"
            )

    def _end(self, reason: str | None) -> None:
        self._pipe.close()
        if reason is not None:
            self._context.spool.event("worker.failed", self._subject, error=reason)
        fields: dict[str, Any] = {} if reason is None else {"error": reason}
        self._context.spool.event("sender.end", self._subject, **fields)


def _wait_until_ready(senders: Sequence[_Sender], context: WorkerContext) -> None:
    give_up = time.monotonic() + _READY_S
    while time.monotonic() < give_up:
        if all(sender.pipeline.is_playing() for sender in senders):
            return
        if context.stopping.wait(0.05):
            return


class _Receiver:
    def __init__(self, stream: ReceiverStream, context: WorkerContext) -> None:
        self.listener = Listener(stream, context)
        self._context = context
        self._subject = f"receiver/{stream.name}"
        self._frame_bytes = 2 * stream.channels
        self._packet_frames = OPUS_FRAMES if stream.codec == "opus" else L16_FRAMES
        self._fastest = FastestTransit()
        self._frames = 0
        self._bytes = 0
        self._rest = b""
        self.descriptor, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.fcntl(theirs, fcntl.F_SETFL, 0)
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 1 << 20)
        description = receiver_pipeline(stream, theirs)
        self.pipeline = Pipeline(
            stream.name, description, context, stdin=subprocess.DEVNULL, keep=(theirs,)
        )
        os.close(theirs)
        context.spool.event("receiver.start", self._subject, from_s=stream.from_s)

    def read(self) -> bool:
        """Take what the pipeline has decoded; False when it has ended."""
        try:
            pcm = os.read(self.descriptor, 1 << 20)
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
        """Pass on whole frames, each at the time it would have had without holding up.

        The pipeline fills gaps, so its frames are an unbroken clock; what it holds back while it
        waits for a lost packet comes in one go.
        """
        whole = len(pcm) // self._frame_bytes * self._frame_bytes
        self._rest = pcm[whole:]
        newest = self._frames + whole // self._frame_bytes - self._packet_frames
        self._fastest.add(arrival - newest / RATE_HZ, arrival)
        self.listener.arrived(arrival)
        self.listener.hear(pcm[:whole], self._fastest.transit + self._frames / RATE_HZ)
        self._frames = newest + self._packet_frames

    def values(self) -> dict[str, float]:
        return {"bytes": self._bytes}

    def close(self, *, failed: bool) -> None:
        """Stop listening; `failed` when the pipeline ended before its time."""
        if failed:
            self.pipeline.end()
            error = self.pipeline.last_words()
            self._context.spool.event("worker.failed", self._subject, error=error)
        self.listener.close(min(time.time(), self.listener.end), self.values())
        os.close(self.descriptor)
        self.pipeline.end()


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
