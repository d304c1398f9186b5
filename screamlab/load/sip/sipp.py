"""SIP devices by sipp: the signalling is sipp's, the audio of their calls is ours."""

from __future__ import annotations

import os
import selectors
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.load.sip.model import SipDevice
from screamlab.load.sip.report import Reporter, refusal
from screamlab.load.sip.sipp_audio import SippAudio
from screamlab.load.sip.sipp_output import (
    Failure,
    Said,
    parse_failure,
    parse_said,
    refused_credentials,
)
from screamlab.load.sip.sipp_process import EXECUTABLE, Job, Sipp
from screamlab.scenario.plan import Endpoint

_LAUNCH_LEAD_S = 0.5
_LOOK_S = 0.25
_GRACE_S = 2.0


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Play every device of ``spec["devices"]``, see `SipDevice`.

    One process for all devices of one address that are only present, one for each that calls.
    Series ``sip/<device or presence group>``: sipp's statistics, see `Statistics`, and the longest
    answers of the last second. Events: see `screamlab.load.sip.report`. A device that fails is
    ``worker.failed`` and the others go on. Raises `InfraError` when sipp is not installed.
    """
    if shutil.which(EXECUTABLE) is None:
        raise InfraError(f"{EXECUTABLE} is not installed on this host")
    devices = [SipDevice.model_validate(item) for item in spec["devices"]]
    reporter = Reporter(devices, context)
    audio = SippAudio(devices, context, reporter)
    runner = _Runner(
        jobs(audio.usable(devices), audio.ports, context.host), context, reporter, audio
    )
    try:
        audio.start()
        runner.run()
    finally:
        runner.end()
        audio.end()
    context.sleep_until(context.to_s)


def jobs(devices: Iterable[SipDevice], ports: dict[str, int], host: str) -> list[Job]:
    """Which process plays which devices; `ports` are those the offers name, by device."""
    alone, together = [], dict[tuple[object, ...], list[SipDevice]]()
    for device in devices:
        if device.media:
            alone.append(Job(device.name, (device,), ports[device.name]))
        else:
            key = (device.address, device.registrar, device.domain, device.scenario_xml)
            together.setdefault(key, []).append(device)
    groups = [
        Job(f"presence-{host}-{number}", tuple(group))
        for number, group in enumerate(together.values(), 1)
    ]
    return groups + alone


class _Runner:
    """Starts every job on time, listens to it, and ends it."""

    def __init__(
        self,
        jobs: Sequence[Job],
        context: WorkerContext,
        reporter: Reporter,
        audio: SippAudio,
    ) -> None:
        self._waiting = sorted(jobs, key=_begins)
        self._context = context
        self._reporter = reporter
        self._audio = audio
        self._running: list[Sipp] = []
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until every process has ended by itself, or the worker's time is over."""
        while self._waiting or self._running:
            now_s = self._context.now_s()
            if self._context.stopping.is_set() or now_s > self._context.to_s + _GRACE_S:
                return
            while self._waiting and _begins(self._waiting[0]) - _LAUNCH_LEAD_S <= now_s:
                self._launch(self._waiting.pop(0))
            self._listen()
            self._reporter.look_for_missing()
            for sipp in list(self._running):
                if sipp.process.poll() is not None:
                    self._finish(sipp)

    def end(self) -> None:
        """End what still runs; what should have left by itself is told."""
        for sipp in list(self._running):
            sipp.end()
            left = self._close(sipp)
            if not self._context.stopping.is_set():
                for name in left:
                    self._reporter.late(name)
        self._selector.close()

    def _launch(self, job: Job) -> None:
        sipp = Sipp(job, self._context.zero, self._context.directory)
        self._running.append(sipp)
        for pipe, take in zip(
            sipp.pipes, (self._take_log, self._take_errors, self._take_statistics), strict=True
        ):
            self._selector.register(pipe, selectors.EVENT_READ, (sipp, take))

    def _listen(self) -> None:
        if not self._selector.get_map():
            self._context.stopping.wait(_LOOK_S)
        for key, _ in self._selector.select(_LOOK_S):
            self._take(key)
        self._audio.look()

    def _take(self, key: selectors.SelectorKey) -> None:
        sipp, take = key.data
        text = os.read(key.fd, 1 << 16).decode(errors="replace")
        if text:
            take(sipp, text)
        else:
            self._selector.unregister(key.fileobj)

    def _take_log(self, sipp: Sipp, text: str) -> None:
        for line in sipp.lines("log", text):
            if said := parse_said(line):
                self._happened(said)

    def _take_errors(self, sipp: Sipp, text: str) -> None:
        self._note(sipp, sipp.entries.feed(text))

    def _take_statistics(self, sipp: Sipp, text: str) -> None:
        sipp.forget_secrets()
        for line in sipp.lines("statistics", text):
            if figures := sipp.statistics.feed(line):
                values = {**figures, **sipp.longest_answers()}
                self._context.spool.series(f"sip/{sipp.job.name}", values)

    def _note(self, sipp: Sipp, entries: Iterable[str]) -> None:
        for entry in entries:
            sipp.note(entry)
            if failure := parse_failure(entry):
                self._failed(sipp.job, failure)

    def _happened(self, said: Said) -> None:
        match said.what, said.rest:
            case "registered", ():
                self._reporter.registered(said.device)
            case "answered", (address, port, payload_type):
                remote = Endpoint(address=address, port=int(port))
                where = {**remote.model_dump(), "payload_type": int(payload_type)}
                self._reporter.answered(said.device, **where)
                self._audio.answered(said.device, remote, int(payload_type))
            case "ended", ():
                self._audio.over(said.device)
                self._reporter.ended(said.device)
            case "unregistered", ():
                self._reporter.unregistered(said.device)

    def _failed(self, job: Job, failure: Failure) -> None:
        if not 1 <= failure.call <= len(job.devices):
            return
        device = job.devices[failure.call - 1]
        error = failure.cause
        if refused_credentials(failure):
            error = refusal(device, failure.cause)
        self._audio.over(device.name)
        self._reporter.failed(device.name, failure.cause, error)

    def _finish(self, sipp: Sipp) -> None:
        """A process has ended: so have those of its devices that had not left."""
        words = sipp.last_words()
        for name in self._close(sipp):
            self._reporter.failed(name, words, words)

    def _close(self, sipp: Sipp) -> list[str]:
        """Hear what a process said last; returns its devices that have neither left nor failed."""
        self._running.remove(sipp)
        own = [key for key in self._selector.get_map().values() if key.data[0] is sipp]
        for key in own:
            while key.fd in self._selector.get_map():
                self._take(key)
        self._note(sipp, sipp.entries.rest())
        sipp.close()
        left = self._reporter.open(device.name for device in sipp.job.devices)
        for name in left:
            self._audio.over(name)
        return left


def _begins(job: Job) -> float:
    return min(device.from_s for device in job.devices)
