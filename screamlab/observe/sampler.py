"""The sampler: once a second, what the watched processes and the host use.

Spec: `{"processes": [{"name": "router", "unit": "screamrouter.service"}, …], "interval_s": 1.0,
"memory_interval_s": 5.0, "devices": ["data0"], "udp_ports": [40000]}`. A process is watched by
`unit` (all processes in the unit's control group), by `pid` (that process alone), or is a `worker`
of the sampler's own agent with all processes below it.

Told as `clock.stepped{ms}` is a clock that since the sample before went other than time did: by
more than any slewing of it (adjtime(3): 0.5 ms a second).

Series: `process/<name>`, `host`, `device/<name>`, `udp_port/<port>`, and `sampler` about itself
(`busy_ms` is what the sample before has cost). USS and PSS come every `memory_interval_s` only,
because reading them halts the watched process's memory management for as long as it takes.
"""

from __future__ import annotations

import math
import os
import resource
import time
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from screamlab.agent.context import WorkerContext
from screamlab.errors import BadInput
from screamlab.evidence.spool import Spool
from screamlab.observe.group import Group
from screamlab.observe.host import Host
from screamlab.observe.units import Units, UnitState
from screamlab.observe.workers import worker_pids

_SYSTEMD_PATIENCE_S = 2.0
_STEP_S = 0.02


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Watched(_Strict):
    """A thing to watch: a systemd unit, one process, or a worker of the agent."""

    name: str
    unit: str | None = None
    pid: int | None = Field(default=None, gt=0)
    worker: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Watched:
        if sum(way is not None for way in (self.unit, self.pid, self.worker)) != 1:
            raise ValueError(f"{self.name}: give one of unit, pid and worker")
        return self


class SamplerSpec(_Strict):
    """What the sampler watches and how often; all network devices when `devices` is absent."""

    processes: tuple[Watched, ...] = ()
    interval_s: float = Field(default=1.0, gt=0)
    memory_interval_s: float = Field(default=5.0, gt=0)
    devices: tuple[str, ...] | None = None
    udp_ports: tuple[int, ...] = ()


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Sample at every multiple of the interval within the worker's window, on the plan's clock.

    A tick that could not be kept is left out and told as `sampler.gap{missed, late_s}`; figures
    are never moved in time. `BadInput` when the spec is wrong.
    """
    try:
        wanted = SamplerSpec.model_validate(spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "spec"
        raise BadInput(f"sampler: {where}: {first['msg']}") from error
    _allow_many_descriptors()
    sampler = Sampler(wanted, context.spool)
    context.spool.event("sampler.start", "sampler", **wanted.model_dump(mode="json"))
    interval_s = wanted.interval_s
    ticks = math.ceil((context.to_s - context.from_s) / interval_s - 1e-6)
    tick = missed = 0
    try:
        while tick < ticks and context.sleep_until(context.from_s + tick * interval_s):
            late_s = context.now_s() - context.from_s - tick * interval_s
            skipped = min(int(late_s / interval_s), ticks - tick)
            if skipped > 0:
                missed += skipped
                tick += skipped
                context.spool.event("sampler.gap", "sampler", missed=skipped, late_s=late_s)
                continue
            sampler.sample(late_s)
            tick += 1
        context.sleep_until(context.to_s)
    finally:
        sampler.close()
        context.spool.event("sampler.end", "sampler", samples=sampler.samples, missed=missed)


class Sampler:
    """Everything watched on one host; `sample` writes one line per subject."""

    def __init__(self, spec: SamplerSpec, spool: Spool) -> None:
        self.samples = 0
        self._busy_ms = 0.0
        self._ahead_s = _clock_ahead_s()
        self._spec = spec
        self._spool = spool
        self._host = Host(spec.devices, spec.udp_ports)
        self._units = Units([watched.unit for watched in spec.processes if watched.unit])
        self._units.refresh(time.monotonic(), wait_s=_SYSTEMD_PATIENCE_S)
        self._watches = [_Watch(watched, spool) for watched in spec.processes]
        self._memory_every = max(1, round(spec.memory_interval_s / spec.interval_s))

    def sample(self, late_s: float = 0.0) -> None:
        """Take one sample of everything now; `late_s` is how late now is."""
        began_s = time.thread_time()
        self._look_at_clock()
        self._units.refresh(time.monotonic())
        now = time.time()
        lines: list[tuple[str, dict[str, float]]] = [("host", self._host.sample())]
        for index, watch in enumerate(self._watches):
            deep = (self.samples + index) % self._memory_every == 0
            lines.append((watch.subject, watch.sample(self._units, deep=deep)))
        lines += [(f"device/{name}", values) for name, values in self._host.devices().items()]
        lines += [(f"udp_port/{port}", values) for port, values in self._host.udp_ports().items()]
        self.samples += 1
        own = {"late_ms": round(1000 * late_s, 3), "busy_ms": self._busy_ms}
        self._spool.series_many([*lines, ("sampler", own)], t=now)
        self._busy_ms = round(1000 * (time.thread_time() - began_s), 3)

    def _look_at_clock(self) -> None:
        before_s, self._ahead_s = self._ahead_s, _clock_ahead_s()
        if abs(self._ahead_s - before_s) > _STEP_S:
            ms = round(1000 * (self._ahead_s - before_s), 3)
            self._spool.event("clock.stepped", "host", ms=ms)

    def close(self) -> None:
        """Let go of everything watched."""
        self._units.close()
        for watch in self._watches:
            watch.group.close()


class _Watch:
    """One watched thing: its group of processes and what was last known of its life."""

    def __init__(self, watched: Watched, spool: Spool) -> None:
        self.group = Group()
        self._watched = watched
        self._spool = spool
        self.subject = f"process/{watched.name}"
        self._main_pid = 0
        self._last_main_pid = 0

    def sample(self, units: Units, *, deep: bool) -> dict[str, float]:
        if self._watched.unit:
            state = units.states[self._watched.unit]
            pids = units.pids(self._watched.unit)
        elif self._watched.worker:
            pids = worker_pids(os.getppid(), self._watched.worker)
            state = UnitState(main_pid=next(iter(pids), 0))
        else:
            assert self._watched.pid is not None
            state = UnitState(main_pid=self._watched.pid)
            pids = [self._watched.pid]
        values = self.group.sample(pids, deep=deep)
        self._tell_life(state, self.group.alive)
        if self._watched.unit and not self._main_pid:
            units.suspect()
        values["restarts"] = state.restarts
        return values

    def _tell_life(self, state: UnitState, alive: frozenset[int]) -> None:
        if self._main_pid and self._main_pid not in alive:
            self._spool.event("process.gone", self.subject, pid=self._main_pid)
            self._main_pid = 0
        if not self._main_pid and state.main_pid in alive:
            kind = "process.restarted" if self._last_main_pid else "process.found"
            self._spool.event(kind, self.subject, pid=state.main_pid, restarts=state.restarts)
            self._main_pid = self._last_main_pid = state.main_pid


def _clock_ahead_s() -> float:
    """How far the clock is ahead of the time since the host began, clock_gettime(2)."""
    return time.time() - time.monotonic()


def _allow_many_descriptors() -> None:
    """Three descriptors stay open per watched process, one more per thread."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
