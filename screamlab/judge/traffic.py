"""How many packets go through an impairment: probes are only some of what it decides about."""

from __future__ import annotations

from screamlab.impair.condition import Impairment
from screamlab.impair.probe_stream import Direction
from screamlab.judge.probing import probes
from screamlab.judge.streams import Placed
from screamlab.judge.view import Run
from screamlab.judge.windows import Windows, length_s


def packets_per_s(
    run: Run, point: str, impairment: Impairment, direction: Direction, windows: Windows
) -> float:
    """Packets a second that one direction of an impairment saw in `windows`.

    By the impairment's own counters; where there are none, what the streams over that link
    reported, and the probes.
    """
    subject = f"impair/{impairment.target}/{direction}"
    counted = run.series(subject, "packets", point).growth().within(windows)
    lost = run.series(subject, "drops", point).growth().within(windows)
    if len(counted) >= 2:
        grown = float(counted.value[1:].sum() + lost.value[1:].sum())
        return grown / float(counted.t[-1] - counted.t[0])
    outward = direction == "from_host"
    probing = sum(
        probe.per_second
        for probe in probes(run)
        if (probe.sender if outward else probe.receiver) == impairment.target
    )
    return probing + _streams_per_s(run, impairment.target, outward, windows)


def _streams_per_s(run: Run, target: str, outward: bool, windows: Windows) -> float:
    """What the target's own streams carry; all of them where the target is the router."""
    at_router = target == run.router_host
    placed: list[Placed] = []
    if outward != at_router:
        placed += [sender for sender in run.senders if at_router or sender.host == target]
    else:
        placed += [receiver for receiver in run.receivers if at_router or receiver.host == target]
    kind = "sender" if outward != at_router else "receiver"
    total = 0.0
    for end in placed:
        grown = run.series(f"{kind}/{end.name}", "packets", end.host).growth().within(windows)
        total += float(grown.value.sum())
    return total / length_s(windows) if windows else 0.0
