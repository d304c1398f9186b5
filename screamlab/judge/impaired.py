"""Impairments of a run: when they were at work, and what they did next to what was asked.

`truth_table` is the whole answer, for the report and for the checks of `checks.impair`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from screamlab.impair.condition import Condition, Impairment
from screamlab.impair.expect import (
    Expectation,
    Range,
    expectation,
    full_queue_ms,
    pieces,
    spared_loss,
)
from screamlab.impair.probe_stream import DIRECTIONS, Direction
from screamlab.judge import interval
from screamlab.judge.probing import Probe, flight_of, probes
from screamlab.judge.traffic import packets_per_s
from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect, merge, subtract

CONFIDENCE = 0.999
# Left out: after applying and before healing, on either side of a step, and around unimpaired time.
MARGIN_S = 1.0
EDGE_S = 0.2
CALM_AFTER_S = 3.0
MIN_BASELINE = 100
# As many as these, independent of each other, tell a loss rate.
MIN_SPARED = 100


@dataclass(frozen=True)
class Planned:
    """An impairment and the host that carries it out.

    `made_up_for_order`: its delays are those asked after order was kept
    (`screamlab.impair.translate.half`).
    """

    point: str
    impairment: Impairment
    made_up_for_order: bool = False

    @property
    def subject(self) -> str:
        it = self.impairment
        return f"impairment/{it.target}/{it.profile}@{it.from_s:g}"

    @property
    def window(self) -> Window:
        return Window(self.impairment.from_s, self.impairment.to_s)


@dataclass(frozen=True)
class Figure:
    """One number of an impairment in one direction: what was asked, and what probes found.

    `achieved` lies, with the asked confidence, in `interval`; None where nothing could be
    measured, as `why` says. `samples` are packets (bursts, for a burst length), worth
    `effective` independent ones.
    """

    planned: Planned
    direction: Direction
    what: str
    unit: str
    asked: Range | None
    achieved: float | None = None
    interval: tuple[float, float] | None = None
    samples: int = 0
    effective: float = 0.0
    why: str = ""

    @property
    def subject(self) -> str:
        return f"{self.planned.subject}/{self.direction}"

    def off(self) -> float:
        """How far the interval lies from what was asked, in `unit`; 0 where they meet."""
        if self.asked is None or self.interval is None:
            return 0.0
        low, high = self.interval
        return max(0.0, self.asked.low - high, low - self.asked.high)


@lru_cache(maxsize=4)
def planned_impairments(run: Run) -> tuple[Planned, ...]:
    """Every impairment in the plans, in order of time."""
    found = [
        Planned(host, Impairment.model_validate(spec), worker.spec.get("packets_per_s") is not None)
        for host, plan in run.plans.items()
        for worker in plan.workers
        if worker.kind == "impairment"
        for spec in worker.spec.get("impairments", ())
    ]
    return tuple(sorted(found, key=lambda item: (item.window, item.subject)))


def impaired_windows(run: Run, targets: Collection[str] | None = None) -> Windows:
    """When links were to be impaired: any, or those of `targets`."""
    return merge(
        planned.window
        for planned in planned_impairments(run)
        if targets is None or planned.impairment.target in targets
    )


@lru_cache(maxsize=8)
def truth_table(run: Run, confidence: float = CONFIDENCE) -> tuple[Figure, ...]:
    """What was asked of every impairment and what its probes found, direction by direction."""
    rows: list[Figure] = []
    for planned in planned_impairments(run):
        for direction in DIRECTIONS:
            probe = _probe_of(run, planned, direction)
            if probe is None:
                why = "no probe watches this direction"
                rows.append(Figure(planned, direction, "loss", "share", None, why=why))
                continue
            rows += _Measurement(run, planned, direction, probe, confidence).figures()
    return tuple(rows)


def _probe_of(run: Run, planned: Planned, direction: Direction) -> Probe | None:
    target = planned.impairment.target
    wanted = (target, direction)
    return next((p for p in probes(run) if (p.stream.target, p.stream.direction) == wanted), None)


class _Measurement:
    """One impairment in one direction, as its probe saw it."""

    def __init__(
        self, run: Run, planned: Planned, direction: Direction, probe: Probe, confidence: float
    ) -> None:
        self._planned = planned
        self._direction: Direction = direction
        self._confidence = confidence
        self._flight = flight_of(run, probe)
        it, ends = planned.impairment, {probe.sender, probe.receiver}
        whole = Window(it.from_s + MARGIN_S, it.to_s - MARGIN_S)
        self._windows = subtract((whole,), impaired_windows(run, ends - {it.target}))
        self._parts = self._slices()
        calm = subtract((Window(0.0, run.duration_s),), _widened(impaired_windows(run, ends)))
        self._baseline = self._flight.baseline_ms(calm, MIN_BASELINE)
        self._interval_ms = probe.stream.interval_ms
        self._packets_per_s = packets_per_s(run, planned.point, it, direction, self._windows)
        self._expected = self._expectation()

    def figures(self) -> list[Figure]:
        """Loss, bursts, reordering and quantiles of delay, as far as they can be foretold."""
        if self._expected is None:
            why = "no probe packets of known fate while it was at work"
            return [self._figure("loss", "share", None, why=why)]
        return [self._loss(), *self._bursts(), *self._reordering(), *self._delays()]

    def _slices(self) -> list[tuple[Condition, slice]]:
        it, found = self._planned.impairment, []
        schedule, length_s = it.schedule, it.to_s - it.from_s
        for piece in pieces(schedule, self._direction, 0.0, length_s):
            edge = min(EDGE_S, (piece.to_s - piece.from_s) / 4)
            inner = Window(it.from_s + piece.from_s + edge, it.from_s + piece.to_s - edge)
            for window in intersect(self._windows, (inner,)):
                found.append((piece.condition, self._flight.between(window)))
        return [(condition, part) for condition, part in found if part.start < part.stop]

    def _expectation(self) -> Expectation | None:
        if not self._parts:
            return None
        weights = [(condition, part.stop - part.start) for condition, part in self._parts]
        return expectation(
            weights,
            self._interval_ms,
            self._packets_per_s,
            made_up_for_order=self._planned.made_up_for_order,
        )

    def _delay_ms(self, *, down: bool) -> list[np.ndarray]:
        return [
            self._flight.delay_ms[part]
            for condition, part in self._parts
            if down or not condition.down
        ]

    def _figure(self, what: str, unit: str, asked: Range | None, **more: object) -> Figure:
        return Figure(self._planned, self._direction, what, unit, asked, **more)  # type: ignore[arg-type]

    def _loss(self) -> Figure:
        """Of packets that found room in the queues where there are enough, or else of all."""
        assert self._expected is not None
        asked, lost = self._expected.loss, [np.isnan(one) for one in self._delay_ms(down=True)]
        spared = [gone[room] for gone, room in zip(lost, self._found_room(), strict=True)]
        if any(map(len, spared)):
            parts = zip(self._parts, spared, strict=True)
            weights = [(condition, float(len(part))) for (condition, _), part in parts]
            exact = spared_loss(weights, self._interval_ms, self._packets_per_s)
            if sum(map(len, spared)) / exact.inflation >= MIN_SPARED:
                asked, lost = exact, spared
        found = np.concatenate(lost)
        return self._share("loss", asked, int(found.sum()), len(found))

    def _found_room(self) -> list[np.ndarray]:
        """For every part, which of its packets no full queue can have lost."""
        if self._baseline is None:
            return [np.zeros(part.stop - part.start, bool) for _, part in self._parts]
        fastest = max(condition.rate_kbit or np.inf for condition, _ in self._parts)
        waited_ms = self._flight.around_ms - self._baseline
        return [
            waited_ms[part] < full_queue_ms(condition, fastest) for condition, part in self._parts
        ]

    def _reordering(self) -> list[Figure]:
        assert self._expected is not None
        late, came = self._flight.reordering(self._windows)
        asked = self._expected.reordered
        return [] if asked is None or not came else [self._share("reordered", asked, late, came)]

    def _share(self, what: str, asked: Range, hits: int, samples: int) -> Figure:
        worth = samples / asked.inflation
        between = interval.proportion(hits / asked.inflation, worth, self._confidence)
        return self._figure(
            what, "share", asked, achieved=hits / samples, interval=between, samples=samples,
            effective=worth,
        )  # fmt: skip

    def _bursts(self) -> list[Figure]:
        """Mean length: losses end a burst with a share of them that has an interval."""
        assert self._expected is not None
        asked = self._expected.burst
        if asked is None:
            return []
        begun = lost = 0
        for delays in self._delay_ms(down=False):
            gone = np.isnan(delays)
            lost += int(gone.sum())
            begun += int((gone & ~np.concatenate([[False], gone[:-1]])).sum())
        if not begun:
            return [self._figure("burst", "packets", asked, why="no packet was lost")]
        low, high = interval.proportion(
            begun / asked.inflation, lost / asked.inflation, self._confidence
        )
        between = (1 / high, 1 / low)
        return [
            self._figure(
                "burst", "packets", asked, achieved=lost / begun, interval=between, samples=begun,
                effective=begun / asked.inflation,
            )
        ]  # fmt: skip

    def _delays(self) -> list[Figure]:
        assert self._expected is not None
        arrays = self._delay_ms(down=False)
        came = np.concatenate(arrays) if arrays else np.empty(0)
        came = np.sort(came[np.isfinite(came)])
        return [self._delay(q, asked, came) for q, asked in sorted(self._expected.delay_ms.items())]

    def _delay(self, q: float, asked: Range, came: np.ndarray) -> Figure:
        what, unit = f"delay p{q * 100:.0f}", "ms"
        if self._baseline is None:
            why = "no unimpaired time to hold the delay against"
            return self._figure(what, unit, asked, why=why)
        if not len(came):
            return self._figure(what, unit, asked, why="no packet came through")
        worth = len(came) / asked.inflation
        low, high = interval.quantile(came, q, worth, self._confidence)
        return self._figure(
            what, unit, asked,
            achieved=float(np.quantile(came, q)) - self._baseline,
            interval=(low - self._baseline, high - self._baseline),
            samples=len(came), effective=worth,
        )  # fmt: skip


def _widened(windows: Windows) -> Windows:
    return merge(Window(w.from_s - MARGIN_S, w.to_s + CALM_AFTER_S) for w in windows)
