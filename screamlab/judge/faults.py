"""What the lab did to itself, so that it is never charged to the router.

A fault is a stretch of time in which a host could not be trusted. An audio check that does not
pass is judged again without the faults of the hosts that carry the stream: what still fails then
is the router's. Crashes and hangs are never excused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from screamlab.judge.model import CheckResult
from screamlab.judge.windows import Window, Windows, intersect, length_s, merge, subtract

# The share of the time that must have been free of faults for a check to be judged by it.
MIN_CLEAN_SHARE = 0.5

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
    """Evaluate a check over `windows`, charging nothing that `faults` of `hosts` explain.

    What fails, or cannot be told, only for the lab's own bad moments is judged by the rest of the
    time; where less than `MIN_CLEAN_SHARE` is left, nothing can be said.
    """
    result = evaluate(windows)
    if result.status not in {"fail", "unknown"}:
        return result
    excuses = [f for f in faults if f.host in hosts and intersect((f.window,), windows)]
    if not excuses:
        return result
    clean = subtract(windows, merge(fault.window for fault in excuses))
    left_out_s = length_s(windows) - length_s(clean)
    told = f"{left_out_s:.0f} s left out for the lab's own faults, first: {excuses[0].reason}"
    if length_s(clean) >= MIN_CLEAN_SHARE * length_s(windows):
        again = evaluate(clean)
        if again.status in {"pass", "fail"}:
            return again.but(reason=f"{again.reason}; {told}")
    if result.status == "unknown":
        return result
    return result.but(status="invalid", reason=f"{result.reason}; {told}")
