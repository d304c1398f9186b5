"""What is known of the hosts' clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from screamlab.judge.view import Run


@dataclass(frozen=True)
class ClockState:
    """How far a host's clock is from true, ± `bound_ms`, and who says so."""

    offset_ms: float
    bound_ms: float
    source: str


def clock_of(run: Run, host: str) -> ClockState | None:
    """A host's clock against the controller's; None when nothing tells.

    Hosts with one boot id run on one kernel and so on one clock
    (``/proc/sys/kernel/random/boot_id``, random(4)).
    """
    if len({_boot_id(run, other) for other in run.plans}) == 1 and _boot_id(run, host):
        return ClockState(0.0, 0.0, "all hosts share one kernel")
    clock = run.bundle.facts.get(host, {}).get("clock") or {}
    offset_ms, bound_ms = clock.get("offset_ms"), clock.get("bound_ms")
    if offset_ms is None or bound_ms is None:
        return None
    return ClockState(float(offset_ms), float(bound_ms), "measured")


def one_clock(run: Run, hosts: frozenset[str], within_ms: float) -> bool:
    """Whether what these hosts call a moment is known to be the same within `within_ms`."""
    boot_ids = {_boot_id(run, host) for host in hosts}
    if len(hosts) == 1 or (len(boot_ids) == 1 and None not in boot_ids):
        return True
    states = [clock_of(run, host) for host in hosts]
    known = [state for state in states if state is not None]
    if len(known) < len(states):
        return False
    offsets = [state.offset_ms for state in known]
    return max(offsets) - min(offsets) + sum(state.bound_ms for state in known) <= within_ms


def _boot_id(run: Run, host: str) -> Any:
    return run.bundle.facts.get(host, {}).get("boot_id")
