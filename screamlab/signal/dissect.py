"""The slow path: what exactly happened in a short stretch of sound, sample by sample.

The stretch is compared with the steady sound before it, carried on, and with the steady sound
after it, carried back. Where neither explains the samples they are damaged; where one gives way
to the other the listener's place in the signal has jumped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.finding import Kind
from screamlab.signal.source import Model
from screamlab.signal.tones import RATE_HZ

Wave = NDArray[np.float64]

LEAST_SHIFT = 0.25

_SMOOTH = 16
_CLICK = 24
_SLIP = 24
_SILENT = 0.02
_EXPLAINED = 0.3
_LEAST_STEP = 0.002
_ZERO = 0.5 / 32768
_LEAST_ZEROS = 8
_WINDOW = 480


@dataclass(frozen=True)
class Damage:
    """One fault: stream index of its first sample, samples it lasted, and its particulars."""

    kind: Kind
    start: int
    length: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stretch:
    """Sound around an event (`first` is the stream index of its first sample) and what the steady
    runs on either side would have it be. `shift` is the jump of place, in received samples;
    `error_limit` the squared error from which on sound counts as damaged; damage less than `join`
    samples apart is one, and less than `recovery` samples behind longer damage a decoder's echo
    of it."""

    first: int
    sound: Wave
    before: Wave
    after: Wave
    models: list[Model]
    shift: float
    error_limit: float
    join: int
    recovery: int

    @property
    def power(self) -> float:
        """Mean square of the steady sound."""
        return sum(model.power for model in self.models)


def dissect(stretch: Stretch) -> list[Damage]:
    """Every fault in the stretch, in order."""
    cut = find_cut(stretch)
    steady = np.where(np.arange(len(stretch.sound)) < cut, stretch.before, stretch.after)
    error = (stretch.sound - steady) ** 2
    found: list[Damage] = []
    bridged = False
    for start, stop in _damaged(error, stretch):
        if abs(stretch.shift) >= LEAST_SHIFT and start - _CLICK <= cut <= stop + _CLICK:
            found.append(_jump(stretch, start, stop))
            bridged = True
        else:
            found.append(_local(stretch, steady, start, stop))
    if abs(stretch.shift) >= LEAST_SHIFT and not bridged:
        found.append(_jump(stretch, cut, cut))
    return sorted(found, key=lambda damage: damage.start)


def last_of_before(stretch: Stretch) -> int:
    """How many samples the sound before explains, when silence or something unknown follows."""
    return _give_way(stretch.sound, stretch.before, stretch.power)


def first_of_after(stretch: Stretch) -> int:
    """From which sample on the sound after explains, with silence or something unknown before."""
    rest = _give_way(stretch.sound[::-1], stretch.after[::-1], stretch.power)
    return len(stretch.sound) - rest


def find_cut(stretch: Stretch) -> int:
    """At which sample `before` gives way to `after`; the middle when they are the same."""
    if np.mean((stretch.before - stretch.after) ** 2) < _LEAST_STEP * stretch.power:
        return len(stretch.sound) // 2
    return _least_cost(
        _capped(stretch.sound - stretch.before, stretch.power),
        _capped(stretch.sound - stretch.after, stretch.power),
    )


def _give_way(sound: Wave, steady: Wave, power: float) -> int:
    error = _capped(sound - steady, power)
    start = _least_cost(error, np.full(len(sound), power / 6))
    rest = sound[start:]
    if len(rest) and float(np.mean(rest**2)) > _SILENT * power:
        return start
    start = _least_cost(error, _capped(sound, power))
    zeros = _zeros(sound, start, start)
    return zeros[0] if zeros and abs(zeros[0] - start) <= _LEAST_ZEROS else start


def _least_cost(before: Wave, after: Wave) -> int:
    """Where to change over so that the costs `before` and then those `after` are least."""
    sums = np.cumsum(np.concatenate([[0.0], before - after]))
    return int(np.argmin(sums))


def _capped(error: Wave, power: float) -> Wave:
    return np.minimum(error**2, power / 2)


def _damaged(error: Wave, stretch: Stretch) -> list[tuple[int, int]]:
    limit = stretch.error_limit
    smooth = np.convolve(error, np.full(_SMOOTH, 1 / _SMOOTH), mode="same")
    marks = np.flatnonzero(smooth > limit)
    if not len(marks):
        return []
    breaks = np.flatnonzero(np.diff(marks) > stretch.join)
    starts = marks[np.concatenate([[0], breaks + 1])]
    stops = marks[np.concatenate([breaks, [len(marks) - 1]])] + 1
    found: list[tuple[int, int]] = []
    for rough_start, rough_stop in zip(starts, stops, strict=True):
        start, stop = _refine(error, limit, int(rough_start), int(rough_stop))
        if found and start - found[-1][1] < stretch.recovery:
            longest = found[-1][1] - found[-1][0]
            if stop - start < longest / 2:
                continue
        found.append((start, stop))
    return found


def _refine(error: Wave, limit: float, start: int, stop: int) -> tuple[int, int]:
    low = max(start - _SMOOTH, 0)
    loud = np.flatnonzero(error[low : stop + _SMOOTH] > limit)
    return low + int(loud[0]), low + int(loud[-1]) + 1


def _jump(stretch: Stretch, start: int, stop: int) -> Damage:
    shift = stretch.shift
    length = stop - start
    if length > _CLICK:
        start, stop, content = _content(stretch, start, stop)
        detail = {"content": content, "shift_samples": round(shift, 2)}
        return Damage("dropout", stretch.first + start, stop - start, detail)
    at = stretch.first + (start + stop) // 2
    if abs(shift) <= _SLIP:
        return Damage("slip", at, 0, {"samples": round(shift, 2)})
    kind: Kind = "skip" if shift > 0 else "repeat"
    return Damage(kind, at, round(abs(shift)), {"samples": round(abs(shift), 2)})


def _local(stretch: Stretch, steady: Wave, start: int, stop: int) -> Damage:
    """A damaged stretch after which the sound goes on as if nothing had happened."""
    start, stop, content = _content(stretch, start, stop)
    length, first = stop - start, stretch.first + start
    if content == "silent" and length >= _CLICK // 3:
        return Damage("dropout", first, length, {"content": content})
    if length < _CLICK:
        peak = float(np.abs(stretch.sound[start:stop] - steady[start:stop]).max())
        return Damage("click", first, length, {"peak": round(peak, 4)})
    return _displaced(stretch, start, stop) or Damage(
        "dropout", first, length, {"content": content}
    )


def _content(stretch: Stretch, start: int, stop: int) -> tuple[int, int, str]:
    """Zeros or not; exact zeros also tell where they begin and end."""
    zeros = _zeros(stretch.sound, start, stop)
    if zeros and zeros[1] - zeros[0] > 0.8 * (stop - start):
        return *zeros, "silent"
    power = float(np.mean(stretch.sound[start:stop] ** 2))
    return start, stop, "silent" if power < _SILENT * stretch.power else "concealed"


def _zeros(sound: Wave, start: int, stop: int) -> tuple[int, int] | None:
    """The longest run of exact zeros that touches `start` .. `stop`, give or take 1 ms."""
    silent = np.concatenate([[False], np.abs(sound) < _ZERO, [False]])
    edges = np.flatnonzero(np.diff(silent.astype(np.int8)))
    runs = [
        (int(a), int(b))
        for a, b in edges.reshape(-1, 2)
        if b - a >= _LEAST_ZEROS and a <= stop + 48 and b >= start - 48
    ]
    return max(runs, key=lambda run: run[1] - run[0], default=None)


def _displaced(stretch: Stretch, start: int, stop: int) -> Damage | None:
    """Sound that belongs elsewhere: a packet played again, or two that changed places."""
    length, first = stop - start, stretch.first + start
    part = min(max(length // 3, 48), length, _WINDOW)
    head = _lag(stretch, start, start + part, 2 * length)
    tail = _lag(stretch, stop - part, stop, 2 * length)
    if head is None or tail is None:
        return None
    near = max(8, length // 20)
    if abs(head - tail) <= 1 and abs(head + length) <= near:
        return Damage("repeat", first, length, {"samples": -head})
    if head > 0 > tail and abs(head - tail - length) <= near:
        return Damage("swap", first, length, {"samples": min(head, -tail)})
    return None


def _lag(stretch: Stretch, start: int, stop: int, reach: int) -> int | None:
    """By how many samples the sound is later (+) in the signal than it should be."""
    sound = stretch.sound[start:stop].astype(np.float32)
    lags = np.arange(-reach, reach + 1)
    index = stretch.first + np.arange(start, stop, dtype=float)
    bank = np.zeros((len(lags), len(sound)), dtype=np.float32)
    for model in stretch.models:
        steps = np.outer(lags * model.pace / RATE_HZ, model.frequencies_hz)
        turns = np.exp(2j * np.pi * steps).astype(np.complex64)
        waves = (model.carrier(index) * model.gains).astype(np.complex64)
        bank += (turns @ waves.T).imag
    bank -= sound
    fits = np.einsum("ij,ij->i", bank, bank) / max(float(sound @ sound), 1e-12)
    fits *= 1 + 0.1 * np.log1p(np.abs(lags) / len(sound))
    best = int(np.argmin(fits))
    return int(lags[best]) if fits[best] < _EXPLAINED else None
