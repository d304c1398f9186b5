"""What is known of the hosts' clocks."""

from __future__ import annotations

from dataclasses import dataclass

from screamlab.judge.view import Run


@dataclass(frozen=True)
class ClockState:
    """How far a host's clock is from true, ± `bound_ms`, and who says so."""

    offset_ms: float
    bound_ms: float
    source: str


def clock_of(run: Run, host: str) -> ClockState | None:
    """A host's clock against the controller's; None when nothing tells.

    Hosts on one kernel have one clock.
    """
    if run.share_kernel(run.plans):
        return ClockState(0.0, 0.0, "all hosts share one kernel")
    clock = run.bundle.facts.get(host, {}).get("clock") or {}
    offset_ms, bound_ms = clock.get("offset_ms"), clock.get("bound_ms")
    if offset_ms is None or bound_ms is None:
        return None
    return ClockState(float(offset_ms), float(bound_ms), "measured")


def one_clock(run: Run, hosts: frozenset[str], within_ms: float) -> bool:
    """Whether what these hosts call a moment is known to be the same within `within_ms`."""
    if len(hosts) == 1 or run.share_kernel(hosts):
        return True
    states = [clock_of(run, host) for host in hosts]
    known = [state for state in states if state is not None]
    if len(known) < len(states):
        return False
    offsets = [state.offset_ms for state in known]
    return max(offsets) - min(offsets) + sum(state.bound_ms for state in known) <= within_ms
