"""What became of a probe stream's packets, by the second in which they were sent.

A second is told once nothing that happens any more can change it: `SETTLE_S` after its end, and
not before a packet of a later second has come, for only that says how many it had.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SETTLE_S = 5.0
"""A packet that is longer on its way than this counts as lost."""

_NS = 1_000_000_000


@dataclass(frozen=True)
class Second:
    """The packets sent in one second of the plan's clock, in the order of sending.

    `delays_us` is arrival minus sending by the two hosts' clocks, None for what never came.
    `reordered` are the packets of this second that came after one sent later (type-P-reordered,
    RFC 4737 section 3.3), `duplicates` those that came again.
    """

    second: int
    first_seq: int
    delays_us: tuple[int | None, ...]
    reordered: int = 0
    duplicates: int = 0


@dataclass
class _Open:
    delays_us: dict[int, int] = field(default_factory=dict)
    reordered: int = 0
    duplicates: int = 0


class Tally:
    """Counts one stream's packets; `zero_ns` is the plan's zero as unix time."""

    def __init__(self, zero_ns: int, interval_ms: float) -> None:
        self.late = 0
        self._zero_ns = zero_ns
        self._interval_ns = round(interval_ms * 1e6)
        self._open: dict[int, _Open] = {}
        self._told = 0
        self._told_second: int | None = None
        self._next_expected = 0
        self._last: tuple[int, int] | None = None
        self._sent_ns: dict[int, int] = {}

    def take(self, sequence: int, sent_ns: int, arrival_ns: int) -> None:
        """One packet that came in."""
        second = (sent_ns - self._zero_ns) // _NS
        if sequence < self._told or (self._told_second is not None and second <= self._told_second):
            self.late += 1
            return
        open_ = self._open.setdefault(second, _Open())
        if sequence in open_.delays_us:
            open_.duplicates += 1
            return
        open_.delays_us[sequence] = (arrival_ns - sent_ns) // 1000
        self._sent_ns[sequence] = sent_ns
        if sequence < self._next_expected:
            open_.reordered += 1
        else:
            self._next_expected = sequence + 1

    def settled(self, now_ns: int) -> list[Second]:
        """The seconds that can no longer change, each told once, oldest first."""
        told: list[Second] = []
        while len(self._open) > 1:
            second = min(self._open)
            if now_ns < self._zero_ns + (second + 1 + SETTLE_S) * _NS:
                break
            told += self._tell(second)
        return told

    def rest(self) -> list[Second]:
        """Everything that has not been told: the stream is over."""
        told: list[Second] = []
        while self._open:
            told += self._tell(min(self._open))
        return told

    def _tell(self, second: int) -> list[Second]:
        """This second, and before it those of which nothing came."""
        open_ = self._open.pop(second)
        first, last = min(open_.delays_us), max(open_.delays_us)
        before = self._lost_until(first, self._told)
        after = []
        self._last = (last, self._sent_ns[last])
        if self._open:
            following = min(self._open[min(self._open)].delays_us)
            lost = self._lost_until(following, begin=last + 1)
            after = [sequence for sequence, at in lost if at <= second]
        lost_seconds = sorted({at for _, at in before if at < second})
        told = [self._empty(at, [s for s, t in before if t == at]) for at in lost_seconds]
        begin = min([first, *(sequence for sequence, at in before if at >= second)])
        end = after[-1] if after else last
        delays = tuple(open_.delays_us.get(sequence) for sequence in range(begin, end + 1))
        self._told, self._told_second = end + 1, second
        self._sent_ns = {s: at for s, at in self._sent_ns.items() if s > end}
        told.append(Second(second, begin, delays, open_.reordered, open_.duplicates))
        return told

    def _lost_until(self, sequence: int, begin: int) -> list[tuple[int, int]]:
        """The packets from `begin` to `sequence`, and the seconds in which they must have left."""
        at_ns, step_ns = self._sent_ns[sequence], float(self._interval_ns)
        if self._last is not None and sequence > self._last[0]:
            step_ns = (at_ns - self._last[1]) / (sequence - self._last[0])
        found = []
        for lost in range(begin, sequence):
            sent_ns = at_ns - (sequence - lost) * step_ns
            second = int((sent_ns - self._zero_ns) // _NS)
            if self._told_second is not None:
                second = max(second, self._told_second + 1)
            found.append((lost, second))
        return found

    def _empty(self, second: int, sequences: list[int]) -> Second:
        return Second(second, sequences[0], (None,) * len(sequences))
