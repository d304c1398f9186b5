"""Whether the router's streams come back when the network does."""

from __future__ import annotations

from functools import partial

import numpy as np
from pydantic import Field

from screamlab.judge.checks.audio import MOMENT_S, of_stream
from screamlab.judge.faults import charged
from screamlab.judge.impaired import impaired_windows
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect, length_s

# A stream counts as heard before when it was in most of this time.
BEFORE_S = 5.0


class Recovery(Params):
    """How soon a stream must be heard again, and for what share of the time from then on."""

    max_seconds: float = Field(default=10.0, gt=0)
    min_share: float = Field(default=0.98, gt=0, le=1)


@check("impair.recovery", Recovery)
def recovery(run: Run, params: Recovery) -> list[CheckResult]:
    """Every stream that was heard before an impairment is heard again after it, and stays."""
    grade = Grader("impair.recovery", params.min_samples)
    broken = impaired_windows(run)
    if not broken:
        return [grade.unknown("impairments", "no impairment is planned")]
    results = [result for s in run.routed for result in _stream(run, params, grade, s, broken)]
    return results or [grade.unknown("streams", "no stream was up before and after an impairment")]


def _stream(
    run: Run, params: Recovery, grade: Grader, stream: Stream, broken: Windows
) -> list[CheckResult]:
    """One result after each impaired time that the stream lived through."""
    results = []
    for window, following in zip(broken, (*broken[1:], None), strict=True):
        end = stream.up.to_s if following is None else min(stream.up.to_s, following.from_s)
        calm = Window(window.to_s, end)
        if stream.up.from_s >= window.from_s or not calm.length_s:
            continue
        subject = f"{stream.subject}@{window.to_s:g}"
        if run.first_heard_s(stream) is None:
            reason = "was never heard, so there is nothing to recover"
            results.append(grade.unknown(subject, reason, unheard=(stream.subject,)))
            continue
        before = Window(max(stream.up.from_s, window.from_s - BEFORE_S), window.from_s)
        heard = of_stream(run, stream, "heard").within((before,)).value > 0
        if not len(heard) or np.mean(heard) <= 0.5:
            reason = f"was not heard before {run.when(window.from_s)}"
            results.append(grade.unknown(subject, reason, len(heard)))
            continue
        faults = [fault for fault in run.faults if fault.window.length_s > MOMENT_S]
        evaluate = partial(_recovered, run, params, grade, stream, subject, calm)
        results.append(charged(faults, run.carriers(stream), (calm,), evaluate))
    return results


def _recovered(
    run: Run,
    params: Recovery,
    grade: Grader,
    stream: Stream,
    subject: str,
    calm: Window,
    windows: Windows,
) -> CheckResult:
    samples = of_stream(run, stream, "heard").within(windows)
    limit = params.max_seconds
    # A sample at t speaks of the second before t.
    if len(samples) < params.min_samples or length_s(windows) <= limit:
        told = f"{length_s(windows):.1f} s and {len(samples)} samples after the network healed"
        return grade.unknown(subject, f"only {told}", len(samples))
    back = samples.t[samples.value > 0]
    if not len(back):
        reason = f"not heard again in {calm.length_s:.0f} s after {run.when(calm.from_s)}"
        return grade.at_most(subject, calm.length_s, limit, "s", len(samples), reason)
    after_s = float(back[0]) - calm.from_s
    late = samples.within(intersect(windows, (Window(calm.from_s + limit, calm.to_s),)))
    share = float(np.mean(late.value > 0)) if len(late) else 1.0
    if after_s <= limit and share < params.min_share:
        gone = run.when(float(late.t[late.value <= 0][0]))
        reason = f"back after {after_s:.1f} s, then heard for only {share:.1%}, not at {gone}"
        return grade.at_least(subject, share, params.min_share, "share", len(samples), reason)
    reason = f"heard again {after_s:.1f} s after the network healed at {run.when(calm.from_s)}"
    return grade.at_most(subject, after_s, limit, "s", len(samples), reason)
