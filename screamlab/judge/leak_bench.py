"""``screamlab bench leak``: how often a leak is seen that is none, and how often one that is.

Made-up healthy series (`screamlab.judge.leak_shapes`) and the same with a leak are judged with the
limits of ``router.leak``; the rates are written to ``docs/leak-calibration.md``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from screamlab.judge.checks.leak import HOUR_S, MIB, RouterLeak
from screamlab.judge.leak import Measured, growth, measure
from screamlab.judge.leak_shapes import PAGES_PER_MIB, SHAPES, Values, leaking, series
from screamlab.judge.samples import Samples
from screamlab.judge.windows import Window
from screamlab.paths import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "leak-calibration.md"
SEED = 6
DRAWS = 1000
HOURS = (1.0, 2.0, 4.0, 12.0, 24.0)
LEAKS_MIB_PER_HOUR = (0.5, 1.0, 2.0, 4.0)
# As USS is sampled; long runs more seldom, which makes floors no better.
EVERY_S = 5.0
MOST_SAMPLES = 2880
DAY_S, SERIES = 86_400, 10
_CHUNK = 250

Cell = tuple[str, float]
"""A shape and a length of the run, hours."""


@dataclass(frozen=True)
class Rates:
    """Of all draws, what share was called a leak, and what share was passed."""

    failed: float
    passed: float


@dataclass(frozen=True)
class Calibration:
    """Rates by leak (MiB/h) and cell; of 0 for healthy series.

    `visible` are the 10 %, 50 % and 90 % quantiles of the smallest leak a healthy run promises to
    see, and `kept` how often that very leak was found.
    """

    rates: dict[float, dict[Cell, Rates]]
    visible: dict[Cell, tuple[float, ...]]
    kept: dict[Cell, float]


def measure_all() -> dict[str, float | str]:
    """Calibrate, write `DOCUMENT`, and tell the worst of the rates and the speed."""
    found = calibrate(DRAWS, HOURS, tuple(SHAPES))
    day_s = time_a_day()
    DOCUMENT.write_text(document(found, DRAWS))
    alarms = max(rates.failed for rates in found.rates[0.0].values())
    return {
        f"false alarms at most, of {DRAWS} series of any shape and length": f"{alarms:.1%}",
        "1 MiB/h in 4 h found, flat": f"{found.rates[1.0]['flat', 4.0].failed:.1%}",
        f"time to judge {SERIES} series of a day at 1 Hz, s": day_s,
        "written": str(DOCUMENT.relative_to(CHECKOUT)),
    }


def calibrate(draws: int, lengths: tuple[float, ...], shapes: tuple[str, ...]) -> Calibration:
    """Judge `draws` series of each shape and length, healthy and with each leak."""
    limits = RouterLeak()
    found = Calibration({leak: {} for leak in (0.0, *LEAKS_MIB_PER_HOUR)}, {}, {})
    for shape in shapes:
        for hours in lengths:
            random = np.random.default_rng((SEED, list(SHAPES).index(shape), int(hours)))
            counts = [_judge_chunk(shape, hours, part, limits, random) for part in _chunks(draws)]
            cell = shape, hours
            for leak in found.rates:
                both = np.concatenate([chunk.of_leak[leak] for chunk in counts])
                found.rates[leak][cell] = Rates(*both.mean(axis=0).tolist())
            visible = np.concatenate([chunk.visible for chunk in counts])
            found.visible[cell] = tuple(np.quantile(visible, (0.1, 0.5, 0.9)).tolist())
            found.kept[cell] = float(np.concatenate([chunk.kept for chunk in counts]).mean())
    return found


@dataclass(frozen=True)
class _Chunk:
    """Of each draw: whether it failed and whether it passed, by leak; what it promised to see."""

    of_leak: dict[float, NDArray[np.bool_]]
    visible: Values
    kept: NDArray[np.bool_]


def _chunks(draws: int) -> Iterator[int]:
    for begin in range(0, draws, _CHUNK):
        yield min(_CHUNK, draws - begin)


def _judge_chunk(
    shape: str, hours: float, draws: int, limits: RouterLeak, random: np.random.Generator
) -> _Chunk:
    every_h = max(EVERY_S / HOUR_S, hours / MOST_SAMPLES)
    at_h = np.arange(0, hours, every_h)
    healthy = series(shape, draws, at_h, random)

    def judged(values: Values) -> Measured:
        windows = (Window(0.0, hours * HOUR_S),)
        found = measure(at_h * HOUR_S, values, windows, granule=1 / PAGES_PER_MIB)
        assert found is not None
        return found

    def leak(mib_per_hour: Values) -> Measured:
        return judged(leaking(shape, healthy, mib_per_hour, at_h, random))

    calm = judged(healthy)
    visible = limits.max_mib_per_hour + calm.blur * HOUR_S
    of_leak = {0.0: _verdicts(calm, limits)}
    for rate in LEAKS_MIB_PER_HOUR:
        of_leak[rate] = _verdicts(leak(np.full(draws, rate)), limits)
    return _Chunk(of_leak, visible, _verdicts(leak(visible), limits)[:, 0])


def _verdicts(found: Measured, limits: RouterLeak) -> NDArray[np.bool_]:
    """Two columns: it is called a leak, and it is passed; otherwise nothing is known."""
    above = found.low * HOUR_S > limits.max_mib_per_hour
    seen = limits.max_mib_per_hour + found.blur * HOUR_S <= limits.see_mib_per_hour
    return np.stack([above & ~found.settling, ~above & seen], axis=1)


def time_a_day() -> float:
    """Seconds it takes to judge `SERIES` series of a day, sampled once a second."""
    random = np.random.default_rng(SEED)
    t = np.arange(float(DAY_S))
    many = series("GC waves", SERIES, t / HOUR_S, random) * MIB
    begun = time.perf_counter()
    for values in many:
        growth(Samples(t, values), (Window(0.0, DAY_S),))
    return time.perf_counter() - begun


def document(found: Calibration, draws: int) -> str:
    """The text of `DOCUMENT`."""
    limits = RouterLeak()
    lengths = sorted({hours for _, hours in found.kept})
    shapes = list(dict.fromkeys(shape for shape, _ in found.kept))

    def table(text: Callable[[Cell], str]) -> str:
        head = ["shape", *(f"{hours:g} h" for hours in lengths)]
        rows = [head, ["---"] * len(head)]
        rows += [[shape, *(text((shape, hours)) for hours in lengths)] for shape in shapes]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def rates(leak: float) -> str:
        def text(cell: Cell) -> str:
            one = found.rates[leak][cell]
            return f"{100 * one.failed:.1f} ({100 * one.passed:.1f})"

        return table(text)

    parts = [
        _HEAD.format(draws=draws, seed=SEED, limit=limits.max_mib_per_hour,
                     see=limits.see_mib_per_hour, every=EVERY_S, most=MOST_SAMPLES),
        rates(0.0),
        *(
            f"## A leak of {leak:g} MiB/h\n\nPer cent called a leak (and passed all the same).\n\n"
            + rates(leak)
            for leak in LEAKS_MIB_PER_HOUR
        ),
        _PROMISE,
        table(lambda cell: " / ".join(f"{rate:.2g}" for rate in found.visible[cell])
              + f" → {100 * found.kept[cell]:.0f}"),
        "## Shapes\n\n" + "\n".join(
            f"- **{name}**: {(SHAPES[name].__doc__ or '').strip()}" for name in shapes
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


_HEAD = """# How well leaks are told

Made by `screamlab bench leak`: {draws} made-up series of each shape and length (seed {seed}),
sampled every {every:g} s, at most {most} times, judged by `screamlab.judge.leak` with the limits of
`router.leak`: growth by more than {limit:g} MiB/h in every quarter of the run is a leak, and a run
that would not have seen one of {see:g} MiB/h passes nothing. The lengths are without warm-up. The
statistic knows no unit: of what is counted, read the same with other limits.

What it cannot tell apart, by its nature: a leak from a wave longer than the run or from a cache
that fills for more than three quarters of it; and no leak is seen beneath waves that are high and
longer than a twenty-fourth of the run. It says *unknown* there.

## No leak

Per cent called a leak, each a false alarm (and passed; what is left is unknown)."""

_PROMISE = """## What a run promises to see

The smallest leak, in MiB/h, that a healthy run says it would have seen (10 % / 50 % / 90 % of the
runs) → per cent of the runs in which that very leak, planted, was called one. How coarse the stairs
of a leak are, a healthy run cannot know: its promise is of a leak by small pieces."""
