"""What a listener hears: presence, dropouts, level, drift, and sound from the wrong source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from pydantic import Field

from screamlab.judge.faults import charged
from screamlab.judge.model import CheckResult
from screamlab.judge.noise import floor_of, listener_floor
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.samples import Samples
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Windows, contains, length_s
from screamlab.load.listening import GAP_KINDS

Judge = Callable[[Stream, Windows], CheckResult]

# Faults of the lab up to this length, in seconds, are moments.
MOMENT_S = 5.0


def per_stream(run: Run, grade: Grader, judge: Judge) -> list[CheckResult]:
    """Judge every routed stream over its hold time, charging the router only what is its own.

    A stream that was never heard is left to `audio.heard`, where that check is asked for.
    """
    results = []
    for stream in run.routed:
        hold = run.hold(stream)
        silent = run.first_heard_s(stream) is None
        if silent and grade.id != "audio.heard":
            reason = "was never heard, so there is nothing to measure"
            results.append(grade.unknown(stream.subject, reason, unheard=(stream.subject,)))
            continue
        # A moment of the lab's can break a stream, it cannot keep it silent all the time.
        faults = [f for f in run.faults if not silent or f.window.length_s > MOMENT_S]
        evaluate = partial(judge, stream)
        results.append(charged(faults, run.carriers(stream), hold, evaluate))
    return results or [grade.unknown("streams", "no stream goes through the router")]


def of_stream(run: Run, stream: Stream, metric: str) -> Samples:
    """One series of a stream as its receiver wrote it."""
    return run.series(stream.subject, metric, stream.receiver.host)


class Heard(Params):
    """How soon a stream must be heard once both ends are up, and for what share of the hold."""

    within_s: float = Field(default=5.0, gt=0)
    min_share: float = Field(default=0.99, gt=0, le=1)
    min_coverage: float = Field(
        default=0.9, gt=0, le=1, description="share of seconds that must have been reported"
    )


@check("audio.heard", Heard)
def heard(run: Run, params: Heard) -> list[CheckResult]:
    """Every receiver hears every sender it must hear, soon and all the time."""
    grade = Grader("audio.heard", params.min_samples)
    return per_stream(run, grade, lambda s, w: _heard(run, params, grade, s, w))


def _heard(run: Run, params: Heard, grade: Grader, stream: Stream, windows: Windows) -> CheckResult:
    subject, wanted = stream.subject, params.min_share
    samples = of_stream(run, stream, "heard").within(windows)
    if len(samples) < max(params.min_samples, params.min_coverage * (length_s(windows) - 1)):
        covered = f"{len(samples)} of {length_s(windows):.0f} s of hold"
        return grade.unknown(subject, f"the receiver reported only {covered}", len(samples))
    share = float(np.mean(samples.value > 0))
    first = run.first_heard_s(stream)
    if first is None:
        reason = f"never heard in {length_s(windows):.0f} s of hold ({stream.kind})"
        never_s = min((window.from_s for window in windows), default=None)
        return grade.at_least(subject, share, wanted, "share", len(samples), reason, never_s)
    delay = max(0.0, first - stream.up.from_s)
    if delay > params.within_s and share >= wanted:
        reason = f"first heard {delay:.1f} s after both ends were up, at {run.when(first)}"
        return grade.at_most(subject, delay, params.within_s, "s", len(samples), reason, first)
    silent_s = samples.first_below(1)
    gone = "" if silent_s is None else f", not at {run.when(silent_s)}"
    reason = f"heard for {share:.2%} of {length_s(windows):.0f} s of hold{gone}"
    return grade.at_least(subject, share, wanted, "share", len(samples), reason, silent_s)


class Dropouts(Params):
    """Dropouts in the hold beyond the noise floor of the stream's kind."""

    max_per_minute: float = Field(default=0.0, ge=0)
    max_ms_per_minute: float | None = Field(default=None, ge=0)


@check("audio.dropouts", Dropouts)
def dropouts(run: Run, params: Dropouts) -> list[CheckResult]:
    """No stream drops out more often than the null path of its kind."""
    grade = Grader("audio.dropouts", params.min_samples)
    return per_stream(run, grade, lambda s, w: _dropouts(run, params, grade, s, w))


