"""When sound that a program hands over in lumps would have come without the holding up."""

from __future__ import annotations

import math

from screamlab.load.pacing import RATE_HZ
from screamlab.load.playout import REBUFFER_S, FastestTransit

BEHIND_S = 0.2
"""By how much a listener's buffer bridges the sound that never came."""


class FrameClock:
    """Counts frames as they arrive, `packet_frames` of them decoded at a time.

    The frames of a `gapless` program are an unbroken clock, as it fills what is lost: what it
    holds back while it waits comes in one go and means nothing. Where lost sound is left out, the
    clock falls behind, and is set anew when it was more than `BEHIND_S` behind for `REBUFFER_S`.
    """

    def __init__(self, packet_frames: int, *, gapless: bool) -> None:
        self._packet_frames = packet_frames
        self._gapless = gapless
        self._fastest = FastestTransit()
        self._frames = 0
        self._behind_since: float | None = None
        self._least = math.inf
        self.set_by_s = 0.0

    def advance(self, frames: int, arrival: float) -> float:
        """Take `frames` that arrived at `arrival`; when the first of them came (unix s).

        `set_by_s` is by how much the clock was set for that, 0 when it was not.
        """
        first = self._frames
        self._frames += frames
        transit = arrival - (self._frames - self._packet_frames) / RATE_HZ
        self._fastest.add(transit, arrival)
        self.set_by_s = 0.0 if self._gapless else self._catch_up(transit, arrival)
        return self._fastest.transit + first / RATE_HZ

    @property
    def until(self) -> float:
        """When the frame after the last is due."""
        return self._fastest.transit + self._frames / RATE_HZ

    def _catch_up(self, transit: float, arrival: float) -> float:
        if transit - self._fastest.transit <= BEHIND_S:
            self._behind_since, self._least = None, math.inf
            return 0.0
        self._least = min(self._least, transit)
        if self._behind_since is None:
            self._behind_since = arrival
        if arrival - self._behind_since < REBUFFER_S:
            return 0.0
        by_s = self._least - self._fastest.transit
        self._fastest.restart(self._least)
        self._behind_since, self._least = None, math.inf
        return by_s
