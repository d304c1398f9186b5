"""Reader of a run's own probes: the packets that prove an impairment, or its replay."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from screamlab.errors import BadInput
from screamlab.evidence.bundle import Bundle, Event
from screamlab.fit.samples import Samples, make
from screamlab.impair.condition import Impairment
from screamlab.impair.probe_stream import ProbeStream

# A second of probes counts when the impairment held for all of it and the queues have filled.
MARGIN_S = 1.0


def read_run(path: Path, target: str | None = None) -> list[Samples]:
    """Each probe stream of a run folder, while the link that it probes was impaired.

    Only the link of `target`, when that is given. `BadInput` when nothing was probed.
    """
    with Bundle(path) as bundle:
        streams, impaired = _planned(bundle)
        seconds: dict[str, list[Event]] = defaultdict(list)
        for event in bundle.iter_events("probe.second"):
            seconds[event["subject"].removeprefix("probe/")].append(event)
        found = [
            _samples(path, stream, _while_impaired(seconds[name], stream, impaired))
            for name, stream in streams.items()
            if seconds.get(name) and target in (None, stream.target)
        ]
    if not found:
        raise BadInput(f"{path}: the run has no probe of {target or 'an impaired link'}")
    return found


def has_probes(path: Path) -> bool:
    """Whether a run folder has any probe in it."""
    with Bundle(path) as bundle:
        return next(bundle.iter_events("probe.second"), None) is not None


def _planned(bundle: Bundle) -> tuple[dict[str, ProbeStream], list[Impairment]]:
    plans = bundle.plans.values()
    streams = [
        ProbeStream.model_validate(stream)
        for plan in plans
        for worker in plan.workers
        if worker.kind == "probe_receiver"
        for stream in worker.spec["streams"]
    ]
    impaired = [impairment for plan in plans for impairment in plan.impairments]
    return {stream.name: stream for stream in streams}, impaired


def _while_impaired(
    events: list[Event], stream: ProbeStream, impaired: list[Impairment]
) -> list[Event]:
    """Seconds within an impairment of the stream's link; all of them where none was planned."""
    windows = [(one.from_s, one.to_s) for one in impaired if one.target == stream.target]
    if not windows:
        return events
    return [
        event
        for event in events
        if any(from_s + MARGIN_S <= event["second"] < to_s - MARGIN_S for from_s, to_s in windows)
    ]


def _samples(path: Path, stream: ProbeStream, events: list[Event]) -> Samples:
    delays: dict[int, float | None] = {}
    for event in events:
        numbers = range(event["first_seq"], event["first_seq"] + len(event["delays_us"]))
        delays |= dict(zip(numbers, event["delays_us"], strict=True))
    sequence = np.array(sorted(delays))
    delay_us = np.array([delays[at] for at in sequence], float)
    send_s = (sequence - (sequence[0] if len(sequence) else 0)) * stream.interval_ms / 1e3
    # Probes are sent a little off their beat; the receiver knows whether one came out of order.
    in_order = not any(event.get("reordered", 0) for event in events)
    return make(
        path.name,
        stream.direction,
        send_s,
        delay_us / 1e6,
        arrival_s=send_s if in_order else None,
        bytes_on_link=stream.payload_bytes + 42,
        duplicates=sum(event.get("duplicates", 0) for event in events),
        notes=(f"probe {stream.name}, {len(events)} s while {stream.target} was impaired",),
    )
