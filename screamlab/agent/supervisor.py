"""The agent of one host: carries out the host's plan, alone, from zero to its end.

It forks a process for every worker, watches them, and ends them when their time is over. A worker
that dies is recorded with its last words and is not restarted: what it would have measured is
missing, and the judge has to know. An agent that comes back after a reboot of its host carries out
what is left of the plan.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

from screamlab.agent import addresses, processors, rejoin, workers
from screamlab.evidence.spool import Spool
from screamlab.impair import heal
from screamlab.impair import worker as impairment
from screamlab.inject import worker as inject
from screamlab.observe.host_facts import gather
from screamlab.scenario.plan import Plan, Worker, read_plan

# Workers are forked this long before their window, to open sockets and render signals.
START_LEAD_S = 4.0
# A worker gets this long after its window to let go of a router that may not answer, and to write
# its last lines.
END_GRACE_S = 30.0
# A worker whose last tick lies this close to its end is not early.
EARLY_S = 1.5
TICK_S = 0.1
LAST_WORDS_BYTES = 2000
_FORK = multiprocessing.get_context("fork")


@dataclass
class _Running:
    worker: Worker
    process: ForkProcess
    log: Path
    asked_to_end: bool = False
    killed: bool = False


class Agent:
    """Carries out `plan`; its folder is the spool."""

    def __init__(self, plan_file: Path, zero: float, *, rejoins: bool = False) -> None:
        self.plan_file = plan_file
        self.plan: Plan = read_plan(plan_file)
        self.zero = zero
        self.rejoins = rejoins
        self.directory = plan_file.parent
        self.stopping = threading.Event()
        self.spool = Spool(self.directory, writer="agent", host=self.plan.host)

    def run(self) -> None:
        """Run to the plan's end, or until `stopping` is set; leave the host as it was."""
        signal.signal(signal.SIGTERM, lambda *_: self.stopping.set())
        late_s = round(max(0.0, self._now_s()), 3)
        started = {"zero": self.zero, "late_s": late_s, "rejoins": self.rejoins}
        self.spool.event("agent.start", "agent", **started)
        try:
            if self.plan.device:
                addresses.add(self.plan.device, self.plan.addresses)
            workers.load(self.plan.workers)
            (self.directory / "facts.json").write_text(json.dumps(gather()))
            with processors.held(self.plan.wakeup_latency_us):
                self._carry_out()
        finally:
            if self.stopping.is_set() and rejoin.host_goes_down():
                self.spool.event("agent.end", "agent", reason="the host goes down")
            else:
                self._tell_left()
                release(self.plan)
                reason = "stopped" if self.stopping.is_set() else "completed"
                self.spool.event("agent.end", "agent", reason=reason)
                (self.directory / "done").touch()

    def _tell_left(self) -> None:
        """Say what of an impairment is still there, though all of them have been healed by now."""
        if self.plan.impairments and (left := heal.survey().said):
            self.spool.event("impair.left", "impairments", left=left)

    def _now_s(self) -> float:
        return time.time() - self.zero

    def _carry_out(self) -> None:
        waiting = sorted(self._workers(), key=lambda worker: worker.from_s)
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and waiting[0].from_s - START_LEAD_S <= self._now_s():
                    running.append(self._start(waiting.pop(0)))
                running = [item for item in running if not self._ended(item)]
                if self.stopping.wait(TICK_S):
                    waiting.clear()
                    for item in running:
                        self._ask_to_end(item)
                    self._reap(running)
                    return
        except BaseException:
            for item in running:
                item.process.kill()
            raise

    def _workers(self) -> list[Worker]:
        """All of the plan's, or those that there is something left for."""
        if not self.rejoins:
            return list(self.plan.workers)
        return [worker for worker in self.plan.workers if worker.to_s > self._now_s()]

    def _start(self, worker: Worker) -> _Running:
        log = self.directory / f"{worker.name}.log"
        arguments = (self.plan, worker, self.zero, self.directory, log)
        # Forking shares the imports; twenty interpreters starting at once stall a small host.
        process = _FORK.Process(target=workers.run_logged, args=arguments, name=worker.name)
        # Until it has a handler of its own, it has ours: what comes before waits for that.
        with workers.end_held_back():
            process.start()
        self.spool.event("worker.start", worker.name, pid=process.pid)
        return _Running(worker, process, log)

    def _ended(self, item: _Running) -> bool:
        """Whether the worker is gone; one that outlives its window is told, then made, to go."""
        code = item.process.exitcode
        overdue_s = self._now_s() - item.worker.to_s
        if code is None:
            if overdue_s > END_GRACE_S:
                item.killed = True
                item.process.kill()
            elif overdue_s > END_GRACE_S / 2:
                self._ask_to_end(item)
            return False
        self.spool.event("worker.end", item.worker.name, code=code)
        # systemd asks the whole unit at once: a worker may have gone before the agent asked it.
        asked_to_end = item.asked_to_end or self.stopping.is_set()
        expected = {0, -signal.SIGTERM} if asked_to_end else {0}
        if code not in expected or (overdue_s < -EARLY_S and not asked_to_end):
            missed = f"end within {END_GRACE_S:g} s of its time" if item.killed else "last its time"
            error = _last_words(item.log) or f"it did not {missed}"
            self.spool.event("worker.failed", item.worker.name, code=code, error=error)
        return True

    def _ask_to_end(self, item: _Running) -> None:
        if not item.asked_to_end:
            item.asked_to_end = True
            item.process.terminate()

    def _reap(self, running: list[_Running]) -> None:
        for item in running:
            item.process.join(END_GRACE_S)
            if item.process.is_alive():
                item.process.kill()
                item.process.join()
            self._ended(item)


def release(plan: Plan) -> None:
    """Undo what a plan changed on its host; safe to repeat, and after any kind of death.

    `InfraError` when a link that it impaired is not whole again.
    """
    rejoin.disarm(plan.run_id)
    inject.release(plan)
    if plan.device:
        addresses.remove(plan.device, plan.addresses)
    if plan.impairments:
        impairment.release(plan.impairments)


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_WORDS_BYTES))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
