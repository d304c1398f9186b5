"""The noise floor: what the null path, past the router, shows of each kind of stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from screamlab.judge.samples import Samples
from screamlab.judge.streams import Placed, Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, contains

ARTIFACTS = ("repeat", "skip", "slip", "click", "swap")
# A client needs a moment to begin, and the oracle one more to answer: what is heard within
# `LATEST_START_S` is measured from `LOCK_S` after it was first heard, all else from the start.
LATEST_START_S = 5.0
LOCK_S = 1.0


@dataclass(frozen=True)
class Floor:
    """Figures of one kind of stream on the null path; None where nothing was measured."""

    kind: str
    streams: int = 0
    seconds: float = 0.0
    heard_share: float | None = None
    dropouts_per_minute: float = 0.0
    dropout_ms_per_minute: float = 0.0
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    level_db: float | None = None
    pacing_p99_ms: float | None = None
    artifacts_per_minute: dict[str, float] = field(default_factory=dict)


@lru_cache(maxsize=4)
def floors(run: Run) -> tuple[Floor, ...]:
    """The noise floor of every kind that ran on the null path, by kind."""
    kinds = sorted({stream.kind for stream in _null(run)})
    return tuple(_floor(run, kind, [s for s in _null(run) if s.kind == kind]) for kind in kinds)


def floor_of(run: Run, stream: Stream) -> Floor | None:
    """The worst that the null path shows of the kinds at either end of a routed stream."""
    return _worst(run, stream.kind, stream.sender.kind, stream.receiver.kind)


@lru_cache(maxsize=64)
def _worst(run: Run, kind: str, sender: str, receiver: str) -> Floor | None:
    alike = [s for s in _null(run) if s.sender.kind == sender or s.receiver.kind == receiver]
    return _floor(run, kind, alike) if alike else None


def listener_floor(run: Run, receiver: Placed) -> Floor | None:
    """What the null path shows of a kind of receiver: its own latency and level."""
    return _of_receivers(run, receiver.kind)


@lru_cache(maxsize=64)
def _of_receivers(run: Run, kind: str) -> Floor | None:
    alike = [stream for stream in _null(run) if stream.receiver.kind == kind]
    return _floor(run, kind, alike) if alike else None


def _null(run: Run) -> list[Stream]:
    return [stream for stream in run.streams if stream.null]


def _floor(run: Run, kind: str, streams: list[Stream]) -> Floor:
    heard = [_settled(run, stream, "heard") for stream in streams]
    seconds = float(sum(len(samples) for samples in heard))
    minutes = seconds / 60 or float("inf")
    latency = _values(run, streams, "latency_ms")
    level = _values(run, streams, "level_db")
    pacing = [
        run.series(f"sender/{s.sender.name}", "pacing_p99_ms", s.sender.host).value for s in streams
    ]
    paced = np.concatenate(pacing) if pacing else np.empty(0)
    return Floor(
        kind=kind,
        streams=len(streams),
        seconds=seconds,
        heard_share=_mean(np.concatenate([samples.value for samples in heard])) if heard else None,
        dropouts_per_minute=_grown(run, streams, "dropouts") / minutes,
        dropout_ms_per_minute=_grown(run, streams, "dropout_ms") / minutes,
        latency_p50_ms=_quantile(latency, 0.5),
        latency_p95_ms=_quantile(latency, 0.95),
        level_db=_quantile(level, 0.5),
        pacing_p99_ms=_quantile(paced, 0.99),
        artifacts_per_minute={k: n / minutes for k, n in _artifacts(run, streams).items()},
    )


def _settled(run: Run, stream: Stream, metric: str) -> Samples:
    return run.series(stream.subject, metric, stream.receiver.host).within(_measured(run, stream))


def _values(run: Run, streams: list[Stream], metric: str) -> np.ndarray:
    found = [_settled(run, stream, metric).value for stream in streams]
    return np.concatenate(found) if found else np.empty(0)


def _grown(run: Run, streams: list[Stream], metric: str) -> float:
    total = 0.0
    for stream in streams:
        growth = run.series(stream.subject, metric, stream.receiver.host).growth()
        total += float(growth.within(_measured(run, stream)).value.sum())
    return total


def _artifacts(run: Run, streams: list[Stream]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for stream in streams:
        for kind in ARTIFACTS:
            counts[kind] += len(artifact_times(run, stream, kind, _measured(run, stream)))
    return +counts


def artifact_times(run: Run, stream: Stream, kind: str, windows: Windows) -> list[float]:
    """When one kind of artifact was heard; those that were only counted included."""
    times = [event.at_s for event in run.events(f"audio.{kind}", stream.subject)]
    for event in run.events("audio.suppressed", stream.subject):
        if event.fields.get("of") == kind:
            times += [event.at_s] * int(event.fields.get("count", 1))
    return sorted(at_s for at_s in times if contains(windows, at_s))


def _measured(run: Run, stream: Stream) -> Windows:
    begin, first = stream.up.from_s, run.first_heard_s(stream)
    if first is not None and begin < first < begin + LATEST_START_S:
        begin = first
    return (Window(begin + LOCK_S, stream.up.to_s),)


def _quantile(values: np.ndarray, q: float) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.quantile(values, q)) if len(values) else None


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