def _dropouts(
    run: Run, params: Dropouts, grade: Grader, stream: Stream, windows: Windows
) -> CheckResult:
    times = of_stream(run, stream, "dropouts").growth().within(windows)
    lengths = of_stream(run, stream, "dropout_ms").growth().within(windows)
    if len(times) < params.min_samples:
        return grade.too_few(stream.subject, len(times), "dropouts in the hold")
    minutes = length_s(windows) / 60
    floor = floor_of(run, stream)
    count, total_ms = float(times.value.sum()), float(lengths.value.sum())
    rate = max(0.0, count / minutes - (floor.dropouts_per_minute if floor else 0.0))
    ms_rate = max(0.0, total_ms / minutes - (floor.dropout_ms_per_minute if floor else 0.0))
    first_s, told = _first_dropout(run, stream, times, windows)
    reason = f"{count:.0f} dropouts, {total_ms:.0f} ms in {length_s(windows):.0f} s of hold{told}"
    subject, samples, limit = stream.subject, len(times), params.max_ms_per_minute
    if limit is not None and ms_rate > limit and rate <= params.max_per_minute:
        return grade.at_most(subject, ms_rate, limit, "ms per minute", samples, reason, first_s)
    limit = params.max_per_minute
    return grade.at_most(subject, rate, limit, "per minute", samples, reason, first_s)


def _first_dropout(
    run: Run, stream: Stream, times: Samples, windows: Windows
) -> tuple[float | None, str]:
    gaps = [event for kind in GAP_KINDS for event in run.events(f"audio.{kind}", stream.subject)]
    for event in sorted(gaps, key=lambda gap: gap.at_s):
        if contains(windows, event.at_s):
            ms = float(event.fields.get("ms", 0.0))
            return event.at_s, f", first at {run.when(event.at_s)} for {ms:.1f} ms"
    first_s = times.first_above(0)
    return first_s, "" if first_s is None else f", first at {run.when(first_s)}"


class Level(Params):
    """How far a stream's level may lie from the null path's of the same kind of listener."""

    max_change_db: float = Field(default=3.0, gt=0)


@check("audio.level", Level)
def level(run: Run, params: Level) -> list[CheckResult]:
    """Every stream is as loud as the null path of its kind."""
    grade = Grader("audio.level", params.min_samples)
    return per_stream(run, grade, lambda s, w: _level(run, params, grade, s, w))


def _level(run: Run, params: Level, grade: Grader, stream: Stream, windows: Windows) -> CheckResult:
    samples = of_stream(run, stream, "level_db").within(windows)
    floor = listener_floor(run, stream.receiver) or floor_of(run, stream)
    if floor is None or floor.level_db is None:
        return grade.unknown(stream.subject, "no null path of its kind to hold the level against")
    if len(samples) < params.min_samples:
        return grade.too_few(stream.subject, len(samples), "level")
    change = float(np.median(samples.value)) - floor.level_db
    reason = f"median level {change:+.2f} dB against the null path over the hold"
    return grade.at_most(
        stream.subject, abs(change), params.max_change_db, "dB", len(samples), reason
    )


class Drift(Params):
    """How fast a stream's clock may run from the sender's."""

    max_ppm: float = Field(default=50.0, gt=0)


@check("audio.drift", Drift)
def drift(run: Run, params: Drift) -> list[CheckResult]:
    """No stream runs faster or slower than it was sent."""
    grade = Grader("audio.drift", params.min_samples)
    return per_stream(run, grade, lambda s, w: _drift(run, params, grade, s, w))


def _drift(run: Run, params: Drift, grade: Grader, stream: Stream, windows: Windows) -> CheckResult:
    samples = of_stream(run, stream, "drift_ppm").within(windows)
    if len(samples) < params.min_samples:
        return grade.too_few(stream.subject, len(samples), "drift")
    ppm = float(np.median(samples.value))
    reason = f"median drift {ppm:+.1f} ppm over {length_s(windows):.0f} s of hold"
    return grade.at_most(stream.subject, abs(ppm), params.max_ppm, "ppm", len(samples), reason)


class Crosstalk(Params):
    """How often a sender may be heard where it is not routed."""

    max_times: int = Field(default=0, ge=0)


@check("audio.crosstalk", Crosstalk)
def crosstalk(run: Run, params: Crosstalk) -> list[CheckResult]:
    """No receiver hears a sender that is not routed to it."""
    grade = Grader("audio.crosstalk", params.min_samples)
    results = []
    for receiver in run.receivers:
        own = [stream for stream in run.routed if stream.receiver == receiver]
        if not own:
            continue
        listened = max(len(of_stream(run, stream, "heard")) for stream in own)
        events = run.events("audio.crosstalk", f"stream/{receiver.name}/*")
        reason = "no sound from a sender that is not routed there"
        if events:
            level_db = events[0].fields.get("level_db", events[0].fields.get("db"))
            loud = f" at {float(level_db):.1f} dB" if level_db is not None else ""
            source = events[0].fields.get("sender") or events[0].subject.rpartition("/")[2]
            reason = (
                f"heard {source}, which is not routed there{loud}, at {run.when(events[0].at_s)}, "
                f"{len(events)} times in all"
            )
        subject, limit = f"receiver/{receiver.name}", params.max_times
        at_s = events[0].at_s if events else None
        results.append(grade.at_most(subject, len(events), limit, "times", listened, reason, at_s))
    return results or [grade.unknown("receivers", "no receiver listens to the router")]
