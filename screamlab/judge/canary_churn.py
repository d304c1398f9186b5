"""A made-up churn in a healthy run: clients that come and go in the middle of its hold.

The run of `screamlab.judge.canary` must have been made with `HOLD_S` of hold: of that, the first
and last third stay quiet.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from screamlab.evidence.subjects import ROUTER
from screamlab.load.churn.model import Cycle
from screamlab.scenario.churn import draw_cycles
from screamlab.scenario.model import ChurnGroup
from screamlab.scenario.plan import Phase, PhaseKind, Worker

if TYPE_CHECKING:
    from screamlab.judge.canary import CanaryRun

HOLD_S = 120.0
KINDS = ("sip", "rtp", "webrtc", "config")
CYCLES = 15
"""Of each kind."""

COUNTED = {"descriptors": 2.0, "threads": 1.0, "sockets": 1.0}
"""What one connected client holds of the router's process."""


def churn(run: CanaryRun, router: str, client: str) -> None:
    """Let clients on the host `client` come and go, and the router do well by them."""
    phase = _split_hold(run)
    workers = []
    for kind in KINDS:
        group = ChurnGroup.model_validate(
            {"name": kind, "kind": kind, "phase": phase.name, "cycles": CYCLES, "overlap": 3,
             "hold_seconds": [1.0, 3.0], "hears": "rtp-in" if kind == "webrtc" else None}
        )  # fmt: skip
        cycles = draw_cycles(group, phase, random.Random(kind))
        workers.append(_worker(group, cycles))
        for cycle in cycles:
            _carry_out(run, client, kind, cycle)
    plan = run.plans[client]
    run.plans[client] = plan.model_copy(update={"workers": (*plan.workers, *workers)})
    _held(run, router, [cycle for worker in workers for cycle in worker.spec["cycles"]])


def _split_hold(run: CanaryRun) -> Phase:
    """Make the middle third of the hold one of churn."""
    at = next(number for number, phase in enumerate(run.phases) if phase.kind == "hold")
    hold = run.phases[at]
    third_s = (hold.to_s - hold.from_s) / 3
    kinds: tuple[tuple[str, PhaseKind], ...] = (
        (hold.name, "hold"), ("churn", "churn"), ("quiet-again", "hold"),
    )  # fmt: skip
    parts = tuple(
        Phase(
            name=name,
            kind=kind,
            from_s=hold.from_s + turn * third_s,
            to_s=hold.from_s + (turn + 1) * third_s,
        )
        for turn, (name, kind) in enumerate(kinds)
    )
    run.phases = (*run.phases[:at], *parts, *run.phases[at + 1 :])
    run.meta["phases"] = [phase.model_dump() for phase in run.phases]
    for host, plan in run.plans.items():
        run.plans[host] = plan.model_copy(update={"phases": run.phases})
    return parts[1]


def _worker(group: ChurnGroup, cycles: list[Cycle]) -> Worker:
    spec = {"group": group.name, "cycles": [cycle.model_dump() for cycle in cycles]}
    return Worker(
        name=f"churn-{group.name}",
        kind=f"churn_{group.kind}",
        from_s=cycles[0].from_s,
        to_s=max(cycle.to_s for cycle in cycles),
        spec=spec,
    )


def _carry_out(run: CanaryRun, host: str, group: str, cycle: Cycle) -> None:
    told: dict[str, Any] = {"number": cycle.number, "lane": cycle.lane, "late_ms": 2.0}
    took = {"connect_ms": 80.0 + cycle.number, "disconnect_ms": 90.0 + cycle.number}
    run.event(cycle.from_s, host, "churn.cycle", f"churn/{group}", ok=True, **told, **took)


def _held(run: CanaryRun, router: str, cycles: list[dict[str, Any]]) -> None:
    """What the router's process and its counters show of those who are connected."""
    t = np.arange(1.0, run.duration_s + 1)
    connected = sum(((t >= c["from_s"]) & (t < c["to_s"])).astype(float) for c in cycles)
    for metric, each in COUNTED.items():
        key = (router, ROUTER, metric)
        others = run.data[key][1] if key in run.data else 40.0
        run.put(*key, t, others + each * connected)
    for metric in ("webrtc_listeners", "sinks", "paths", "streams"):
        run.put(router, "router", metric, t, 2 + connected)
