"""How close a copy is: the packets that were measured and those that a replay shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy import stats

from screamlab.fit.delay import ks_distance, reordered_share
from screamlab.fit.loss import burst_lengths
from screamlab.fit.samples import Samples

# Bursts longer than this are counted together.
_LONGEST = 5
_QUANTILES = (0.05, 0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Comparison:
    """Two measurements of one direction.

    `ks` is the largest difference of the distributions of delay, `ks_aligned` that after the
    medians were laid over each other, by `shift_ms`: a constant that a replay adds is its own path
    or two clocks. Losses have intervals of 95 % (Wilson), as for independent packets. `bursts` has
    for lengths 1 to 5 and more the shares of all bursts.
    """

    original: Samples
    replayed: Samples
    ks: float
    ks_aligned: float
    shift_ms: float
    quantiles_ms: tuple[tuple[float, float, float], ...]
    loss: tuple[tuple[float, float, float], tuple[float, float, float]]
    bursts: tuple[tuple[str, float, float], ...]
    burst_distance: float
    reordered: tuple[float, float]


def compare(original: Samples, replayed: Samples) -> Comparison:
    """Hold a replay against its original, both of the same direction."""
    one, other = (s.delay_s[s.received] * 1e3 for s in (original, replayed))
    known = len(one) > 0 and len(other) > 0
    shift = float(np.median(other) - np.median(one)) if known else float("nan")
    quantiles = [
        (at, float(np.quantile(one, at)), float(np.quantile(other, at)))
        for at in (_QUANTILES if known else ())
    ]
    bursts = _bursts(original, replayed)
    return Comparison(
        original,
        replayed,
        ks_distance(one, other) if known else float("nan"),
        ks_distance(one, other - shift) if known else float("nan"),
        shift,
        tuple(quantiles),
        (_loss(original), _loss(replayed)),
        bursts,
        sum(abs(there - here) for _, there, here in bursts) / 2,
        (reordered_share(original.arrival), reordered_share(replayed.arrival)),
    )


def table(found: Comparison) -> Table:
    """For people."""
    shown = Table("", "original", "replayed", "difference",
                  title=found.original.direction, title_justify="left")  # fmt: skip
    for at, there, here in found.quantiles_ms:
        shown.add_row(f"delay, {at:.0%}", f"{there:.3f} ms", f"{here:.3f} ms",
                      f"{here - there:+.3f} ms")  # fmt: skip
    shown.add_row("delay, distributions", "", "", f"KS {found.ks:.3f}")
    shown.add_row(f"… less {found.shift_ms:+.3f} ms", "", "", f"KS {found.ks_aligned:.3f}")
    lost, again = found.loss
    shown.add_row("loss", _percent(lost), _percent(again), f"{(again[0] - lost[0]) * 100:+.3f} %")
    for length, original, replayed in found.bursts:
        shown.add_row(f"bursts of {length}", f"{original:.1%}", f"{replayed:.1%}",
                      f"{(replayed - original) * 100:+.1f} %")  # fmt: skip
    shown.add_row("bursts, distributions", "", "", f"TV {found.burst_distance:.3f}")
    shown.add_row("reordered", *(f"{share:.3%}" for share in found.reordered), "")
    return shown


def _loss(samples: Samples) -> tuple[float, float, float]:
    count = len(samples.lost)
    result = stats.binomtest(int(samples.lost.sum()), max(1, count))
    interval = result.proportion_ci(0.95, method="wilson")
    return float(result.statistic), float(interval.low), float(interval.high)


def _bursts(original: Samples, replayed: Samples) -> tuple[tuple[str, float, float], ...]:
    shares = []
    for samples in (original, replayed):
        lengths = burst_lengths(samples.lost)
        total = max(1, sum(lengths.values()))
        kept = [lengths.get(length, 0) / total for length in range(1, _LONGEST)]
        more = sum(n for length, n in lengths.items() if length >= _LONGEST) / total
        shares.append([*kept, more])
    names = [*map(str, range(1, _LONGEST)), f"{_LONGEST} and more"]
    return tuple(zip(names, *shares, strict=True))


def _percent(loss: tuple[float, float, float]) -> str:
    share, low, high = (value * 100 for value in loss)
    return f"{share:.3f} % ({low:.3f} to {high:.3f})"
