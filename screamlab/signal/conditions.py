"""Conditions of a whole stream: foreign sources, unknown noise, channels that differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.signal.crosstalk import WINDOW, Crosstalk
from screamlab.signal.episodes import Episodes
from screamlab.signal.finding import Finding
from screamlab.signal.limits import Limits
from screamlab.signal.source import gain_db
from screamlab.signal.timeline import Arrivals, Recent
from screamlab.signal.tones import POWER

_LOOK_S = 1.0
_SIDE_DB = -20.0
_SIDE_FRAMES = 4096
_NOISE_OVER = 0.25


@dataclass
class _Noise:
    since: float
    power: float


class Conditions:
    """Looks at the stream once a second; each condition ends in one finding."""

    def __init__(
        self,
        whole: int,
        foreign: Crosstalk,
        recent: Recent,
        arrivals: Arrivals,
        limits: Limits,
        rate_hz: int,
    ) -> None:
        self._whole = whole
        self._foreign = foreign
        self._recent = recent
        self._arrivals = arrivals
        self._crosstalk = Episodes("crosstalk", limits.crosstalk_hits)
        self._channel = Episodes("channel", 2)
        self._least_new = max(int(_LOOK_S * rate_hz), WINDOW)
        self._looked = 0
        self._noise: _Noise | None = None
        self._foreign_seen = float("-inf")

    @property
    def crosstalk(self) -> dict[int, float]:
        """Gain in dB of the foreign sources heard now."""
        return self._crosstalk.now

    @property
    def noisy(self) -> bool:
        """True while something unknown sounds along."""
        return self._noise is not None

    @property
    def lopsided(self) -> bool:
        """True while the channels are not the same."""
        return self._channel.open

    def look(self, samples: NDArray[np.int16], *, listening: bool, heard: bool) -> list[Finding]:
        """Look at the latest sound, of which `samples` are the last frames, when it is time.

        `listening` is False where an event makes the spectrum worthless, `heard` while no source
        is heard that both channels should hold alike.
        """
        if self._recent.end - self._looked < self._least_new:
            return []
        self._looked = self._recent.end
        first, window = self._recent.slice(self._recent.end - WINDOW, self._recent.end)
        if not listening or len(window) < WINDOW:
            return []
        since, now = self._arrivals.at(first), self._arrivals.at(self._recent.end)
        levels = self._foreign.levels(window)
        if levels:
            self._foreign_seen = now
        side = {self._whole: side_db(samples)} if heard and sides_differ(samples) else {}
        return self._crosstalk.look(levels, since, now) + self._channel.look(side, since, now)

    def noise_began(self, at: float, power: float) -> None:
        """Something unknown of this power sounds along from `at` (unix s) on."""
        if self._noise is None:
            self._noise = _Noise(at, power)

    def noise_now(self, at: float, power: float) -> list[Finding]:
        """The power unexplained at `at`: the noise may be over."""
        if self._noise is None or power > _NOISE_OVER * self._noise.power:
            return []
        return self._end_noise(at)

    def close(self, at: float) -> list[Finding]:
        """End every condition."""
        ended = self._end_noise(at) if self._noise else []
        return ended + self._crosstalk.close() + self._channel.close()

    def _end_noise(self, at: float) -> list[Finding]:
        assert self._noise
        noise, self._noise = self._noise, None
        if self._foreign_seen >= noise.since:
            return []
        level = round(gain_db(noise.power / POWER), 1)
        ms = round((at - noise.since) * 1e3, 1)
        return [Finding("noise", self._whole, noise.since, ms, {"level_db": level})]


def sides_differ(samples: NDArray[np.int16]) -> bool:
    """Whether the first two channels are not the same sound."""
    return side_db(samples) > _SIDE_DB


def side_db(samples: NDArray[np.int16]) -> float:
    """First channel minus second, against a signal as sent; -120 when they are the same."""
    if samples.shape[1] < 2:
        return -120.0
    tail = samples[-_SIDE_FRAMES:]
    if np.array_equal(tail[:, 0], tail[:, 1]):
        return -120.0
    tail = tail.astype(np.float32)
    side = (tail[:, 0] - tail[:, 1]) / 65536
    return round(gain_db(float(np.mean(side**2)) / POWER), 1)
