"""The worker that lets others look on while a host's part of a run goes on: OpenMetrics over HTTP.

Spec: `{"address": "198.18.0.10", "port": 9466, "run_id", "phases": [{name, kind, from_s, to_s}]}`.
It reads what the host's workers write into the spool, when it is asked and not otherwise, so the
run is the same whether anybody looks or not. It listens at that one address, the host's on the
network by which Ansible reaches it; where it cannot, it says so (`metrics.refused`) and the run
goes on without.

Metrics: every series of the spool by its name (`screamlab_cpu_percent{host, run, subject}`), for as
long as it is written; `screamlab_events_total{kind}`; `screamlab_phase{phase, kind}`, 1 for the one
that is on; and `screamlab_run_seconds` since the plan's zero.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from screamlab.agent.context import WorkerContext
from screamlab.evidence.follow import new_records
from screamlab.evidence.spool import parse_line

# A series that has not been written for so long is over.
STALE_S = 15.0
# At the end of a file of series lies what was written last: some 25 s of the router's.
TAIL_BYTES = 1 << 19
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")
_LABELS = ("host", "run")
_NICE = 10


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Answer whoever asks until the worker's window ends."""
    os.nice(_NICE)
    registry = CollectorRegistry()
    registry.register(Spooled(spec, context))
    try:
        server, thread = start_http_server(spec["port"], addr=spec["address"], registry=registry)
    except OSError as error:
        place = f"{spec['address']}:{spec['port']}"
        context.spool.event("metrics.refused", place, error=error.strerror or str(error))
        context.sleep_until(context.to_s)
        return
    context.sleep_until(context.to_s)
    server.shutdown()
    server.server_close()
    thread.join()


class Spooled:
    """What a spool holds, as a collector of prometheus-client's."""

    def __init__(self, spec: dict[str, Any], context: WorkerContext) -> None:
        self._context = context
        self._phases = spec.get("phases", ())
        self._own = (context.host, spec["run_id"])
        self._offsets: dict[Path, int] = {}
        self._events: Counter[str] = Counter()
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Everything as it is now."""
        with self._lock:
            yield from self._series()
            yield self._counted()
        now_s = self._context.now_s()
        phase = GaugeMetricFamily(
            "screamlab_phase", "Whether it is on.", labels=(*_LABELS, "phase", "kind")
        )
        for one in self._phases:
            on = one["from_s"] <= now_s < one["to_s"]
            phase.add_metric((*self._own, one["name"], one["kind"]), float(on))
        yield phase
        seconds = GaugeMetricFamily("screamlab_run_seconds", "Since the zero.", labels=_LABELS)
        seconds.add_metric(self._own, now_s)
        yield seconds

    def _series(self) -> Iterator[Metric]:
        newest: dict[tuple[str, str], tuple[float, float]] = {}
        oldest = time.time() - STALE_S
        for file in sorted(self._context.directory.glob("series-*.jsonl")):
            for record in _tail(file):
                t = record.get("t", 0.0)
                for name, value in (record.get("values") or {}).items() if t >= oldest else ():
                    key = (_NO_NAME.sub("_", name), str(record.get("subject")))
                    if value is not None and t >= newest.get(key, (0.0, 0.0))[0]:
                        newest[key] = (t, float(value))
        families: dict[str, GaugeMetricFamily] = {}
        for (name, subject), (_, value) in sorted(newest.items()):
            if name not in families:
                labels = (*_LABELS, "subject")
                families[name] = GaugeMetricFamily(
                    f"screamlab_{name}", f"Series {name}.", labels=labels
                )
            families[name].add_metric((*self._own, subject), value)
        yield from families.values()

    def _counted(self) -> Metric:
        for file in sorted(self._context.directory.glob("events-*.jsonl")):
            for record in new_records(file, self._offsets):
                self._events[str(record.get("kind"))] += 1
        labels = (*_LABELS, "kind")
        family = CounterMetricFamily("screamlab_events", "Events of the run so far.", labels=labels)
        for kind, count in sorted(self._events.items()):
            family.add_metric((*self._own, kind), count)
        return family


def _tail(file: Path) -> Iterator[dict[str, Any]]:
    """The records at the end of a file of series, the first of them perhaps torn and left out."""
    # A file may just have been collected and removed.
    with suppress(FileNotFoundError), file.open("rb") as opened:
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - TAIL_BYTES))
        yield from filter(None, map(parse_line, opened.read(TAIL_BYTES).splitlines()))
