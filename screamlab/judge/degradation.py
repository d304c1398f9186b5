"""What became of every stream while the network was broken, phase by phase: told, not judged.

Network loss, what the router threw away as too late, and what it lacked at its output are counted
apart, so that a reader sees who lost the sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from screamlab.judge.samples import Samples
from screamlab.judge.streams import Stream
from screamlab.judge.view import Run
from screamlab.judge.windows import Window
from screamlab.scenario.plan import Phase


@dataclass(frozen=True)
class Degradation:
    """One stream in one phase; counts are of the whole phase, None where nobody counted.

    `lost` are packets lost between router and listener, `late` and `discarded` those that reached
    the router and were of no use to it, `underruns` the times its buffers ran dry.
    """

    phase: str
    stream: str
    heard_share: float | None
    dropouts_per_minute: float | None
    ms_lost_per_minute: float | None
    lost: float | None
    late: float | None
    discarded: float | None
    underruns: float | None


def degradation(run: Run) -> list[Degradation]:
    """Every routed stream in every phase that is impaired, or that the others are held against."""
    kinds = {"hold", "impaired", "recover"}
    phases = [phase for phase in run.phases if phase.kind in kinds]
    if not any(phase.kind == "impaired" for phase in phases):
        return []
    return [_of(run, stream, phase) for stream in run.routed for phase in phases]


def _of(run: Run, stream: Stream, phase: Phase) -> Degradation:
    minutes = (phase.to_s - phase.from_s) / 60
    grown = partial(_grown, phase=phase)
    own = partial(run.series, stream.subject, host=stream.receiver.host)
    heard = own("heard").within((Window(phase.from_s, phase.to_s),))
    per_minute = [
        None if count is None else count / minutes
        for count in (grown([own("dropouts")]), grown([own("dropout_ms")]))
    ]
    at_input = partial(_at_input, run, stream)
    sink = f"router/sink/{stream.sink}"
    return Degradation(
        phase=phase.name,
        stream=stream.subject.removeprefix("stream/"),
        heard_share=float(np.mean(heard.value > 0)) if len(heard) else None,
        dropouts_per_minute=per_minute[0],
        ms_lost_per_minute=per_minute[1],
        lost=grown([run.series(f"receiver/{stream.receiver.name}", "lost")]),
        late=grown(at_input("timeshift_buffer_late_packets")),
        discarded=grown(at_input("tm_packets_discarded")),
        underruns=grown(
            [*at_input("tm_buffer_underruns"), run.series(sink, "sink_buffer_underruns")]
        ),
    )


def _at_input(run: Run, stream: Stream, metric: str) -> list[Samples]:
    """A counter of the router's for what this sender's address sends it."""
    local = getattr(stream.sender.stream, "local", None)
    found = run.family("router/stream", metric)
    return [samples for (_, key), samples in found.items() if local and local.address in key]


def _grown(counters: list[Samples], phase: Phase) -> float | None:
    """By how much counters grew in a phase, together."""
    window = (Window(phase.from_s, phase.to_s),)
    counted = [counter.growth().within(window) for counter in counters if len(counter)]
    return float(sum(counter.value.sum() for counter in counted)) if counted else None
