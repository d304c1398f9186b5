"""Whether the router's host let its real-time threads run; what fails here makes a run invalid."""

from __future__ import annotations

from pydantic import Field

from screamlab.judge.checks.lab import router_percent, second
from screamlab.judge.faults import Fault
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.view import Run


class Wakeups(Params):
    """How late a processor may run what is to run at once, and in what share of the seconds.

    Where the router itself had more than `own_percent` of a processor, its threads may have used up
    what the kernel gives real-time ones, and that is no fault of the lab's.
    """

    max_late_ms: float = Field(default=10.0, gt=0)
    own_percent: float = Field(default=90.0, gt=0)
    max_bad_share: float = Field(default=0.02, ge=0, lt=1)


def wakeup_faults(run: Run, params: Wakeups) -> list[Fault]:
    """Every second in which the router's host kept real-time threads from running."""
    found = []
    for (host, subject), samples in sorted(run.family("processor", "wakeup_late_max_ms").items()):
        late = _late(run, params, samples)
        for t, ms in zip(late.t, late.value, strict=True):
            reason = f"{subject} of {host} was not there for {ms:.0f} ms at {run.when(t)}"
            found.append(second(host, t, reason))
    return found


@check("lab.wakeups", Wakeups, faults=wakeup_faults)
def wakeups(run: Run, params: Wakeups) -> list[CheckResult]:
    """The router's host runs real-time threads when they are to run."""
    grade = Grader("lab.wakeups", params.min_samples, bad="invalid")
    results = []
    for (_, subject), samples in sorted(run.family("processor", "wakeup_late_max_ms").items()):
        late = _late(run, params, samples)
        share = len(late) / max(1, len(samples))
        at_s = late.first_above(params.max_late_ms)
        first = "" if at_s is None else f", first at {run.when(at_s)}"
        reason = f"later than {params.max_late_ms:g} ms in {len(late)} of {len(samples)} s{first}"
        results.append(
            grade.at_most(subject, share, params.max_bad_share, "share", len(samples), reason, at_s)
        )
    refused = [str(event.fields.get("error")) for event in run.events("processor.refused")]
    told = f"no real-time thread can be had: {refused[0]}" if refused else "nobody looked"
    return results or [grade.unknown("processors", told)]


def _late(run: Run, params: Wakeups, samples: Samples) -> Samples:
    own = router_percent(run, samples.t)
    late = (samples.value > params.max_late_ms) & (own <= params.own_percent)
    return Samples(samples.t[late], samples.value[late])
