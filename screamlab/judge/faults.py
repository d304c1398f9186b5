"""What the lab did to itself, so that it is never charged to the router.

A fault is a stretch of time in which a host could not be trusted. An audio check that fails is
judged again without the faults of the two hosts that play the stream: what still fails then is
the router's; what does not is `invalid`. Crashes and hangs are never excused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from screamlab.judge.model import CheckResult
from screamlab.judge.windows import Window, Windows, intersect, merge, subtract

Evaluate = Callable[[Windows], CheckResult]


@dataclass(frozen=True)
class Fault:
    """In `window` the lab's own part on `host` failed, as `reason` says."""

    host: str
    window: Window
    reason: str


def charged(
    faults: Iterable[Fault], hosts: frozenset[str], windows: Windows, evaluate: Evaluate
) -> CheckResult:
    """Evaluate a check over `windows`, charging nothing that `faults` of `hosts` explain."""
    result = evaluate(windows)
    if result.status != "fail":
        return result
    excuses = [f for f in faults if f.host in hosts and intersect((f.window,), windows)]
    if not excuses:
        return result
    again = evaluate(subtract(windows, merge(fault.window for fault in excuses)))
    if again.status == "fail":
        return again
    return result.but(
        status="invalid",
        reason=f"{result.reason}; the lab's own fault in that time: {excuses[0].reason}",
    )
