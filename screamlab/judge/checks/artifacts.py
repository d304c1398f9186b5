"""Repeats, skips, slips, clicks and swaps in what a listener hears."""

from __future__ import annotations

from pydantic import Field

from screamlab.judge.checks.audio import of_stream, per_stream
from screamlab.judge.model import CheckResult
from screamlab.judge.noise import ARTIFACTS, artifact_times, floor_of
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Windows, length_s


class Artifacts(Params):
    """Artifacts a minute in the hold, beyond the null path's, all kinds or `only` some."""

    max_per_minute: float = Field(default=0.0, ge=0)
    only: tuple[str, ...] = Field(default=ARTIFACTS, min_length=1)


@check("audio.artifacts", Artifacts)
def artifacts(run: Run, params: Artifacts) -> list[CheckResult]:
    """No stream repeats, skips, slips, clicks or swaps more than the null path of its kind."""
    grade = Grader("audio.artifacts", params.min_samples)
    return per_stream(run, grade, lambda s, w: _artifacts(run, params, grade, s, w))


def _artifacts(
    run: Run, params: Artifacts, grade: Grader, stream: Stream, windows: Windows
) -> CheckResult:
    times = {kind: artifact_times(run, stream, kind, windows) for kind in params.only}
    count = sum(map(len, times.values()))
    samples = len(of_stream(run, stream, "heard").within(windows))
    if samples < params.min_samples:
        return grade.too_few(stream.subject, samples, "audio in the hold")
    floor = floor_of(run, stream)
    noise = sum(floor.artifacts_per_minute.get(kind, 0.0) for kind in params.only) if floor else 0.0
    rate = max(0.0, count / (length_s(windows) / 60) - noise)
    counted = ", ".join(f"{len(at)} × {kind}" for kind, at in times.items() if at) or "none"
    first_s = min((at[0] for at in times.values() if at), default=None)
    first = "" if first_s is None else f", first at {run.when(first_s)}"
    reason = f"{counted} in {length_s(windows):.0f} s of hold{first}"
    limit = params.max_per_minute
    return grade.at_most(stream.subject, rate, limit, "per minute", samples, reason, first_s)
