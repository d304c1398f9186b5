"""What captured packets say about what was heard."""

from __future__ import annotations

from pydantic import Field

from screamlab.judge.checks.audio import of_stream, per_stream
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, contains, intersect, length_s
from screamlab.judge.wire import ROUTER, Traced, packets, traced


class Wire(Params):
    """Dropouts in the hold that begin in the router, or in packets that reached the listener."""

    max_times: int = Field(default=0, ge=0)


@check("wire.dropouts", Wire)
def dropouts(run: Run, params: Wire) -> list[CheckResult]:
    """What is heard to drop out was broken on the wire before the router, or after it."""
    grade = Grader("wire.dropouts", params.min_samples)
    return per_stream(run, grade, lambda s, w: _dropouts(run, params, grade, s, w))


def _dropouts(
    run: Run, params: Wire, grade: Grader, stream: Stream, windows: Windows
) -> CheckResult:
    captured = intersect(windows, _captured(run))
    samples = len(of_stream(run, stream, "heard").within(captured))
    if not captured:
        return grade.unknown(stream.subject, "no packets were captured")
    found = [one for one in traced(run) if one.stream == stream and contains(windows, one.at_s)]
    own = [one for one in found if _is_routers(one)]
    unplaced = [
        one for one in found if not _is_routers(one) and ROUTER in (one.places or (ROUTER,))
    ]
    if unplaced and len(own) <= params.max_times:
        why = packets(run).error or _first(run, unplaced)
        reason = f"{len(unplaced)} of {len(found)} dropouts cannot be placed: {why}"
        return grade.unknown(stream.subject, reason, samples)
    told = f": {_first(run, own or found)}" if found else ""
    reason = f"{len(own)} of {len(found)} dropouts in {length_s(captured):.0f} s of capture{told}"
    return grade.at_most(
        stream.subject, len(own), params.max_times, "dropouts not of the network", samples, reason
    )


def _is_routers(one: Traced) -> bool:
    """Whether it is the router's, or at least reached the listener in packets that were whole."""
    whole = all(seen.whole for seen in one.seen.values())
    return one.places == (ROUTER,) or (whole and max(one.seen, default=0) == ROUTER + 1)


def _first(run: Run, found: list[Traced]) -> str:
    return f"first at {run.when(found[0].at_s)} for {found[0].ms:.0f} ms, {found[0].text}"


def _captured(run: Run) -> Windows:
    """When packets were kept, on any host."""
    started = [event.at_s for event in run.events("capture.start")]
    ended = [event.at_s for event in run.events("capture.end")]
    return (Window(min(started), max([run.duration_s, *ended])),) if started else ()


class Capture(Params):
    """Packets that dumpcap missed, as a share; caps on incidents are meant to leave some out."""

    max_missed_share: float = Field(default=0.0, ge=0, lt=1)
    min_samples: int = Field(default=50, ge=1, description="packets")


@check("wire.capture", Capture)
def capture(run: Run, params: Capture) -> list[CheckResult]:
    """Every capture saw every packet."""
    grade = Grader("wire.capture", params.min_samples, bad="invalid")
    results = []
    for started in run.events("capture.start"):
        subject = f"capture/{started.host}"
        end = next((e for e in run.events("capture.end") if e.host == started.host), None)
        if end is None:
            results.append(grade.unknown(subject, "the capture has not told of its end"))
            continue
        missed = int(end.fields["missed"])
        seen = int(end.fields["packets"]) + missed
        left = [e for e in run.events("capture.left_out") if e.host == started.host]
        told = f", the first because {left[0].fields['reason']}" if left else ""
        reason = (
            f"{missed} of {seen} packets missed; left out: {len(left)} incidents and "
            f"{end.fields['left_out']} events{told}"
        )
        share = missed / seen if seen else 0.0
        results.append(
            grade.at_most(subject, share, params.max_missed_share, "share", seen, reason)
        )
    return results or [grade.unknown("capture", "no packets were captured")]
