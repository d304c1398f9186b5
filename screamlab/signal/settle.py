"""From an event in the blocks to findings about sources, and the sources brought up to date."""

from __future__ import annotations

from typing import Any

import numpy as np

from screamlab.signal.blocks import Blocks
from screamlab.signal.dissect import Damage, dissect, find_cut, first_of_after, last_of_before
from screamlab.signal.finding import Finding, Kind
from screamlab.signal.limits import PRESENCE, Limits
from screamlab.signal.ranging import find_shift
from screamlab.signal.scene import Change, Scene
from screamlab.signal.source import Phasors, Source, gain_db
from screamlab.signal.timeline import Arrivals, Recent
from screamlab.signal.tones import PERIOD_SAMPLES, POWER, RATE_HZ
from screamlab.signal.watch import Event

_SILENCE_MS = 100.0
_SILENT = 0.02
_LEVEL_STEP_DB = 1.0
_LEAD_BLOCKS = 12
_LONGEST_S = 1.5
# Steady tones weaker than this part of a codec's noise are its own.
_NOISE_TAKEN = 0.25


class Settler:
    """Judges events of one stream."""

    def __init__(
        self,
        blocks: Blocks,
        sources: list[Source],
        recent: Recent,
        arrivals: Arrivals,
        limits: Limits,
        rate_hz: int,
    ) -> None:
        self._blocks = blocks
        self._sources = sources
        self._recent = recent
        self._arrivals = arrivals
        self._limits = limits
        self._rate_hz = rate_hz

    def settle(self, event: Event, noise: float) -> list[Finding]:
        """Findings of one event; sources are moved, lost or found as it tells.

        `noise` is the power that was left unexplained before it.
        """
        scene = self._scene(event, noise)
        self._lose(scene)
        findings = self._find(scene)
        if not event.noisy:
            findings += self._levels(scene)
            for group in scene.touched():
                for damage in dissect(scene.stretch(group)):
                    findings += self._findings(damage, group)
        for change in scene.changes:
            self._adopt(change)
        return findings

    def silence(self, source: Source, until: float, shift: float | None) -> Finding:
        """The finding for a lost source that is heard again from stream index `until` on, having
        jumped by `shift` (samples of 48 kHz), or that never came back (None)."""
        assert source.lost_at is not None
        ms = max(until - source.lost_at, 0.0) / self._rate_hz * 1e3
        detail: dict[str, Any] = {"content": source.lost_content}
        if shift is None:
            detail["open"] = True
        else:
            wrapped = (shift + PERIOD_SAMPLES / 2) % PERIOD_SAMPLES - PERIOD_SAMPLES / 2
            detail["shift_ms"] = round(wrapped / RATE_HZ * 1e3, 3)
        damaged = shift is None and source.lost_content == "other"
        kind: Kind = "silence" if ms >= _SILENCE_MS and not damaged else "dropout"
        source.lost_at = None
        return Finding(kind, source.index, source.lost_time, round(ms, 3), detail)

    def _scene(self, event: Event, noise: float) -> Scene:
        length = self._blocks.length
        stop = event.end if event.settled is None else event.settled + event.run - 1
        start = max((event.start - 2) * length, 0)
        longest = int(_LONGEST_S * self._rate_hz)
        if any(source.present for source in self._sources):
            latest = min(stop * length, start + longest)
        else:
            latest = stop * length
            start = max(start, latest - longest)
        first, sound = self._recent.slice(start, latest)
        changes = [
            self._change(number, source, event, noise)
            for number, source in enumerate(self._sources)
        ]
        return Scene(changes, first, sound.astype(np.float64), noise, self._limits, self._rate_hz)

    def _change(self, number: int, source: Source, event: Event, noise: float) -> Change:
        change = Change(number, source)
        if source.present:
            change.before = source.model(self._gains_before(event, number))
        if event.settled is not None:
            run = self._blocks.of(event.settled, event.settled + event.run)[:, number]
            after = source.model(run.mean(axis=0))
            if after.power > max(PRESENCE * POWER, _NOISE_TAKEN * noise):
                change.after = after
        if change.before and change.after:
            turns = change.after.gains * change.before.gains.conj()
            change.shift = self._shift(source, turns)
        elif change.after:
            change.shift = self._shift(source, change.after.gains)
        return change

    def _shift(self, source: Source, turns: Phasors) -> float:
        shift = find_shift(turns, source.frequencies_hz, self._limits.sigma_rad)
        return shift.seconds * RATE_HZ

    def _gains_before(self, event: Event, number: int) -> Phasors | None:
        """Of the last blocks before the event but one, which may be touched by it."""
        if event.steady_from is None:
            return None
        stop = max(event.start - 1, event.steady_from + 1)
        start = max(event.steady_from, stop - _LEAD_BLOCKS, self._blocks.first)
        if start >= stop:
            return None
        gains: Phasors = self._blocks.of(start, stop)[:, number].mean(axis=0)
        return gains

    def _lose(self, scene: Scene) -> None:
        lost = scene.lost
        if not lost:
            return
        stretch = scene.stretch(lost)
        start = last_of_before(stretch)
        rest = stretch.sound[start:]
        silent = not len(rest) or float(np.mean(rest**2)) < _SILENT * stretch.power
        for change in lost:
            change.source.lost_at = float(scene.first + start)
            change.source.lost_time = self._arrivals.at(scene.first + start)
            change.source.lost_content = "silent" if silent else "other"

    def _find(self, scene: Scene) -> list[Finding]:
        back = [change for change in scene.back if change.source.lost_at is not None]
        if not back:
            return []
        until = float(scene.first + first_of_after(scene.stretch(scene.back)))
        return [self.silence(change.source, until, change.shift) for change in back]

    def _levels(self, scene: Scene) -> list[Finding]:
        findings = []
        for change in scene.kept:
            assert change.before and change.after
            old = gain_db(change.before.power / POWER)
            new = gain_db(change.after.power / POWER)
            if abs(new - old) < _LEVEL_STEP_DB:
                continue
            change.source.reference_db = new
            at = self._arrivals.at(scene.first + find_cut(scene.stretch(scene.kept)))
            detail = {"from_db": round(old, 2), "to_db": round(new, 2)}
            findings.append(Finding("level", change.source.index, at, 0.0, detail))
        return findings

    def _findings(self, damage: Damage, group: list[Change]) -> list[Finding]:
        at = self._arrivals.at(damage.start)
        ms = round(damage.length / self._rate_hz * 1e3, 3)
        # A click belongs to the stream, not to any of its sources.
        whole = damage.kind == "click" and len(group) > 1
        signals = [-1] if whole else [change.source.index for change in group]
        return [Finding(damage.kind, signal, at, ms, damage.detail) for signal in signals]

    def _adopt(self, change: Change) -> None:
        source = change.source
        source.present = change.after is not None
        if not change.after:
            return
        if not change.before:
            source.located = True
            source.reference_db = gain_db(change.after.power / POWER)
        index = self._blocks.end * float(self._blocks.length)
        self._blocks.correct(change.number, change.shift, source.drift, index)
        source.gains = change.after.gains * source.turn(change.shift / RATE_HZ)
