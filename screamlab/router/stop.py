"""Stopping the router as a run ends: in order, watched, and looked into before it is killed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from screamlab.agent.context import WorkerContext
from screamlab.evidence.spool import Spool
from screamlab.observe.crash_watch import CrashWatch
from screamlab.observe.hang import stacks
from screamlab.observe.sampler import Watched
from screamlab.router.service import SystemdService

Outcome = Literal["ended", "killed", "failed", "absent"]
_LOOK_S = 0.1
# By what systemd calls the result.
_OUTCOMES: dict[str, Outcome] = {"success": "ended", "timeout": "killed"}


@dataclass(frozen=True)
class Stopped:
    """How the router ended, and how long after it was asked.

    `ended`: by itself. `killed`: by systemd, since it did not. `failed`: with what `reason` says.
    `absent`: it did not run. `files` hold the stacks of one that took long; `reason` says why there
    are none.
    """

    outcome: Outcome
    seconds: float = 0.0
    reason: str = ""
    files: tuple[str, ...] = ()


def stop(unit: str, folder: Path, host: str, look_after_s: float) -> Stopped:
    """Stop the router, and tell so, and what core it left, in the run's spool `folder`.

    Of one that has not ended after `look_after_s` the stacks are taken. Returns when it is gone,
    which its unit's TimeoutStopSec sees to. `InfraError` when systemd refuses.
    """
    spool = Spool(folder, writer="router-stop", host=host)
    now = time.time()
    context = WorkerContext("router-stop", host, now, 0.0, 0.0, spool, folder)
    service = SystemdService(unit)
    if service.pid() is None:
        stopped = Stopped("absent")
    else:
        watch = CrashWatch([Watched(name="router", unit=unit)], context)
        watch.look()
        stopped = _stop(service, folder, look_after_s)
        watch.close()
    spool.event("router.stopped", "router", **asdict(stopped))
    spool.close()
    return stopped


def _stop(service: SystemdService, folder: Path, look_after_s: float) -> Stopped:
    pid, begun_s = service.pid(), time.monotonic()
    looked: dict[str, Any] = {}
    service.ask_to_stop()
    while service.is_running():
        if not looked and pid and time.monotonic() - begun_s > look_after_s:
            looked = stacks(pid, folder, "stop")
        time.sleep(_LOOK_S)
    result = service.result()
    return Stopped(
        outcome=_OUTCOMES.get(result, "failed"),
        seconds=round(time.monotonic() - begun_s, 1),
        reason=f"the result {result}" if result not in _OUTCOMES else looked.get("error", ""),
        files=tuple(looked.get("files", ())),
    )
