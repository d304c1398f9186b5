"""The kinds of worker an agent can start, and the entry point of a worker process."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import signal
import sys
from pathlib import Path

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.evidence.spool import Spool
from screamlab.scenario.plan import Plan, Worker, read_plan

KINDS = {
    "native_sender": "screamlab.load.native_sender:run",
    "native_receiver": "screamlab.load.native_receiver:run",
    "gst_sender": "screamlab.load.gstreamer:run_senders",
    "gst_receiver": "screamlab.load.gstreamer:run_receivers",
    "sampler": "screamlab.observe.sampler:run",
    "router_stats": "screamlab.observe.router_stats:run",
}


def command(plan_file: Path, worker: Worker, zero: float) -> list[str]:
    """The command line that runs one worker of a plan in a process of its own."""
    return [sys.executable, "-m", __name__, str(plan_file), worker.name, repr(zero)]


def run_worker(plan: Plan, worker: Worker, zero: float, directory: Path) -> None:
    """Carry out one worker until its window ends or SIGTERM asks for an early end."""
    if worker.kind not in KINDS:
        raise BadInput(f"worker {worker.name}: unknown kind '{worker.kind}'")
    module, _, function = KINDS[worker.kind].partition(":")
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
    getattr(importlib.import_module(module), function)(worker.spec, context)
    spool.close()


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
    try:
        run_worker(plan, worker, arguments.zero, arguments.plan.parent)
    except BadInput as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
