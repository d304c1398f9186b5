"""The rate of the narrowest link, where the packets themselves show it.

A packet that reaches the narrow link while the one before it is still there leaves it one
transmission time later: the dispersion of packet pairs (Keshav, "A Control-Theoretic Approach to
Flow Control", SIGCOMM 1991; Dovrolis, Ramanathan and Moore, INFOCOM 2001). Where there are no such
packets, or others share the link so that the times differ, nothing is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from screamlab.fit.samples import Bools, Samples

MIN_PAIRS = 50
# Pairs whose times differ by more than this part of their median do not agree on a rate.
MAX_SPREAD = 0.25
# Beyond it is the coalescing of an interface, not a link.
MAX_RATE_KBIT = 1e6
# A queue is known to be full where so many losses find it nearly as deep as it ever was.
MIN_FULL = 10
NEARLY = 0.8


@dataclass(frozen=True)
class RateFit:
    """`queue_ms` is None where the queue was never full; `full` are losses at a full queue."""

    rate_kbit: float
    queue_ms: float | None
    pairs: int
    spread: float
    waited: Bools
    full: Bools


def fit_rate(samples: Samples) -> tuple[RateFit | None, str]:
    """The rate, or None and why it cannot be told."""
    if samples.bytes_on_link is None:
        return None, "no rate: the file does not say how large its packets are"
    received = np.flatnonzero(samples.received)
    sent, delay = samples.send_s[received], samples.delay_s[received]
    arrival = sent + delay
    base = delay.min()
    # The second of the pair got to the link before the first had left it.
    pair = (np.diff(received) == 1) & (sent[1:] + base < arrival[:-1])
    gaps = np.diff(arrival)[pair]
    if len(gaps) < MIN_PAIRS:
        return None, f"no rate: {len(gaps)} of {MIN_PAIRS} packet pairs that met at the narrow link"
    median = float(np.median(gaps))
    rate_kbit = samples.bytes_on_link * 8 / 1e3 / median if median > 0 else np.inf
    spread = float(np.subtract(*np.quantile(gaps, [0.75, 0.25]))) / median if median > 0 else np.inf
    if spread > MAX_SPREAD or rate_kbit > MAX_RATE_KBIT:
        return None, f"no rate: {len(gaps)} packet pairs that met do not agree on one"
    waited = np.zeros(len(samples.send_s), bool)
    waited[received[1:][pair]] = True
    queue_ms, full = _queue(samples, received, delay - base)
    return RateFit(rate_kbit, queue_ms, len(gaps), spread, waited, full), ""


def _queue(
    samples: Samples, received: np.ndarray, queued_s: np.ndarray
) -> tuple[float | None, Bools]:
    """Depth of the queue from the losses that found it full, and which losses those are."""
    lost = np.flatnonzero(samples.lost)
    none = np.zeros(len(samples.lost), bool)
    before = np.searchsorted(received, lost) - 1
    lost, before = lost[before >= 0], before[before >= 0]
    deepest = float(np.quantile(queued_s, 0.999))
    at_loss = queued_s[before]
    full = at_loss >= NEARLY * deepest
    if full.sum() < MIN_FULL or full.mean() < 0.5:
        return None, none
    none[lost[full]] = True
    return float(np.median(at_loss[full])) * 1e3, none
