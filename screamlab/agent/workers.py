"""The kinds of worker an agent can start, and the entry point of a worker process."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput, ScreamlabError
from screamlab.evidence.spool import Spool
from screamlab.observe.workers import take_name
from screamlab.scenario.plan import Plan, Worker, read_plan

KINDS = {
    "native_sender": "screamlab.load.native_sender:run",
    "native_receiver": "screamlab.load.native_receiver:run",
    "gst_sender": "screamlab.load.gstreamer:run_senders",
    "gst_receiver": "screamlab.load.gstreamer:run_receivers",
    "ffmpeg_sender": "screamlab.load.ffmpeg:run_senders",
    "ffmpeg_receiver": "screamlab.load.ffmpeg:run_receivers",
    "vlc_sender": "screamlab.load.vlc:run_senders",
    "vlc_receiver": "screamlab.load.vlc:run_receivers",
    "sipp_devices": "screamlab.load.sip.sipp:run",
    "baresip_devices": "screamlab.load.sip.baresip:run",
    "sip_registrar": "screamlab.load.sip.registrar:run",
    "chromium_receiver": "screamlab.load.webrtc.chromium:run",
    "aiortc_receiver": "screamlab.load.webrtc.light:run",
    "web_page": "screamlab.load.webrtc.page:run",
    "churn_rtp": "screamlab.load.churn.rtp:run",
    "churn_config": "screamlab.load.churn.config:run",
    "churn_sip": "screamlab.load.churn.sip:run",
    "churn_webrtc": "screamlab.load.churn.webrtc:run",
    "sap_announcer": "screamlab.load.sap:run",
    "sampler": "screamlab.observe.sampler:run",
    "crash_watch": "screamlab.observe.crash_watch:run",
    "probe_sender": "screamlab.impair.probe:run_senders",
    "probe_receiver": "screamlab.impair.probe:run_receivers",
    "impairment": "screamlab.impair.worker:run",
    "fault": "screamlab.inject.worker:run",
    "capture": "screamlab.observe.capture:run",
    "wakeups": "screamlab.observe.wakeups:run",
    "router_stats": "screamlab.observe.router_stats:run",
    "metrics": "screamlab.observe.metrics:run",
    "python_memory": "screamlab.observe.python_memory:run",
}

_END = {signal.SIGTERM}


def command(plan_file: Path, worker: Worker, zero: float) -> list[str]:
    """The command line that runs one worker of a plan alone, without an agent."""
    return [sys.executable, "-m", __name__, str(plan_file), worker.name, repr(zero)]


def load(workers: Iterable[Worker]) -> None:
    """Import what the workers run, so that their processes need not."""
    for worker in workers:
        if worker.kind in KINDS:
            _function(worker)


@contextmanager
def end_held_back() -> Iterator[None]:
    """A process begun in this block hears SIGTERM only once it can heed it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _END)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _END)


def run_worker(plan: Plan, worker: Worker, zero: float, directory: Path) -> None:
    """Carry out one worker until its window ends or SIGTERM asks for an early end."""
    function = _function(worker)
    spool = Spool(directory, writer=worker.name, host=plan.host)
    context = WorkerContext(
        name=worker.name,
        host=plan.host,
        zero=zero,
        from_s=worker.from_s,
        to_s=worker.to_s,
        spool=spool,
        directory=directory,
    )
    signal.signal(signal.SIGTERM, lambda *_: context.stopping.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _END)
    function(worker.spec, context)
    spool.close()


def run_logged(plan: Plan, worker: Worker, zero: float, directory: Path, log: Path) -> None:
    """Carry out one worker in a forked process of its own; what it says goes to `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    faulthandler.enable()
    take_name(worker.name)
    sys.exit(_exit_code(plan, worker, zero, directory))


def _function(worker: Worker) -> Callable[[dict[str, Any], WorkerContext], None]:
    if worker.kind not in KINDS:
        raise BadInput(f"worker {worker.name}: unknown kind '{worker.kind}'")
    module, _, name = KINDS[worker.kind].partition(":")
    function: Callable[[dict[str, Any], WorkerContext], None]
    function = getattr(importlib.import_module(module), name)
    return function


def _exit_code(plan: Plan, worker: Worker, zero: float, directory: Path) -> int:
    try:
        run_worker(plan, worker, zero, directory)
    except ScreamlabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def main() -> int:
    """Entry point: ``python -m screamlab.agent.workers PLAN WORKER ZERO``."""
    parser = argparse.ArgumentParser(description="run one worker of a plan")
    parser.add_argument("plan", type=Path)
    parser.add_argument("worker")
    parser.add_argument("zero", type=float)
    arguments = parser.parse_args()
    faulthandler.enable()
    plan = read_plan(arguments.plan)
    worker = next(w for w in plan.workers if w.name == arguments.worker)
    return _exit_code(plan, worker, arguments.zero, arguments.plan.parent)


if __name__ == "__main__":
    sys.exit(main())
