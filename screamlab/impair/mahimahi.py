"""Packet-delivery traces of mahimahi (mm-link(1)): what a link could carry, millisecond by
millisecond.

A line is a time in milliseconds and one opportunity to deliver 1500 bytes; the same time may stand
on several lines. After the last line the trace begins again, shifted by its last time. A packet
that finds no opportunity waits: a stretch without any holds packets back and loses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

from screamlab.errors import BadInput

OPPORTUNITY_BYTES = 1500
# A second holds ten rates: as fine as a token bucket changed from user space follows without
# gaining more from the bursts that every change grants than the trace itself gives.
BIN_MS = 100.0


@dataclass(frozen=True)
class DeliveryTrace:
    """Opportunities of one direction, ascending, and after how long they come again (ms)."""

    at_ms: tuple[int, ...]
    period_ms: int


def read_delivery_trace(path: Path) -> DeliveryTrace:
    """Read a packet-delivery file; `BadInput` names file and line of what is none."""
    times: list[int] = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or 'not plain text'}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip().isdigit():
            raise BadInput(f"{path}:{number}: expected a time in whole milliseconds, not '{line}'")
        times.append(int(line))
        if len(times) > 1 and times[-1] < times[-2]:
            raise BadInput(f"{path}:{number}: {times[-1]} ms comes before {times[-2]} ms")
    if not times or times[-1] == 0:
        raise BadInput(f"{path}: a trace needs a line with a time above 0")
    return DeliveryTrace(tuple(times), times[-1])


def rates(trace: DeliveryTrace, bin_ms: float = BIN_MS) -> list[tuple[float, float]]:
    """`(from_s, kbit/s)` over one period in bins of about `bin_ms`, equal neighbours merged.

    Every bin carries exactly the bytes of its opportunities; one without any has rate 0. The bins
    are of one width, the period divided evenly. An opportunity closes the millisecond it names, so
    the last one belongs to the last bin.
    """
    count = max(1, round(trace.period_ms / bin_ms))
    width_ms = trace.period_ms / count
    filled = [0] * count
    for at_ms in trace.at_ms:
        filled[min(count - 1, max(0, ceil(at_ms / width_ms) - 1))] += 1
    steps = [
        (index * width_ms / 1e3, opportunities * OPPORTUNITY_BYTES * 8 / width_ms)
        for index, opportunities in enumerate(filled)
    ]
    return merged(steps)


def merged(steps: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Steps without those that change nothing."""
    return [steps[0], *(step for last, step in pairwise(steps) if step[1] != last[1])]
