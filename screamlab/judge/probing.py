"""What the probes of a run found, as arrays over their packets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from screamlab.impair.probe_stream import ProbeStream
from screamlab.judge.samples import Event
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, contains, inside

Values = NDArray[np.float64]

# A second in which the sender was later than this, or did not send what it had to, is left out.
LATE_US = 100_000
# Packets of the last moments may have been on their way when the receiver ended.
TAIL_S = 2.0


@dataclass(frozen=True)
class Probe:
    """A probe stream and the hosts at its two ends."""

    stream: ProbeStream
    sender: str
    receiver: str

    @property
    def subject(self) -> str:
        return f"probe/{self.stream.name}"

    @property
    def per_second(self) -> float:
        return 1000 / self.stream.interval_ms


@dataclass(frozen=True)
class Flight:
    """Packets of which the fate is known: when they were sent (rising), and their delay.

    `at_s` is on the plan's clock, `delay_ms` by the two hosts' clocks, NaN for what was lost.
    `reordered` is told by the second of sending.
    """

    at_s: Values
    delay_ms: Values
    reordered: dict[int, int]

    def between(self, window: Window) -> slice:
        """The packets sent in a window."""
        low, high = np.searchsorted(self.at_s, (window.from_s, window.to_s))
        return slice(int(low), int(high))

    @cached_property
    def around_ms(self) -> Values:
        """Every packet's delay; of a lost one the longer of its neighbours' that came."""
        came = np.isfinite(self.delay_ms)
        at = np.arange(len(came))
        before = np.maximum.accumulate(np.where(came, at, -1))
        after = np.minimum.accumulate(np.where(came, at, len(came))[::-1])[::-1]
        delays = np.concatenate([self.delay_ms, [-np.inf]])
        return np.asarray(np.maximum(delays[before], delays[np.minimum(after, len(came))]))

    def baseline_ms(self, windows: Windows, min_samples: int) -> float | None:
        """The median delay in `windows`; None on too few packets."""
        delays = self.delay_ms[inside(self.at_s, windows) & np.isfinite(self.delay_ms)]
        return float(np.median(delays)) if len(delays) >= min_samples else None

    def reordering(self, windows: Windows) -> tuple[int, int]:
        """Packets reordered and packets received in the whole seconds within `windows`."""
        late = came = 0
        received = np.floor(self.at_s[np.isfinite(self.delay_ms)]).astype(int)
        for second, count in zip(*np.unique(received, return_counts=True), strict=True):
            middle = float(second) + 0.5
            if contains(windows, middle - 0.499) and contains(windows, middle + 0.499):
                came += int(count)
                late += self.reordered.get(int(second), 0)
        return late, came


@lru_cache(maxsize=4)
def probes(run: Run) -> tuple[Probe, ...]:
    """Every probe stream that both its ends have in their plans."""
    ends: dict[str, dict[str, tuple[str, ProbeStream]]] = {}
    for host, plan in run.plans.items():
        for worker in plan.workers:
            if worker.kind not in ("probe_sender", "probe_receiver"):
                continue
            for spec in worker.spec.get("streams", ()):
                stream = ProbeStream.model_validate(spec)
                ends.setdefault(stream.name, {})[worker.kind] = (host, stream)
    return tuple(
        Probe(end["probe_sender"][1], end["probe_sender"][0], end["probe_receiver"][0])
        for end in ends.values()
        if len(end) == 2
    )


@lru_cache(maxsize=64)
def flight_of(run: Run, probe: Probe) -> Flight:
    """What became of a probe's packets, as far as sender and receiver both answer for it."""
    sent = [event for event in run.events("probe.sent", probe.subject) if _kept_time(event, probe)]
    told = run.events("probe.second", probe.subject)
    ended = bool(run.events("probe.end", probe.subject))
    size = max([_end(event) for event in sent] + [0])
    delay_us, known = np.full(size, np.nan), np.full(size, ended)
    for event in told:
        first = int(event.fields["first_seq"])
        delays = np.array([np.nan if d is None else d for d in event.fields["delays_us"]], float)
        delays = delays[: max(0, size - first)]
        delay_us[first : first + len(delays)] = delays
        known[first : first + len(delays)] = True
    at_s = np.full(size, np.nan)
    for event in sent:
        first, count = int(event.fields["first_seq"]), int(event.fields["packets"])
        second = int(event.fields["second"])
        at_s[first : first + count] = second + (np.arange(count) + 0.5) / count
    chosen = known & (at_s < probe.stream.to_s - TAIL_S)
    order = np.argsort(at_s[chosen], kind="stable")
    return Flight(
        at_s[chosen][order],
        delay_us[chosen][order] / 1000,
        {int(e.fields["second"]): int(e.fields.get("reordered", 0)) for e in told},
    )


def _kept_time(event: Event, probe: Probe) -> bool:
    """Whether the sender sent in this second what it had to, when it had to."""
    missing = abs(int(event.fields["packets"]) - probe.per_second)
    return (
        missing <= max(1.0, 0.02 * probe.per_second)
        and int(event.fields.get("late_max_us", 0)) <= LATE_US
    )


def _end(event: Event) -> int:
    return int(event.fields["first_seq"]) + int(event.fields["packets"])
