"""The report's charts as Plotly traces: plain data, drawn by report.js in the reader's browser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from screamlab.evidence.subjects import ROUTER
from screamlab.judge.samples import Event, Samples
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.report.downsample import buckets, compact, rate

MIB = 1 << 20
# Values in the whole report: about 7 bytes each, so some 3 MB beside Plotly's own 5 MB.
BUDGET = 400_000
MOST_POINTS, FEWEST_POINTS = 1500, 60
MOST_EVENTS_OF_A_KIND = 300
MOST_IN_LEGEND = 14
Trace = dict[str, Any]
# One line: its name, its samples, and whether its extremes matter more than its mean.
Line = tuple[str, Samples]


@dataclass
class Chart:
    """One chart; `unit` is the title of its y axis, `kind` tells report.js how to lay it out."""

    id: str
    title: str
    note: str
    unit: str
    traces: list[Trace] = field(default_factory=list)
    kind: str = "lines"
    height: int = 300

    def data(self) -> dict[str, Any]:
        """What report.js needs of it."""
        return {"id": self.id, "unit": self.unit, "traces": self.traces, "kind": self.kind,
                "height": self.height}  # fmt: skip


def charts(run: Run) -> list[Chart]:
    """Every chart that the run has data for, in reading order."""
    draw = _Draw(run)
    made = [
        draw.timeline(),
        draw.sound(),
        *(draw.lines(*spec) for spec in _SPECS),
    ]
    return [chart for chart in made if chart is not None and chart.traces]


def _router(metric: str, scale: float = 1.0) -> Callable[[Run], list[Line]]:
    def lines(run: Run) -> list[Line]:
        samples = run.series(ROUTER, metric, run.router_host)
        name = metric.removesuffix("_bytes").removesuffix("_percent")
        return [(name, Samples(samples.t, samples.value * scale))] if len(samples) else []

    return lines


def _engine(metric: str) -> Callable[[Run], list[Line]]:
    def lines(run: Run) -> list[Line]:
        samples = run.series("router", metric, run.router_host)
        return [(metric, samples)] if len(samples) else []

    return lines


def _several(*parts: Callable[[Run], list[Line]]) -> Callable[[Run], list[Line]]:
    return lambda run: [line for part in parts for line in part(run)]


def _family(family: str, metric: str, *, per_second: bool = False) -> Callable[[Run], list[Line]]:
    def lines(run: Run) -> list[Line]:
        found = []
        for (host, subject), samples in sorted(run.family(family, metric).items()):
            name = host if subject == family else _short_name(subject)
            found.append((name, rate(samples) if per_second else samples))
        return found

    return lines


def _short_name(subject: str) -> str:
    """A subject without its family; a stream of the null path by the one name of both its ends."""
    name = subject.partition("/")[2]
    half = name[: len(name) // 2]
    return half if name == f"{half}/{half}" else name


Spec = tuple[str, str, str, str, str, Callable[[Run], list[Line]]]
# id, title, note, unit, what each bucket shows (band, mean or worst), the lines
_SPECS: tuple[Spec, ...] = (
    ("latency", "Latency of every stream", "From the sender's clock to the listener's ear.", "ms",
     "mean", _family("stream", "latency_ms")),
    ("dropouts", "Dropouts of every stream", "Counted from the stream's start.", "count", "mean",
     _family("stream", "dropouts")),
    ("router-cpu", "Router: processor", "All processes of the unit; 100 % is one processor.", "%",
     "band", _router("cpu_percent")),
    ("router-memory", "Router: memory", "Resident, proportional and unshared.", "MiB", "band",
     _several(*(_router(f"{name}_bytes", 1 / MIB) for name in ("rss", "pss", "uss")))),
    ("router-handles", "Router: threads, descriptors, sockets", "", "count", "mean",
     _several(_router("threads"), _router("descriptors"), _router("sockets"))),
    ("router-held", "Router: what it holds for its clients", "Paths lead from source to sink.",
     "count", "mean",
     _several(*(_engine(name) for name in ("sinks", "paths", "streams", "webrtc_listeners")))),
    ("jitter-buffer", "Jitter buffer of listeners by WebRTC", "", "ms", "mean",
     _family("webrtc", "jitter_buffer_ms")),
    ("contacts", "SIP devices registered", "", "count", "mean", _family("sip", "contacts")),
    ("api", "Router: API latency", "Slowest call of each step.", "ms", "worst",
     _engine("api_latency_ms")),
    ("received", "Packets received", "By receiver.", "per second", "mean",
     _family("receiver", "packets", per_second=True)),
    ("sent", "Packets sent", "By sender.", "per second", "mean",
     _family("sender", "packets", per_second=True)),
    ("impaired", "Packets the impairments dropped", "By link and direction.", "per second", "mean",
     _family("impair", "drops", per_second=True)),
    ("pacing", "Pacing error of the senders", "p99 of each second, worst of each step.", "ms",
     "worst", _family("sender", "pacing_p99_ms")),
    ("wakeups", "Real-time threads on the router's host", "How late each processor ran them.",
     "ms", "worst", _family("processor", "wakeup_late_max_ms")),
    ("hosts", "Processor of the hosts", "All processors of a host are 100 %.", "%", "mean",
     _family("host", "cpu_percent")),
)  # fmt: skip


class _Draw:
    def __init__(self, run: Run) -> None:
        self.run = run
        lines = sum(len(spec[5](run)) * (2 if spec[4] == "band" else 1) for spec in _SPECS)
        lines += len(run.streams)
        self.points = int(np.clip(BUDGET // max(1, lines), FEWEST_POINTS, MOST_POINTS))

    def lines(
        self, name: str, title: str, note: str, unit: str, show: str,
        source: Callable[[Run], list[Line]],
    ) -> Chart:  # fmt: skip
        """A chart of lines over time."""
        chart = Chart(name, title, note, unit)
        found = source(self.run)
        for at, (label, samples) in enumerate(found):
            chart.traces += self._line(at, label, samples, show, legend=len(found) > 1)
        if len(found) > MOST_IN_LEGEND:
            for trace in chart.traces:
                trace["showlegend"] = False
        return chart

    def timeline(self) -> Chart | None:
        """What happened when: one row per kind of event."""
        note = "Every dot is an event; point at it."
        chart = Chart("timeline", "Timeline", note, "", kind="events")
        events = [e for prefix in _TOLD for e in self.run.events(prefix)]
        for kind, count in sorted(Counter(event.kind for event in events).items()):
            alike = [event for event in events if event.kind == kind]
            shown = _thinned(alike, MOST_EVENTS_OF_A_KIND)
            label = kind if len(shown) == count else f"{kind} ({len(shown)} of {count})"
            chart.traces.append(
                {
                    "x": [round(event.at_s, 2) for event in shown],
                    "y": [label] * len(shown),
                    "text": [_told(event) for event in shown],
                    "mode": "markers",
                    "type": "scatter",
                    "hovertemplate": "%{x:.1f} s<br>%{text}<extra></extra>",
                    "showlegend": False,
                }
            )
        chart.height = 120 + 24 * len(chart.traces)
        return chart

    def sound(self) -> Chart | None:
        """Every stream as a row: silence and milliseconds lost, by colour."""
        streams = sorted(self.run.streams, key=lambda stream: (stream.null, stream.subject))
        if not streams or not self.run.duration_s:
            return None
        count = min(self.points, max(1, round(self.run.duration_s)))
        rows = [self._lost(stream, count) for stream in streams]
        step = self.run.duration_s / count
        trace = {
            "type": "heatmap",
            "x0": step / 2,
            "dx": step,
            "y": [_short_name(stream.subject) for stream in streams],
            "z": rows,
            "zmin": 0,
            "zmax": 100,
            "hovertemplate": "%{y}<br>%{x:.0f} s: %{z} % lost<extra></extra>",
        }
        note = "Each row is a listener and the sender it must hear: green is heard whole."
        chart = Chart("sound", "What was heard", note, "% lost", [trace], kind="heat")
        chart.height = 130 + min(900, max(16 * len(streams), 60))
        return chart

    def _lost(self, stream: Stream, count: int) -> list[float | int | None]:
        end = self.run.duration_s
        host = stream.receiver.host
        heard = self.run.series(stream.subject, "heard", host)
        gaps = self.run.series(stream.subject, "dropout_ms", host).growth()
        silent = 100 * (1 - buckets(heard, 0.0, end, count).mean)
        lost_ms = buckets(gaps, 0.0, end, count).mean
        # A sample stands for a second, so milliseconds lost in it are tenths of a percent.
        share = np.fmax(silent, np.clip(lost_ms / 10, 0, 100))
        return compact(share)

    def _line(
        self, at: int, label: str, samples: Samples, show: str, *, legend: bool
    ) -> list[Trace]:
        base = {"type": "scatter", "mode": "lines", "name": label, "showlegend": legend,
                "colour": at}  # fmt: skip
        if len(samples) <= self.points:
            x, y = _with_gaps(samples)
            return [{**base, "x": [round(float(at_s), 2) for at_s in x], "y": compact(y)}]
        found = buckets(samples, 0.0, self.run.duration_s, self.points)
        grid = {"x0": round(found.step_s / 2, 3), "dx": round(found.step_s, 6)}
        if show == "worst":
            return [{**base, **grid, "y": compact(found.high)}]
        if show == "mean":
            return [{**base, **grid, "y": compact(found.mean)}]
        return [
            {**base, **grid, "y": compact(found.high), "band": True, "showlegend": False},
            {**base, **grid, "y": compact(found.low), "band": True, "fill": "tonexty",
             "showlegend": False},
            {**base, **grid, "y": compact(found.mean)},
        ]  # fmt: skip


# Events a reader looks for; those of every single stream's ordinary life are left out.
_TOLD = (
    "audio.", "sender.overrun", "receiver.overrun", "sampler.gap", "worker.failed", "process.",
    "processor.", "core.", "agent.", "router.", "net.", "stream.heard", "impair.",
)  # fmt: skip


def _told(event: Event) -> str:
    fields = ", ".join(f"{key} {value}" for key, value in event.fields.items())
    return f"{event.subject} on {event.host}{': ' if fields else ''}{fields}"[:300]


def _thinned(events: Sequence[Event], most: int) -> list[Event]:
    step = max(1, -(-len(events) // most))
    return list(events[::step])


def _with_gaps(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """The series itself, broken where it was silent for much longer than it usually is."""
    if len(samples) < 3:
        return samples.t, samples.value
    steps = np.diff(samples.t)
    after = np.flatnonzero(steps > 3.5 * float(np.median(steps))) + 1
    return np.insert(samples.t, after, samples.t[after]), np.insert(samples.value, after, np.nan)
