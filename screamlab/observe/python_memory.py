"""Worker of the agent: tells the launcher in the router's process when to look at its memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import InfraError
from screamlab.evidence.follow import new_records
from screamlab.observe.memory_launcher.main import SIGNAL
from screamlab.router.service import SystemdService

_POLL_S = 0.2


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Signal the unit `spec["unit"]` at every time of `at_s`, and wait for what it then writes.

    Events on ``python``: ``memory.asked`` with the process, and after the last, ``memory.told``
    with the seconds it took, or ``memory.missing`` with the reason.
    """
    _ask(SystemdService(spec["unit"]), Path(spec["snapshots"]), spec["at_s"], context)
    context.sleep_until(context.to_s)


def _ask(
    service: SystemdService, snapshots: Path, at_s: list[float], context: WorkerContext
) -> None:
    for moment_s in at_s:
        if not context.sleep_until(moment_s):
            return
        try:
            pid = service.pid()
            if pid is None:
                raise InfraError(f"{service.unit} has no process")
            if not snapshots.exists():
                raise InfraError(f"{service.unit} was not started by the launcher")
            seen = {snapshots: snapshots.stat().st_size}
            os.kill(pid, SIGNAL)
        except (InfraError, OSError) as error:
            context.spool.event("memory.missing", "python", reason=str(error))
            return
        context.spool.event("memory.asked", "python", pid=pid)
    _await_answer(snapshots, seen, context)


def _await_answer(snapshots: Path, seen: dict[Path, int], context: WorkerContext) -> None:
    """Until the launcher has looked closer, or failed to, the run's evidence is not whole."""
    asked_s = time.time()
    while context.now_s() < context.to_s:
        if any(line["kind"] in ("look", "error") for line in new_records(snapshots, seen)):
            context.spool.event("memory.told", "python", took_s=round(time.time() - asked_s, 3))
            return
        if context.stopping.wait(_POLL_S):
            return
    reason = "it has not answered by the end of the run"
    context.spool.event("memory.missing", "python", reason=reason)
