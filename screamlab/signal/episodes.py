"""Conditions that last: reported once, when they are over or the stream is."""

from __future__ import annotations

from dataclasses import dataclass, field

from screamlab.signal.finding import Finding, Kind


@dataclass
class _Episode:
    since: float
    seen: float
    hits: int = 0
    levels_db: list[float] = field(default_factory=list)


class Episodes:
    """Turns repeated looks at one kind of condition into one finding per episode.

    A condition counts from `hits` looks in a row on and is over after one look without it.
    """

    def __init__(self, kind: Kind, hits: int) -> None:
        self._kind = kind
        self._hits = hits
        self._open: dict[int, _Episode] = {}

    def look(self, levels_db: dict[int, float], since: float, now: float) -> list[Finding]:
        """What was seen between `since` and `now` (unix s), by signal."""
        for signal, level in levels_db.items():
            episode = self._open.setdefault(signal, _Episode(since, now))
            episode.seen, episode.hits = now, episode.hits + 1
            episode.levels_db = [*episode.levels_db[-99:], level]
        return self._finish([signal for signal in self._open if signal not in levels_db])

    def close(self) -> list[Finding]:
        """End every episode."""
        return self._finish(list(self._open))

    @property
    def open(self) -> bool:
        """True when the latest look saw anything."""
        return bool(self._open)

    @property
    def now(self) -> dict[int, float]:
        """Level in dB of every episode that counts, by signal."""
        return {s: e.levels_db[-1] for s, e in self._open.items() if e.hits >= self._hits}

    def _finish(self, signals: list[int]) -> list[Finding]:
        findings = []
        for signal in signals:
            episode = self._open.pop(signal)
            if episode.hits < self._hits:
                continue
            level = sorted(episode.levels_db)[len(episode.levels_db) // 2]
            ms = round((episode.seen - episode.since) * 1e3, 1)
            detail = {"level_db": level}
            findings.append(Finding(self._kind, signal, episode.since, ms, detail))
        return findings
