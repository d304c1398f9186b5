"""Reader of captured RTP (pcap, pcapng, also gzipped) through tshark.

Sequence numbers say what was lost and what came out of order; the sender's timestamps against the
times of arrival say how the delay varies (RFC 3550 section 6.4.1). How long the shortest delay was,
no capture at one end can say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from screamlab.errors import BadInput
from screamlab.evidence.tshark import read_fields
from screamlab.fit.clock import lone_drift
from screamlab.fit.samples import Floats, Integers, Samples, make

MAGIC = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
MAGIC_NG = b"\x0a\x0d\x0d\x0a"
CLOCK_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 90000, 96000)
_FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "rtp.ssrc", "rtp.seq", "rtp.timestamp",
           "frame.len")  # fmt: skip


@dataclass
class _Flow:
    source: str
    destination: str
    ssrc: str
    arrival_s: list[float] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    timestamp: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)


def read_pcap(path: Path) -> list[Samples]:
    """The longest RTP stream that was captured, as what its receiver was sent (to_host)."""
    flows = _flows(path)
    if not flows:
        raise BadInput(f"{path}: tshark finds no RTP over UDP in it")
    flow = max(flows, key=lambda found: len(found.sequence))
    notes = [f"RTP of {flow.source} to {flow.destination}, SSRC {flow.ssrc}"]
    if len(flows) > 1:
        notes.append(f"{len(flows) - 1} more RTP streams in the file are left out")
    notes.append("the delay is that above the quickest packet; how long that took is not in it")
    return [_samples(path, flow, notes)]


def _flows(path: Path) -> list[_Flow]:
    flows: dict[tuple[str, str, str], _Flow] = {}
    for row in read_fields(path, _FIELDS, "rtp"):
        at, source, destination, ssrc, sequence, timestamp, size = row
        if not (source and sequence and timestamp):
            continue
        flow = flows.setdefault((source, destination, ssrc), _Flow(source, destination, ssrc))
        flow.arrival_s.append(float(at))
        flow.sequence.append(int(sequence))
        flow.timestamp.append(int(timestamp))
        flow.size.append(int(size))
    return list(flows.values())


def _samples(path: Path, flow: _Flow, notes: list[str]) -> Samples:
    arrival = np.array(flow.arrival_s)
    sequence = unwrapped(np.array(flow.sequence), 16)
    stamps = unwrapped(np.array(flow.timestamp), 32)
    # The first of two alike is the packet, the rest are its duplicates.
    sequence, first = np.unique(sequence, return_index=True)
    duplicates = len(arrival) - len(first)
    arrival, stamps = arrival[first], stamps[first]
    media_s = (stamps - stamps[0]) / _clock_rate(path, stamps, arrival)
    delay_s = arrival - arrival[0] - media_s
    if drift := lone_drift(media_s, delay_s):
        notes.append(f"clocks drift by {drift * 1e6:.1f} ppm; taken out")
        delay_s = delay_s - drift * media_s
    every = np.arange(sequence[0], sequence[-1] + 1)
    placed = sequence - sequence[0]
    delays = np.full(len(every), np.nan)
    delays[placed] = delay_s - delay_s.min()
    send_s = np.interp(every, sequence, media_s)
    size = int(np.median(flow.size))
    return make(path.name, "to_host", send_s, delays, bytes_on_link=size, duplicates=duplicates,
                notes=tuple(notes))  # fmt: skip


def unwrapped(numbers: Integers, bits: int) -> Integers:
    """Numbers of so many bits that go on rising when they wrap; some may be out of order."""
    steps = np.diff(numbers.astype(np.int64))
    half, whole = 1 << (bits - 1), 1 << bits
    nearest = np.mod(steps + half, whole) - half
    return np.asarray(int(numbers[0]) + np.concatenate([[0], np.cumsum(nearest)]), np.int64)


def _clock_rate(path: Path, stamps: Integers, arrival_s: Floats) -> int:
    """The RTP clock (Hz) that the timestamps run by, told from how fast they went."""
    span_s = float(arrival_s[-1] - arrival_s[0])
    seen = float(stamps[-1] - stamps[0]) / span_s if span_s > 0 else 0.0
    rate = min(CLOCK_RATES_HZ, key=lambda known: abs(known - seen))
    if abs(rate - seen) > 0.02 * rate:
        raise BadInput(f"{path}: its timestamps advance {seen:.0f} a second: no RTP clock does")
    return rate


def looks_like_pcap(head: bytes) -> bool:
    """Whether a file begins as a capture does."""
    return head[:4] in MAGIC or head[:4] == MAGIC_NG
