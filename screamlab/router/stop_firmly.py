"""Stopping a router firmly, so that a tool it runs under can write what it has found."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from screamlab.observe.hang import stacks


class Running(Protocol):
    """A service that may run."""

    def pid(self) -> int | None:
        """The main process, None when the service does not run."""

    def ask_to_stop(self) -> None:
        """Begin to stop: SIGINT to its processes, and no restart when they end."""


@dataclass(frozen=True)
class Stopped:
    """How a process ended: by which signal, after how long.

    `pid` is 0 when there was none. `files` hold the stacks of one that SIGINT did not end in time,
    taken before it was asked more firmly.
    """

    pid: int
    ended_by: str
    seconds: float
    files: tuple[str, ...] = ()


def stop_firmly(service: Running, folder: Path, *, patience_s: float) -> Stopped:
    """Have the service's main process end: SIGINT, then SIGTERM, then SIGKILL.

    The first two have `patience_s` each. Stacks go into `folder`.
    """
    pid = service.pid()
    if pid is None:
        return Stopped(0, "", 0.0)
    process, began = psutil.Process(pid), time.monotonic()

    def ended(by: signal.Signals, files: tuple[str, ...] = ()) -> Stopped:
        return Stopped(pid, by.name, round(time.monotonic() - began, 1), files)

    service.ask_to_stop()
    if _gone(process, patience_s):
        return ended(signal.SIGINT)
    files = tuple(stacks(pid, folder, "stop")["files"])
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        if not _gone(process, patience_s):
            process.kill()
            process.wait()
            return ended(signal.SIGKILL, files)
    return ended(signal.SIGTERM, files)


def _gone(process: psutil.Process, within_s: float) -> bool:
    try:
        process.wait(within_s)
    except psutil.TimeoutExpired:
        return False
    return True
