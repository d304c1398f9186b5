"""GStreamer as an independent client: one ``gst-launch-1.0`` process per stream.

A sender gets its PCM on standard input, paced by our own clock, and does payloading, encoding and
sending itself. A receiver does receiving, jitter buffer and decoding itself and hands its PCM to
us over a pipe. What a process says goes to ``gst-<stream>.log`` in the run's spool folder.
"""

from __future__ import annotations

from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.load.external_receiver import Tap, listen
from screamlab.load.external_sender import Feed, play
from screamlab.load.gst_pipeline import (
    L16_FRAMES,
    LAUNCHER,
    OPUS_FRAMES,
    receiver_pipeline,
    sender_format,
    sender_pipeline,
    warm_up,
)
from screamlab.load.program import Client
from screamlab.scenario.plan import ReceiverStream, SenderStream

_RTP = frozenset({("rtp", "l16"), ("rtp", "opus")})
CLIENT = Client("GStreamer", LAUNCHER, "gst", ready=b"to PLAYING", sends=_RTP, hears=_RTP)


def run_senders(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every stream of ``spec["streams"]`` through a pipeline of its own.

    Raises `BadInput` for a stream GStreamer is not asked to play, `InfraError` when it is not
    installed. A pipeline that ends early is ``worker.failed`` with its last words; the others go
    on.
    """
    streams = [SenderStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    warm_up()
    play(CLIENT, streams, _feed, context)


def run_receivers(spec: dict[str, Any], context: WorkerContext) -> None:
    """Listen to every stream of ``spec["streams"]`` through a pipeline of its own.

    Errors as `run_senders`.
    """
    streams = [ReceiverStream.model_validate(item) for item in spec["streams"]]
    CLIENT.check(streams)
    warm_up()
    listen(CLIENT, streams, _tap, context)


def _feed(stream: SenderStream) -> Feed:
    frames, pcm = sender_format(stream)
    command = [LAUNCHER, *sender_pipeline(stream).split()]
    return Feed(command, frames, big_endian=pcm == "s16be")


def _tap(stream: ReceiverStream, descriptor: int) -> Tap:
    command = [LAUNCHER, *receiver_pipeline(stream, descriptor).split()]
    return Tap(command, OPUS_FRAMES if stream.codec == "opus" else L16_FRAMES)
