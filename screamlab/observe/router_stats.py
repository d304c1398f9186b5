"""Worker of the agent: the router's own counters, and how its API answers, once a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from screamlab.agent.context import WorkerContext
from screamlab.observe.hang import HANG_S, HangWatch
from screamlab.router.client import Json, RouterAnswerInvalid, RouterClient, RouterError
from screamlab.router.service import SystemdService
from screamlab.router.topology import PREFIX

# Of the router's many buffer figures these say how full a buffer is; its rates and marks are left
# out, they would triple the volume of a day-long run.
_BUFFER_FIGURES = ("size", "depth_ms")
_REPEAT_ERROR_S = 60.0
_STANDSTILL_S = 5.0
# An agent's workers have 30 s to end after their time.
_LONGEST_POLL_S = 25.0


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Poll `spec["url"]` every `interval_s` until the worker's window ends.

    Where the router runs under a tool, all patience is `slowdown` times as long.

    Series: `router` (`api_latency_ms`, `api_ok`, global counters), `router/stream/<address>`,
    `router/source/<address>/<sink>` (one per route), `router/sink/<name>`. Events:
    `router.api_error` for the first of a row of errors and once a minute while it lasts, with how
    many there were; `router.api_recovered` when it is over.
    """
    interval_s = float(spec.get("interval_s", 1.0))
    outages = Outages(context)
    slowdown = float(spec.get("slowdown", 1.0))
    freshness = Freshness(_STANDSTILL_S * slowdown)
    hang = HangWatch(context, SystemdService(spec["unit"]).pid, after_s=HANG_S * slowdown)
    timeout_s = min(float(spec.get("timeout_s", 5.0)) * slowdown, _LONGEST_POLL_S)
    with RouterClient(spec["url"], timeout_s=timeout_s) as client:
        for _ in context.every(interval_s):
            _poll(client, freshness, outages, hang, context)
    outages.close()
    hang.close()


def _poll(
    client: RouterClient,
    freshness: Freshness,
    outages: Outages,
    hang: HangWatch,
    context: WorkerContext,
) -> None:
    try:
        stats = client.stats()
        freshness.check(stats, time.monotonic())
    except RouterError as error:
        outages.failed(str(error))
        hang.stood(str(error))
        context.spool.series("router", {"api_ok": 0})
        return
    outages.answered()
    hang.moved()
    answer = {"api_ok": 1.0, "api_latency_ms": client.last_latency_ms}
    for subject, values in flatten(stats):
        context.spool.series(subject, {**answer, **values} if subject == "router" else values)


@dataclass
class Outages:
    """Turns single failed polls into events that say when trouble began, lasted and ended."""

    context: WorkerContext
    _since: float | None = None
    _reported: float = 0.0
    _count: int = 0

    def failed(self, error: str) -> None:
        """One poll failed."""
        now = time.monotonic()
        self._count += 1
        if self._since is None:
            self._since = now
        elif now - self._reported < _REPEAT_ERROR_S:
            return
        self._reported = now
        self.context.spool.event("router.api_error", "router", error=error, count=self._count)

    def answered(self) -> None:
        """One poll was answered as it should be."""
        if self._since is not None:
            self._report_end("router.api_recovered")
            self._since, self._count = None, 0

    def close(self) -> None:
        """The worker ends; an outage that lasts until then is reported with its length."""
        if self._since is not None:
            self._report_end("router.api_error", error="still failing at the end")

    def _report_end(self, kind: str, **fields: Any) -> None:
        lasted_s = round(time.monotonic() - (self._since or 0.0), 3)
        self.context.spool.event(kind, "router", count=self._count, lasted_s=lasted_s, **fields)


@dataclass
class Freshness:
    """Sees counters that a blocked engine has not updated for `after_s` or has dropped altogether.

    A thread of the engine collects the counters; the API hands out what that thread left last.
    """

    after_s: float = _STANDSTILL_S
    _last: Json = field(default_factory=dict)
    _changed_at: float = 0.0

    def check(self, stats: Json, now: float) -> None:
        """Raise `RouterAnswerInvalid` for an answer that cannot be the engine's present state."""
        emptied = bool(self._last.get("sink_stats")) and not any(
            stats[group] for group in ("sink_stats", "source_stats", "stream_stats")
        )
        if emptied:
            raise RouterAnswerInvalid("/api/stats has turned empty")
        if stats != self._last:
            self._last, self._changed_at = stats, now
        elif _audio_flows(stats) and now - self._changed_at >= self.after_s:
            raise RouterAnswerInvalid("/api/stats stands still while audio arrives")


def flatten(stats: Json) -> Iterator[tuple[str, dict[str, float]]]:
    """The answer of `/api/stats` as one subject with its numbers at a time."""
    yield "router", {**_numbers(stats["global_stats"]), **_held(stats)}
    for address, values in stats["stream_stats"].items():
        yield f"router/stream/{address}", _numbers(values)
    lanes: dict[str, tuple[str, dict[str, float]]] = {}
    for sink in stats["sink_stats"]:
        name = str(sink["sink_id"]).removeprefix(PREFIX)
        yield f"router/sink/{name}", _numbers(sink)
        for lane in sink.get("inputs", ()):
            lanes[lane["instance_id"]] = (name, _numbers(lane, "lane_"))
    for source in stats["source_stats"]:
        name, lane_values = lanes.get(source["instance_id"], ("?", {}))
        values = {**_numbers(source), **lane_values}
        yield f"router/source/{source['source_tag']}/{name}", values


def _held(stats: Json) -> dict[str, float]:
    """How many there are of everything that clients bring, and have to take with them."""
    sinks = stats["sink_stats"]
    return {
        "sinks": len(sinks),
        "paths": len(stats["source_stats"]),
        "streams": len(stats["stream_stats"]),
        "webrtc_listeners": sum(len(sink.get("webrtc_listeners", ())) for sink in sinks),
    }


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Plain numbers as they are, buffers by how full they are, lists by their length."""
    numbers: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            for figure in _BUFFER_FIGURES:
                if figure in value:
                    numbers[f"{prefix}{key}_{figure}"] = value[figure]
        elif isinstance(value, list):
            numbers[f"{prefix}{key}_count"] = len(value)
        elif isinstance(value, int | float):
            numbers[f"{prefix}{key}"] = value
    return numbers


def _audio_flows(stats: Json) -> bool:
    return any(stream.get("packets_per_second") for stream in stats["stream_stats"].values())
