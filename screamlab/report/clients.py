"""What clients tell beside the sound: SIP response times, WebRTC connections, web pages."""

from __future__ import annotations

import base64
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from screamlab.judge.samples import Event, Samples
from screamlab.judge.view import Run

_BUCKET = re.compile(r"(?P<request>.+)_(?P<bound>under|from)_(?P<ms>\d+)ms")
# A report stays small: a day of churn takes no more pictures than these.
MOST_PICTURES = 8


@dataclass(frozen=True)
class ResponseTimes:
    """How long answers to one kind of SIP request took, over all devices.

    `counts` belong to buckets of which `bounds` name the upper ends in milliseconds; the last
    count, one more than there are bounds, is of answers that took longer.
    """

    request: str
    bounds: tuple[int, ...]
    counts: tuple[int, ...]
    slowest_ms: float


def response_times(run: Run) -> list[ResponseTimes]:
    """The histograms of sipp(1), by request, in order of their names."""
    found: dict[str, Counter[int]] = defaultdict(Counter)
    longer: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    for (subject, metric), last in run.bundle.newest("sip/*").items():
        if bucket := _BUCKET.fullmatch(metric):
            if bucket["bound"] == "from":
                longer[bucket["request"]] += int(last)
            else:
                found[bucket["request"]][int(bucket["ms"])] += int(last)
        elif metric.endswith("_max_ms") and subject != "sip/registrar":
            request = metric.removesuffix("_max_ms")
            slowest[request] = max(slowest.get(request, 0.0), last)
    bounds = tuple(sorted({ms for counts in found.values() for ms in counts}))
    return [
        ResponseTimes(
            request,
            bounds,
            (*(found[request][ms] for ms in bounds), longer[request]),
            slowest.get(request, 0.0),
        )
        for request in sorted(found.keys() | longer.keys())
    ]


def sip_failures(run: Run) -> list[tuple[str, int]]:
    """Why calls and registrations of devices failed, most frequent first."""
    causes = Counter(str(event.fields.get("cause")) for event in run.events("sip.failed"))
    return causes.most_common()


@dataclass(frozen=True)
class Listener:
    """A listener by WebRTC: times in milliseconds, packets as its own statistics count them.

    None is what it never told. `jitter_buffer_ms` is the mean.
    """

    name: str
    connections: int
    connect_ms: float | None
    first_audio_ms: float | None
    packets: float | None
    lost: float | None
    jitter_buffer_ms: float | None
    error: str


def listeners(run: Run) -> list[Listener]:
    """Every listener by WebRTC that the run planned or that told something."""
    told: dict[str, list[Event]] = defaultdict(list)
    for event in run.events("webrtc."):
        told[event.subject].append(event)
    subjects = {subject for _, subject in run.family("webrtc", "packets")} | told.keys()
    return [_listener(run, subject, told[subject]) for subject in sorted(subjects)]


def _listener(run: Run, subject: str, told: Iterable[Event]) -> Listener:
    by_kind: dict[str, list[Event]] = defaultdict(list)
    for event in told:
        by_kind[event.kind].append(event)
    buffer = run.series(subject, "jitter_buffer_ms")
    ended = [*by_kind["webrtc.refused"], *by_kind["webrtc.disconnected"]]
    reasons = [event.fields.get("error") or event.fields.get("reason") or "" for event in ended]
    return Listener(
        name=subject.partition("/")[2],
        connections=len(by_kind["webrtc.connected"]),
        connect_ms=_field(by_kind["webrtc.connected"], "connect_ms"),
        first_audio_ms=_field(by_kind["webrtc.audio"], "first_audio_ms"),
        packets=_newest(run.series(subject, "packets")),
        lost=_newest(run.series(subject, "lost")),
        jitter_buffer_ms=float(buffer.value.mean()) if len(buffer) else None,
        error=str(reasons[0]) if reasons else "",
    )


@dataclass(frozen=True)
class Picture:
    """What a browser showed, as a ``data:`` URL."""

    name: str
    url: str


def pictures(run: Run) -> list[Picture]:
    """The screenshots of the router's own page that hosts delivered."""
    files = sorted(run.bundle.path.glob("hosts/*/page-*.png"))[:MOST_PICTURES]
    return [
        Picture(
            f"{file.stem.removeprefix('page-')} on {file.parent.name}",
            f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}",
        )
        for file in files
    ]


def _field(events: Iterable[Event], name: str) -> float | None:
    found = [float(event.fields[name]) for event in events if name in event.fields]
    return found[0] if found else None


def _newest(samples: Samples) -> float | None:
    return float(samples.value[-1]) if len(samples) else None
