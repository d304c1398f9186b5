"""The fit of one direction over one stretch of time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from screamlab.fit.delay import DelayFit, fit_delay, reordered_share
from screamlab.fit.loss import LossFit, fit_loss
from screamlab.fit.ping import HALVED
from screamlab.fit.rate import RateFit, fit_rate
from screamlab.fit.samples import Samples
from screamlab.impair.condition import Condition, Loss, Reorder

# A path that reorders less than this keeps the order for all that audio can tell.
MIN_REORDERED = 1e-3


@dataclass(frozen=True)
class DirectionFit:
    """The condition that replays a direction, and how well each part of it fits."""

    samples: Samples
    condition: Condition
    loss: LossFit
    delay: DelayFit | None
    rate: RateFit | None
    reordered: float
    remarks: tuple[str, ...] = ()


def fit_direction(samples: Samples, spacing_s: float | None = None) -> DirectionFit:
    """Fit one direction; `spacing_s` is that of the packets it is to be replayed on.

    A stretch in which nothing came is a cut link.
    """
    loss = fit_loss(samples.lost)
    if not samples.received.any():
        return DirectionFit(samples, Condition(down=True), loss, None, None, 0.0)
    remarks: list[str] = []
    rate, why_not = fit_rate(samples)
    usual = samples
    if rate:
        # What the queue did, the queue will do again: neither its waits nor its drops are drawn.
        loss = fit_loss(samples.lost[~rate.full])
        usual = replace(samples, delay_s=np.where(rate.waited, np.nan, samples.delay_s))
    else:
        remarks.append(why_not)
    reordered = reordered_share(samples.arrival)
    spacing_s = spacing_s or samples.spacing_s
    delay = fit_delay(usual, spacing_s, keep_order=True)
    reorder = None
    if reordered >= MIN_REORDERED:
        loose = fit_delay(usual, spacing_s, keep_order=False)
        delay, reorder, remark = _reordering(delay, loose, reordered)
        remarks.append(remark)
    condition = Condition(
        delay_quantiles_ms=delay.quantiles_ms,
        keep_order=delay.reordered_of_table == 0 and reorder is None,
        reorder=reorder,
        loss=_loss_condition(samples, loss, spacing_s),
        rate_kbit=round(rate.rate_kbit) if rate else None,
        queue_ms=round(rate.queue_ms, 1) if rate and rate.queue_ms else None,
    )
    return DirectionFit(samples, condition, loss, delay, rate, reordered, tuple(remarks))


def _reordering(
    ordered: DelayFit, loose: DelayFit, reordered: float
) -> tuple[DelayFit, Reorder | None, str]:
    """Drawn delays reorder by themselves; only what is missing of it is asked for on top."""
    given = loose.reordered_of_table
    if given > 2 * reordered:
        return ordered, None, (
            f"reordering is left out: the delays drawn anew for each packet would reorder "
            f"{given:.2%} instead of {reordered:.2%}"
        )  # fmt: skip
    missing = max(0.0, reordered - given)
    percent = round(missing * 100, 3)
    remark = f"the delays alone reorder {given:.2%}; {percent:g} % is asked for on top"
    return loose, Reorder(percent=percent) if percent else None, remark


def _loss_condition(samples: Samples, loss: LossFit, spacing_s: float) -> Loss | None:
    """Half of the losses of a ping belong to either direction, with bursts as long."""
    if HALVED in samples.notes:
        loss = replace(loss, p=loss.p / 2, good_loss=1 - (1 - loss.good_loss) ** 0.5)
    return loss.condition(samples.spacing_s, spacing_s)
