"""The sound around one event, and each source of the stream before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.dissect import LEAST_SHIFT, Stretch
from screamlab.signal.limits import Limits
from screamlab.signal.source import Model, Source
from screamlab.signal.tones import RATE_HZ

Wave = NDArray[np.float64]

_NOISE_PEAK = 10
_SMOOTH = 16
_LEAST_DAMAGE = 24
_MISSING = -0.4
_SAME_SHIFT = 0.5


@dataclass(eq=False)
class Change:
    """One source across an event; `before` and `after` are None while it is not heard, `shift` is
    its jump in samples of 48 kHz."""

    number: int
    source: Source
    before: Model | None = None
    after: Model | None = None
    shift: float = 0.0


@dataclass
class Scene:
    """`sound` starts at stream index `first`; `noise` is the power unexplained before it."""

    changes: list[Change]
    first: int
    sound: Wave
    noise: float
    limits: Limits
    rate_hz: int

    @property
    def lost(self) -> list[Change]:
        """Sources that were heard before the event and no more after it."""
        return [change for change in self.changes if change.before and not change.after]

    @property
    def back(self) -> list[Change]:
        """Sources that are heard since the event."""
        return [change for change in self.changes if change.after and not change.before]

    @property
    def kept(self) -> list[Change]:
        """Sources heard before and after."""
        return [change for change in self.changes if change.before and change.after]

    def touched(self) -> list[list[Change]]:
        """Kept sources that share one fault each: those that jumped alike, or, when none did,
        those whose sound is damaged."""
        moved = [change for change in self.kept if abs(change.shift) >= LEAST_SHIFT]
        if moved:
            return _alike(moved)
        if self.lost or self.back or not self.kept:
            return []
        return [self._damaged()]

    def stretch(self, group: list[Change]) -> Stretch:
        """The sound of a group of sources alone, beside what is expected of it."""
        index = self._index()
        before = [model for change in group if (model := change.before or change.after)]
        after = [model for change in group if (model := change.after or change.before)]
        return Stretch(
            first=self.first,
            sound=self.sound - self._others(group, index),
            before=_sum(before, index),
            after=_sum(after, index),
            models=before,
            shift=group[0].shift * self.rate_hz / RATE_HZ,
            error_limit=self._error_limit(before),
            join=round(self.limits.join_s * self.rate_hz),
            recovery=round(self.limits.recovery_s * self.rate_hz),
        )

    def _index(self) -> Wave:
        return np.arange(self.first, self.first + len(self.sound), dtype=np.float64)

    def _error_limit(self, models: list[Model]) -> float:
        power = sum(model.power for model in models)
        return max(self.limits.sample * power, _NOISE_PEAK * self.noise)

    def _damaged(self) -> list[Change]:
        """The sources whose sound is missing where the sound is damaged; all if that is unclear."""
        kept = self.kept
        models = [change.before for change in kept if change.before]
        if len(kept) < 2:
            return kept
        waves = np.stack([model.wave(self._index()) for model in models])
        rest = self.sound - waves.sum(axis=0)
        loud = np.convolve(rest**2, np.full(_SMOOTH, 1 / _SMOOTH), mode="same")
        damaged = loud > self._error_limit(models)
        if np.count_nonzero(damaged) < _LEAST_DAMAGE:
            return kept
        parts = np.linalg.lstsq(waves[:, damaged].T, rest[damaged], rcond=None)[0]
        missing = [c for c, part in zip(kept, parts, strict=True) if part < _MISSING]
        return missing or kept

    def _others(self, group: list[Change], index: Wave) -> Wave:
        """The sound of the sources outside a group, as far as it is steady."""
        half = len(index) // 2
        others = [change for change in self.changes if change not in group]
        before = [change.before for change in others if change.before]
        after = [change.after for change in others if change.after]
        return np.concatenate([_sum(before, index[:half]), _sum(after, index[half:])])


def _sum(models: list[Model], index: Wave) -> Wave:
    total = np.zeros(len(index))
    for model in models:
        total += model.wave(index)
    return total


def _alike(changes: list[Change]) -> list[list[Change]]:
    groups: list[list[Change]] = []
    for change in sorted(changes, key=lambda change: change.shift):
        if groups and change.shift - groups[-1][0].shift < _SAME_SHIFT:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups
