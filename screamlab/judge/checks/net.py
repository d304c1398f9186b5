"""What receivers count in the packets that reach them."""

from __future__ import annotations

from functools import partial

from pydantic import Field

from screamlab.judge.faults import charged
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.streams import Placed
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect
from screamlab.scenario.plan import NULL_PREFIX


class Loss(Params):
    """RTP packets lost as a share of those sent, doubled or out of order as a count (RFC 3550)."""

    max_share: float = Field(default=0.0, ge=0, le=1)
    max_duplicate: int = Field(default=0, ge=0)
    max_reordered: int = Field(default=0, ge=0)
    min_samples: int = Field(default=50, ge=1, description="packets")


@check("net.loss", Loss)
def loss(run: Run, params: Loss) -> list[CheckResult]:
    """No RTP packet is lost, doubled or out of order between router and receiver."""
    grade = Grader("net.loss", params.min_samples)
    results = []
    for receiver in run.receivers:
        subject = f"receiver/{receiver.name}"
        counted = len(run.series(subject, "lost", receiver.host)) > 0
        if receiver.name.startswith(NULL_PREFIX) or not counted:
            continue
        own = [stream for stream in run.routed if stream.receiver == receiver]
        if own and all(run.first_heard_s(stream) is None for stream in own):
            reason = "heard nothing, so there are no packets to count"
            unheard = tuple(stream.subject for stream in own)
            results.append(grade.unknown(subject, reason, unheard=unheard))
            continue
        up = Window(receiver.stream.from_s, receiver.stream.to_s)
        hold = intersect(run.phase("hold"), (up,))
        evaluate = partial(_loss, run, params, grade, receiver)
        # What the senders' hosts do is not lost between router and receiver.
        hosts = frozenset(filter(None, (run.router_host, receiver.host)))
        results.append(charged(run.faults, hosts, hold, evaluate))
    return results or [grade.unknown("receivers", "no receiver counts RTP sequence numbers")]


def _loss(run: Run, params: Loss, grade: Grader, receiver: Placed, windows: Windows) -> CheckResult:
    subject = f"receiver/{receiver.name}"
    grown = {
        metric: run.series(subject, metric, receiver.host).growth().within(windows)
        for metric in ("packets", "lost", "duplicate", "reordered")
    }
    packets, lost, doubled, reordered = (float(samples.value.sum()) for samples in grown.values())
    first_s = grown["lost"].first_above(0)
    first = "" if first_s is None else f", first at {run.when(first_s)}"
    reason = (
        f"{lost:.0f} lost{first}, {doubled:.0f} doubled, {reordered:.0f} out of order of "
        f"{packets:.0f} packets"
    )
    samples = int(packets + lost)
    share = lost / samples if samples else 0.0
    if share <= params.max_share and doubled > params.max_duplicate:
        return grade.at_most(subject, doubled, params.max_duplicate, "doubled", samples, reason)
    if share <= params.max_share and reordered > params.max_reordered:
        return grade.at_most(
            subject, reordered, params.max_reordered, "out of order", samples, reason
        )
    return grade.at_most(subject, share, params.max_share, "share", samples, reason, first_s)
