"""What the packets of one flow say: lost, doubled, out of order, jitter, skew, and where it broke.

tshark's own RTP statistics know no clock for dynamic payload types, hence no jitter of them, and do
not say when packets were lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from screamlab.fit.pcap import unwrapped

CLOCK_HZ = 48000
"""The RTP clock of L16 at 48 kHz (RFC 3551) and of Opus at any rate (RFC 7587)."""

PAUSE_S = 0.06
"""A flow that sends nothing for longer than this has paused: none sends more seldom than 24 ms."""

MOST_BREAKS = 500


@dataclass(frozen=True)
class Break:
    """Until `t` (unix seconds) a flow had lost so many packets, or sent nothing for so long."""

    t: float
    lost: int = 0
    pause_ms: float = 0.0


@dataclass(frozen=True)
class Statistics:
    """Of one flow; what only RTP can tell is None where it is not RTP.

    `sequence_errors` counts the packets that do not follow the one before, `reordered` those behind
    a later one (RFC 4737 section 3). Jitter as in RFC 3550 section 6.4.1, mean and largest; `skew`
    is how far arrivals strayed from the clock of the first packet, early or late.
    """

    packets: int
    first: float
    last: float
    pause_max_ms: float
    breaks: tuple[Break, ...]
    lost: int | None = None
    duplicates: int | None = None
    reordered: int | None = None
    sequence_errors: int | None = None
    jitter_ms: float | None = None
    jitter_max_ms: float | None = None
    skew_ms: float | None = None


def statistics(
    arrival: Sequence[float], sequence: Sequence[int] = (), timestamp: Sequence[int] = ()
) -> Statistics:
    """The figures of at least one packet; arrivals in unix seconds, as they came."""
    at = np.asarray(arrival, float)
    steps = np.diff(at)
    breaks = {float(at[i + 1]): Break(float(at[i + 1]), pause_ms=_ms(steps[i]))
              for i in np.flatnonzero(steps > PAUSE_S)}  # fmt: skip
    told: dict[str, Any] = {}
    if len(sequence):
        numbers = unwrapped(np.asarray(sequence), 16)
        each, first = np.unique(numbers, return_index=True)
        missing = np.diff(each) - 1
        for i in np.flatnonzero(missing):
            t = float(at[first[i + 1]])
            breaks[t] = Break(t, int(missing[i]), breaks[t].pause_ms if t in breaks else 0.0)
        once = np.zeros(len(numbers), bool)
        once[first] = True
        behind = numbers < np.maximum.accumulate(numbers)
        told = {
            "lost": int(missing.sum()),
            "duplicates": len(numbers) - len(each),
            "reordered": int((behind & once).sum()),
            "sequence_errors": int((np.diff(numbers) != 1).sum()),
            **_timing(at, unwrapped(np.asarray(timestamp), 32) / CLOCK_HZ),
        }
    return Statistics(
        packets=len(at),
        first=float(at[0]),
        last=float(at[-1]),
        pause_max_ms=_ms(steps.max(initial=0.0)),
        breaks=tuple(breaks[t] for t in sorted(breaks)[:MOST_BREAKS]),
        **told,
    )


def _timing(at: NDArray[np.float64], media_s: NDArray[np.float64]) -> dict[str, float]:
    # Takes a second to load, which every command would wait for.
    from scipy.signal import lfilter

    transit = (at - at[0]) - (media_s - media_s[0])
    jitter = lfilter([1 / 16], [1, -15 / 16], np.abs(np.diff(transit, prepend=0.0)))
    furthest = transit[np.argmax(np.abs(transit))]
    return {
        "jitter_ms": _ms(jitter.mean()),
        "jitter_max_ms": _ms(jitter.max()),
        "skew_ms": _ms(furthest),
    }


def _ms(seconds: float) -> float:
    return round(1000 * float(seconds), 3)
