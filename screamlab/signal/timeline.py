"""What has arrived: the recent samples, and when each of them did."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

import numpy as np
from numpy.typing import NDArray


class Arrivals:
    """Maps a sample's index in the stream to its arrival time, chunk by chunk."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._firsts: list[int] = []
        self._times: list[float] = []

    def add(self, first: int, arrival: float) -> None:
        """Note that sample `first` arrived at `arrival` (unix s)."""
        self._firsts.append(first)
        self._times.append(arrival)

    def at(self, index: float) -> float:
        """Arrival (unix s) of a sample; those of one chunk are spread over its duration."""
        if not self._firsts:
            return 0.0
        chunk = max(bisect_right(self._firsts, index) - 1, 0)
        return self._times[chunk] + (index - self._firsts[chunk]) / self._rate_hz

    def since(self, index: int, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Index and arrival of the first samples of chunks from `index` on, at most `most`."""
        start = bisect_right(self._firsts, index - 1)
        step = -(-(len(self._firsts) - start) // most) or 1
        return np.array(self._firsts[start::step], float), np.array(self._times[start::step], float)

    def forget(self, before: int) -> None:
        """Drop chunks that end before sample `before`."""
        keep = max(bisect_right(self._firsts, before) - 1, 0)
        del self._firsts[:keep], self._times[:keep]


class Recent:
    """The latest mono samples, addressed by their index in the stream."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._pieces: deque[NDArray[np.float32]] = deque()
        self.first = 0
        self.end = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Append samples and forget what is older than the span."""
        self._pieces.append(samples)
        self.end += len(samples)
        while self._pieces and self.end - self.first - len(self._pieces[0]) >= self._span:
            self.first += len(self._pieces.popleft())

    def slice(self, start: int, stop: int) -> tuple[int, NDArray[np.float32]]:
        """What is still held of samples `start` .. `stop - 1`, and the index of its first."""
        start, stop = max(start, self.first), min(stop, self.end)
        parts, at = [], self.first
        for piece in self._pieces:
            low, high = max(start - at, 0), min(stop - at, len(piece))
            if low < high:
                parts.append(piece[low:high])
            at += len(piece)
        return start, np.concatenate(parts) if parts else np.empty(0, np.float32)
