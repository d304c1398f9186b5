"""What a worker does with its listeners, whatever they listen with."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, ScreamlabError
from screamlab.load.webrtc.ear import Ear
from screamlab.load.webrtc.session import PREPARE_S, ClientGone, Session
from screamlab.router.client import RouterError
from screamlab.router.topology import PREFIX
from screamlab.scenario.plan import ReceiverStream

LOOK_S = 0.1
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 8.0
_RATE_HZ = 48000

E = TypeVar("E", bound=Ear)


def check(streams: Sequence[ReceiverStream], client: str) -> None:
    """`BadInput` for the first stream that a listener by WebRTC cannot hear."""
    for stream in streams:
        if (stream.protocol, stream.codec) != ("webrtc", "opus"):
            what = f"{stream.codec} over {stream.protocol}"
            raise BadInput(f"stream {stream.name}: {client} hears Opus over WebRTC, not {what}")
        if stream.sink is None:
            raise BadInput(f"stream {stream.name}: a listener by WebRTC needs a sink")
        if (stream.rate_hz, stream.channels) != (48000, 2):
            raise BadInput(f"stream {stream.name}: {client} hears 48000 Hz stereo only")


def sink_of(stream: ReceiverStream) -> str:
    """The sink that a checked stream hears, as the router calls it."""
    return f"{PREFIX}{stream.sink}"


async def attend(
    streams: Sequence[ReceiverStream],
    make: Callable[[ReceiverStream, E], Session],
    kind: type[E],
    context: WorkerContext,
    *,
    overrun_ms: float = 1000.0,
) -> None:
    """Listen to every stream in its own window; returns when all are over.

    `make` gives the session of a stream, which brings its sound to the ear of that `kind`.

    A listener that does not connect is ``worker.failed`` and the others go on. One that is lost
    later connects again, at first after a second, as the router's own page does; `ClientGone` when
    there is nothing left to connect with. When this process is held up for longer than
    `overrun_ms` it says so.
    """
    listeners = [_Listener(stream, make, kind, context) for stream in streams]
    tasks = [asyncio.create_task(listener.run()) for listener in listeners]
    looked = time.monotonic()
    while not all(task.done() for task in tasks):
        await asyncio.sleep(LOOK_S)
        late_ms = (time.monotonic() - looked - LOOK_S) * 1000
        looked = time.monotonic()
        if late_ms > overrun_ms:
            context.spool.event("receiver.overrun", context.name, late_ms=round(late_ms, 3))
    for task in tasks:
        task.result()


class _Listener(Generic[E]):
    def __init__(
        self,
        stream: ReceiverStream,
        make: Callable[[ReceiverStream, E], Session],
        kind: type[E],
        context: WorkerContext,
    ) -> None:
        self._stream = stream
        self._context = context
        self._receiver = f"receiver/{stream.name}"
        self._subject = f"webrtc/{stream.name}"
        self._offered = 0.0
        self._ear = kind(stream, context, self._first_sound)
        self._ear.restart()
        self._session = make(stream, self._ear)
        self._figures: dict[str, float] = {}
        self._next_second = self._ear.listener.begin + 1.0

    async def run(self) -> None:
        try:
            await self._until(self._stream.from_s - PREPARE_S)
            await self._session.prepare()
            await self._until(self._stream.from_s)
            if self._over():
                return
            self._context.spool.event("receiver.start", self._receiver, from_s=self._stream.from_s)
            await self._connect()
        except ScreamlabError as error:
            self._context.spool.event("worker.failed", self._receiver, error=str(error))
        else:
            await self._listen()
            self._ear.close()
        finally:
            await self._session.end()

    def _over(self) -> bool:
        return self._context.stopping.is_set() or self._context.now_s() >= self._stream.to_s

    async def _until(self, at_s: float) -> None:
        while not self._over() and self._context.now_s() < at_s:
            await asyncio.sleep(min(LOOK_S, max(0.0, at_s - self._context.now_s())))

    async def _connect(self) -> None:
        self._ear.restart()
        self._figures = {}
        self._offered = time.time()
        connect_ms = await self._session.open()
        self._context.spool.event(
            "webrtc.connected", self._subject, connect_ms=round(connect_ms, 3)
        )

    def _first_sound(self, at: float) -> None:
        first_audio_ms = round((at - self._offered) * 1000, 3)
        self._context.spool.event("webrtc.audio", self._subject, first_audio_ms=first_audio_ms)

    async def _listen(self) -> None:
        while not self._over():
            if self._session.lost is None:
                await asyncio.sleep(LOOK_S)
                self._look()
            else:
                await self._again(self._session.lost)

    def _look(self) -> None:
        now = time.time()
        self._ear.attend(now)
        figures = self._session.figures
        if now >= self._next_second:
            self._next_second += 1.0 + (now - self._next_second) // 1.0
            if figures and figures is not self._figures:
                self._tell_stretched(figures)
                self._figures = figures
                self._context.spool.series(self._subject, figures)

    def _tell_stretched(self, figures: dict[str, float]) -> None:
        """The player played faster or slower than it was sent, to keep its buffer: no fault."""
        grown = {
            f"{way}_ms": round((figures[key] - self._figures.get(key, 0)) * 1000 / _RATE_HZ, 3)
            for way, key in (("removed", "removed_samples"), ("inserted", "inserted_samples"))
            if key in figures
        }
        if any(grown.values()):
            self._context.spool.event("webrtc.stretched", self._subject, **grown)

    async def _again(self, reason: str) -> None:
        """Connect once more, however often it takes."""
        self._context.spool.event("webrtc.disconnected", self._subject, reason=reason)
        with contextlib.suppress(RouterError):
            await self._session.close()
        pause_s = _FIRST_PAUSE_S
        while not self._over():
            await self._wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            if self._over():
                return
            try:
                return await self._connect()
            except ClientGone:
                raise
            except ScreamlabError as error:
                self._context.spool.event("webrtc.refused", self._subject, error=str(error))

    async def _wait(self, seconds: float) -> None:
        until = self._context.now_s() + seconds
        while not self._over() and self._context.now_s() < until:
            await asyncio.sleep(LOOK_S)
            self._look()
