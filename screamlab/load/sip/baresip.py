"""SIP devices by baresip: a real soft phone each, which gets its audio from us in time."""

from __future__ import annotations

import contextlib
import enum
import os
import re
from collections.abc import Sequence
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.load.sip.baresip_process import FRAMES, Baresip, Event, account, require
from screamlab.load.sip.media import CallMedia, Outlet
from screamlab.load.sip.model import MEDIA_TAIL_S, SipDevice
from screamlab.load.sip.pcm_pipe import PcmPipe
from screamlab.load.sip.report import Reporter, refusal

_LAUNCH_LEAD_S = 0.5
_LOOK_S = 0.05
_LEAVE_S = 0.7
_GRACE_S = 2.0
_HELD_FRAMES = 4800
_STATUS = re.compile(r"(\d{3}) ")
_REFUSED = frozenset({"401", "403", "407"})


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every device of ``spec["devices"]`` through a process of its own, see `SipDevice`.

    Events: see `screamlab.load.sip.report`. A device that fails is ``worker.failed`` and the
    others go on. Raises `InfraError` when baresip is not installed.
    """
    require()
    devices = [SipDevice.model_validate(item) for item in spec["devices"]]
    reporter = Reporter(devices, context)
    phones = [phone for device in devices if (phone := _prepare(device, context, reporter))]
    media = _media(phones, context)
    try:
        media.start()
        while any([phone.look(context.now_s()) for phone in phones]):
            reporter.look_for_missing()
            if context.stopping.wait(_LOOK_S) or context.now_s() > context.to_s + _GRACE_S:
                break
    finally:
        for phone in phones:
            phone.end(tell=not context.stopping.is_set())
        media.end()
    context.sleep_until(context.to_s)


def _prepare(device: SipDevice, context: WorkerContext, reporter: Reporter) -> _Phone | None:
    try:
        return _Phone(device, Baresip(device, context.directory), reporter)
    except (InfraError, OSError) as error:
        reporter.failed(device.name, str(error), str(error))
        return None


def _media(phones: Sequence[_Phone], context: WorkerContext) -> CallMedia:
    outlets: dict[str, Outlet] = {}
    streams = []
    for phone in phones:
        if stream := phone.device.media:
            frames = FRAMES[stream.codec]
            pipe = PcmPipe(stream, context, phone.baresip.feed, frames, held_frames=_HELD_FRAMES)
            outlets[stream.name] = pipe
            streams.append(stream)
    media = CallMedia(streams, outlets, context)
    for phone in phones:
        phone.media = media
    return media


class _Stage(enum.IntEnum):
    WAITING = enum.auto()
    STARTED = enum.auto()
    REGISTERING = enum.auto()
    CALLING = enum.auto()
    HANGING_UP = enum.auto()
    HUNG_UP = enum.auto()
    LEAVING = enum.auto()
    OVER = enum.auto()


class _Phone:
    """A device and how far it has come."""

    def __init__(self, device: SipDevice, baresip: Baresip, reporter: Reporter) -> None:
        self.device = device
        self.baresip = baresip
        self.media: CallMedia | None = None
        self._reporter = reporter
        self._stage = _Stage.WAITING
        stream = device.media
        self._silence = bytes(4 * FRAMES[stream.codec]) if stream else b""

    def look(self, now_s: float) -> bool:
        """Do what is due and see what happened; False when there is nothing more to come."""
        if self._stage < _Stage.REGISTERING:
            self._begin(now_s)
        for event in self.baresip.events():
            if self._stage < _Stage.OVER:
                self._happened(event)
        if self._stage < _Stage.OVER:
            if self.baresip.has_ended():
                self._gone()
            elif self._stage >= _Stage.REGISTERING:
                self._on_time(now_s)
        return self._stage < _Stage.OVER

    def end(self, *, tell: bool) -> None:
        """End the process; with `tell`, one that should have left by itself has failed."""
        self.baresip.end()
        if self._stage < _Stage.OVER and tell:
            self._stage = _Stage.OVER
            self._audio_over()
            self._reporter.late(self.device.name)
        os.close(self.baresip.feed)

    def _begin(self, now_s: float) -> None:
        if self._stage == _Stage.WAITING and now_s >= self.device.from_s - _LAUNCH_LEAD_S:
            self._stage = _Stage.STARTED
            self.baresip.start()
        if self._stage == _Stage.STARTED and now_s >= self.device.from_s and self.baresip.connect():
            self._stage = _Stage.REGISTERING
            self.baresip.command("uanew", account(self.device))

    def _on_time(self, now_s: float) -> None:
        stream = self.device.media
        if stream and self._stage == _Stage.CALLING and now_s >= stream.to_s + MEDIA_TAIL_S:
            self._stage = _Stage.HANGING_UP
            self.baresip.command("hangup")
        elif self._stage == _Stage.HANGING_UP:
            # Its reading thread sits on the pipe, and it waits for its reading thread.
            with contextlib.suppress(BlockingIOError):
                os.write(self.baresip.feed, self._silence)
        elif self._stage != _Stage.LEAVING and now_s >= self.device.to_s - _LEAVE_S:
            self._stage = _Stage.LEAVING
            self.baresip.command("quit")

    def _happened(self, event: Event) -> None:
        name, stream = self.device.name, self.device.media
        match event.type:
            case "REGISTER_OK":
                self._reporter.registered(name)
                if stream and self._stage == _Stage.REGISTERING:
                    self._stage = _Stage.CALLING
                    self.baresip.command("dial", f"sip:router@{self.device.domain}")
            case "REGISTER_FAIL":
                self._refused(event.param)
            case "CALL_ESTABLISHED" if stream and self.media:
                self._reporter.answered(name)
                self.media.answered(stream.name, stream.remote, stream.payload_type or 0)
            case "CALL_CLOSED":
                self._call_closed(event.param)

    def _call_closed(self, reason: str) -> None:
        self._audio_over()
        if self._stage >= _Stage.HANGING_UP:
            self._stage = max(self._stage, _Stage.HUNG_UP)
            self._reporter.ended(self.device.name)
        else:
            self._fail(f"INVITE was answered {reason}" if _STATUS.match(reason) else reason)

    def _refused(self, reason: str) -> None:
        status = _STATUS.match(reason)
        if status and status[1] in _REFUSED:
            cause = f"REGISTER was answered {reason}"
            self._fail(cause, refusal(self.device, cause))

    def _fail(self, cause: str, error: str | None = None) -> None:
        self._stage = _Stage.OVER
        self._audio_over()
        self._reporter.failed(self.device.name, cause, error or cause)

    def _gone(self) -> None:
        if self._stage != _Stage.LEAVING:
            self._fail(self.baresip.last_words())
            return
        self._stage = _Stage.OVER
        self._reporter.unregistered(self.device.name)

    def _audio_over(self) -> None:
        if self.media and self.device.media:
            self.media.over(self.device.media.name)
