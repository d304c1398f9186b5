"""What every kind of measurement is read into: the packets of one direction of one path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from screamlab.errors import BadInput
from screamlab.impair.probe_stream import Direction

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]
# Fewer packets say nothing of loss, and nothing of the tails of the delay.
MIN_PACKETS = 200
MIN_RECEIVED = 50


@dataclass(frozen=True)
class Samples:
    """Packets in the order of sending.

    `send_s` are seconds after the first packet; `delay_s` is one-way, NaN where the packet was lost
    or its delay is not known; `arrival` is the rank of arrival, -1 where the packet was lost.
    """

    source: str
    direction: Direction
    send_s: Floats
    delay_s: Floats
    lost: Bools
    arrival: Integers
    bytes_on_link: int | None = None
    duplicates: int = 0
    notes: tuple[str, ...] = ()

    @property
    def received(self) -> Bools:
        """Packets that came and whose delay is known."""
        return ~self.lost & np.isfinite(self.delay_s)

    @property
    def spacing_s(self) -> float:
        """Median time between two packets as they were sent."""
        return float(np.median(np.diff(self.send_s))) if len(self.send_s) > 1 else 0.0

    @property
    def duration_s(self) -> float:
        """From the first packet to one spacing after the last."""
        return float(self.send_s[-1]) + self.spacing_s if len(self.send_s) else 0.0

    def between(self, from_s: float, to_s: float) -> Samples:
        """Packets sent in `from_s` ≤ t < `to_s`, with their times as they are."""
        chosen = (self.send_s >= from_s) & (self.send_s < to_s)
        return replace(
            self,
            send_s=self.send_s[chosen],
            delay_s=self.delay_s[chosen],
            lost=self.lost[chosen],
            arrival=self.arrival[chosen],
        )


def make(
    source: str,
    direction: Direction,
    send_s: Sequence[float] | Floats,
    delay_s: Sequence[float] | Floats,
    *,
    lost: Sequence[bool] | Bools | None = None,
    arrival_s: Sequence[float] | Floats | None = None,
    bytes_on_link: int | None = None,
    duplicates: int = 0,
    notes: tuple[str, ...] = (),
) -> Samples:
    """Samples from what a file holds; without `lost`, packets without a delay are lost.

    Ranks of arrival come from `arrival_s`, or from sending and delay when that is absent.
    """
    sent, delay = np.asarray(send_s, float), np.asarray(delay_s, float)
    gone = np.isnan(delay) if lost is None else np.asarray(lost, bool)
    # To the nanosecond: below it, sums of times differ where the times do not.
    came = np.round(sent - sent[:1] + delay if arrival_s is None else np.asarray(arrival_s), 9)
    known = ~gone & np.isfinite(came)
    arrival = np.full(len(sent), -1, np.int64)
    arrival[np.flatnonzero(known)[np.argsort(came[known], kind="stable")]] = np.arange(known.sum())
    # The first packet is at 0; times before the epoch of a clock make no sense to anybody.
    begin = sent[0] if len(sent) else 0.0
    return Samples(
        source, direction, sent - begin, delay, gone, arrival, bytes_on_link, duplicates, notes
    )


def join(parts: Sequence[Samples]) -> Samples:
    """Several measurements of one direction, one after the other."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0.0, *(part.duration_s for part in parts[:-1])])
    ranks = np.cumsum([0, *(int(part.arrival.max(initial=-1)) + 1 for part in parts[:-1])])
    arrivals = [
        np.where(part.arrival < 0, -1, part.arrival + rank)
        for part, rank in zip(parts, ranks, strict=True)
    ]
    sizes = {part.bytes_on_link for part in parts}
    return Samples(
        ", ".join(dict.fromkeys(part.source for part in parts)),
        parts[0].direction,
        np.concatenate([part.send_s + at for part, at in zip(parts, starts, strict=True)]),
        np.concatenate([part.delay_s for part in parts]),
        np.concatenate([part.lost for part in parts]),
        np.concatenate(arrivals),
        sizes.pop() if len(sizes) == 1 else None,
        sum(part.duplicates for part in parts),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def require(samples: Samples) -> Samples:
    """The same, if there is enough of it; `BadInput` says what is missing."""
    where = f"{samples.source}: {samples.direction}"
    if len(samples.send_s) < MIN_PACKETS:
        raise BadInput(f"{where}: {len(samples.send_s)} packets; {MIN_PACKETS} are needed")
    if not samples.received.any():
        raise BadInput(f"{where}: not one of {len(samples.send_s)} packets came: nothing to fit")
    if samples.received.sum() < MIN_RECEIVED:
        came = int(samples.received.sum())
        raise BadInput(f"{where}: {came} packets came; {MIN_RECEIVED} are needed for the delay")
    return samples


def runs(flags: Bools) -> tuple[Integers, Bools]:
    """Lengths of the stretches of equal flags, and what each stretch is."""
    if not len(flags):
        return np.zeros(0, np.int64), np.zeros(0, bool)
    edges = np.flatnonzero(np.diff(flags.astype(np.int8))) + 1
    starts = np.concatenate([[0], edges])
    return np.diff(np.concatenate([starts, [len(flags)]])), flags[starts]
