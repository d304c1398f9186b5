"""Senders that are programs of somebody else's: fed with PCM on standard input, by our clock."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load.native_sender import stagger_seed
from screamlab.load.pacing import RATE_HZ, Pacer, Track, TrackEnded, ahead_of_others, grid
from screamlab.load.program import Client, Program
from screamlab.load.waveform import waveform
from screamlab.scenario.plan import SenderStream

_READY_S = 15.0
_PIPE_BYTES = 65536


@dataclass(frozen=True)
class Feed:
    """How a sender is run, and the 16-bit PCM it reads: `frames` at a time."""

    command: Sequence[str]
    frames: int
    big_endian: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def play(
    client: Client,
    streams: Sequence[SenderStream],
    feed: Callable[[SenderStream], Feed],
    context: WorkerContext,
) -> None:
    """Play every stream through a process of its own until the worker's end.

    A process that ends early is ``worker.failed`` with its last words; the others go on.
    """
    ahead_of_others()
    senders: list[_Sender] = []
    try:
        for stream in streams:
            senders.append(_Sender(client, stream, feed(stream), context))
        _wait_until_ready(senders, context)
        step = min((sender.feed.frames for sender in senders), default=1)
        windows = [(stream.from_s, stream.to_s) for stream in streams]
        samples = grid(windows, step, stagger_seed(context), context.now_s())
        tracks = [sender.track(*window) for sender, window in zip(senders, samples, strict=True)]
        Pacer(context, tracks).run()
        context.sleep_until(context.to_s)
    finally:
        for sender in senders:
            sender.program.end()


class _Sender:
    def __init__(
        self, client: Client, stream: SenderStream, feed: Feed, context: WorkerContext
    ) -> None:
        self.feed = feed
        self._stream = stream
        self._context = context
        self._subject = f"sender/{stream.name}"
        self._audio = waveform(
            stream.signal,
            channels=stream.channels,
            big_endian=feed.big_endian,
            packet_frames=feed.frames,
        )
        self._blocked = False
        self.program = Program(
            client,
            stream.name,
            feed.command,
            context,
            stdin=subprocess.PIPE,
            environment=feed.environment,
        )
        assert self.program.process.stdin is not None
        self._pipe = self.program.process.stdin
        os.set_blocking(self._pipe.fileno(), False)

    def track(self, first: int, end: int) -> Track:
        """This stream on the grid; writes its ``sender.start``."""
        self._context.spool.event(
            "sender.start",
            self._subject,
            first_s=round(first / RATE_HZ, 6),
            protocol=self._stream.protocol,
            codec=self._stream.codec,
        )
        return Track(self._stream.name, first, end, self.feed.frames, self._emit, self._end)

    def _emit(self, sample: int) -> int:
        try:
            written = os.write(self._pipe.fileno(), self._audio.packet(sample, self.feed.frames))
        except BlockingIOError:
            self._report_blocked()
            return 0
        except BrokenPipeError:
            raise TrackEnded(self.program.last_words()) from None
        self._blocked = False
        return written

    def _report_blocked(self) -> None:
        if not self._blocked:
            self._blocked = True
            held_ms = round(1000 * _PIPE_BYTES / (2 * self._stream.channels * RATE_HZ), 1)
            self._context.spool.event(
                "sender.overrun", self._subject, late_ms=held_ms, error="the program does not read"
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
        if all(sender.program.is_ready() for sender in senders):
            return
        if context.stopping.wait(0.05):
            return
