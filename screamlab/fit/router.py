"""The router's own statistics as a measurement: little, but every router in the field has them.

Of each stream `/api/stats` (0.3.75) has how many chunks came and a smoothed jitter (the J of RFC
3550 section 6.4.1, in ms). A chunk is 1152 frames, 24 ms at 48 kHz, whatever the packets were. It
has not: how long the delay is, which packets were lost or in what bursts, what came out of order,
and what was sent. Packets the router calls late came, and are no loss of the network's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from screamlab.errors import BadInput
from screamlab.evidence.bundle import Bundle
from screamlab.impair.condition import Condition, IndependentLoss

CHUNKS_PER_S = 48000 / 1152
# A chunk more or less at either end must be worth little: 2 of 1250.
MIN_SECONDS = 30
# Below it, a count of chunks cannot tell loss from two clocks and the ends of the count.
LEAST_LOSS = 2e-3
_COUNT, _JITTER, _LATE = (
    "total_packets_in_stream", "jitter_estimate_ms", "timeshift_buffer_late_packets"
)  # fmt: skip
# Unix seconds and the stream's figures, oldest first.
Points = list[tuple[float, dict[str, float]]]
NOT_IN_IT = (
    "the router's statistics hold no delay, no bursts, no reordering and no rate: loss is taken as "
    "independent, and the delay is its jitter alone"
)


@dataclass(frozen=True)
class RouterFit:
    """What one stream's counters say of the way to the router."""

    source: str
    stream: str
    seconds: float
    missing: float
    jitter_ms: float
    late_packets: int
    condition: Condition
    notes: tuple[str, ...]


def read_router(path: Path, text: str) -> RouterFit:
    """The longest stream of a file of answers of `/api/stats`, one JSON object to a line.

    A line may be the answer itself, then a second apart, or `{"t": unix seconds, "stats": answer}`;
    or a line of the spool that the lab writes (`screamlab.observe.router_stats`).
    """
    series: dict[str, Points] = defaultdict(list)
    for number, line in enumerate(text.splitlines()):
        try:
            record = json.loads(line)
        except ValueError:
            # A capture that was cut short ends in half a line.
            continue
        for stream, at_s, values in _streams(record, float(number)):
            series[stream].append((at_s, values))
    return _longest(path, series)


def read_router_run(path: Path) -> RouterFit:
    """The longest stream that the router of a run had."""
    series: dict[str, Points] = {}
    with Bundle(path) as bundle:
        columns = {
            name: bundle.series("router/stream/*", name) for name in (_COUNT, _JITTER, _LATE)
        }
        for key, counts in columns[_COUNT].items():
            values = {name: column[key].value for name, column in columns.items() if key in column}
            series[key[1].removeprefix("router/stream/")] = [
                (float(at), {name: float(value[index]) for name, value in values.items()})
                for index, at in enumerate(counts.t)
            ]
    return _longest(path, series)


def _streams(record: Any, second: float) -> Iterable[tuple[str, float, dict[str, float]]]:
    if not isinstance(record, dict):
        return
    at_s = float(record.get("t", second))
    answer = record.get("stats", record)
    subject = str(record.get("subject", ""))
    if subject.startswith("router/stream/"):
        yield subject.removeprefix("router/stream/"), at_s, record["values"]
    elif isinstance(answer, dict):
        for stream, values in (answer.get("stream_stats") or {}).items():
            yield stream, at_s, values


def _longest(path: Path, series: dict[str, Points]) -> RouterFit:
    stretches = {stream: _running(points) for stream, points in series.items()}
    if not stretches:
        raise BadInput(f"{path}: there are no streams in these statistics of a router")
    stream = max(stretches, key=lambda name: len(stretches[name]))
    points = stretches[stream]
    seconds = points[-1][0] - points[0][0] if points else 0.0
    if seconds < MIN_SECONDS:
        raise BadInput(f"{path}: {seconds:.0f} s of a stream's statistics; {MIN_SECONDS} s needed")
    first, last = points[0][1], points[-1][1]
    missing = 1 - (last[_COUNT] - first[_COUNT]) / (seconds * CHUNKS_PER_S)
    jitter_ms = float(np.median([values.get(_JITTER, 0.0) for _, values in points]))
    late = int(last.get(_LATE, 0) - first.get(_LATE, 0))
    notes = (NOT_IN_IT, f"{late} late packets (they came, so they are no loss)")
    loss = None
    if missing > LEAST_LOSS:
        loss = IndependentLoss(model="independent", percent=round(missing * 100, 2))
    # J tends to the mean difference of two delays, which is 2/√π of a normal deviation; it cannot
    # be told from the delay's own floor, so the floor is set where nothing becomes negative.
    deviation_ms = jitter_ms * sqrt(pi) / 2
    condition = Condition(
        delay_ms=round(3 * deviation_ms, 3), jitter_ms=round(deviation_ms, 3), loss=loss
    )
    return RouterFit(path.name, stream, seconds, missing, jitter_ms, late, condition, notes)


def _running(points: Points) -> Points:
    """The longest stretch in which the stream's count went up; the router forgets it at its end."""
    best: Points = []
    now: Points = []
    for point in points:
        if now and point[1].get(_COUNT, 0.0) <= now[-1][1][_COUNT]:
            best, now = max(best, now, key=len), []
        if point[1].get(_COUNT, 0.0) > 0:
            now.append(point)
    return max(best, now, key=len)


def looks_like_router(text: str) -> bool:
    """Whether a text begins with an answer of `/api/stats` or a line of the lab's spool of it."""
    try:
        record = json.loads(text.splitlines()[0])
    except (ValueError, IndexError):
        return False
    return any(True for _ in _streams(record, 0.0)) or "stream_stats" in str(record)[:200]
