"""How packets are lost: the simplest model of netem that the losses do not contradict.

The models are nested: independent loss (one probability), simple Gilbert (the bad state loses all),
Gilbert (it loses some, Gilbert 1960) and Gilbert–Elliott (the good state loses some too, Elliott
1963). Each is fitted by maximum likelihood, exactly for the first two and numerically for the rest,
and a richer one is taken only when a likelihood-ratio test rejects the poorer (Hasslinger and
Hohlfeld, "The Gilbert-Elliott Model for Packet Loss in Real Time Services on the Internet", MMB
2008, has the models and their moments). How well the chosen one fits is a chi-square test of the
lengths of bursts and gaps against what it makes one expect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special, stats

from screamlab.fit.samples import Bools, Floats, Integers, runs
from screamlab.impair.condition import GilbertElliott, IndependentLoss, Loss

# Fewer losses show no pattern.
MIN_LOSSES = 20
# A richer model must be this unlikely to be chance.
SIGNIFICANCE = 0.01
_TINY = 1e-9
_EXPECTED, _CLASSES = 5, 20
_EYE = np.eye(2)


@dataclass(frozen=True)
class LossFit:
    """Loss per packet: `p` into the bad state, `r` out of it, and the loss in either state.

    Independent loss has `p` 0 and all of it in `good_loss`. `burst_p` and `gap_p` are p-values of
    the chi-square tests, None where there is too little to test; `against_independent_p` is that of
    the likelihood-ratio test of independence.
    """

    packets: int
    losses: int
    p: float
    r: float
    bad_loss: float
    good_loss: float
    log_likelihood: float
    against_independent_p: float | None = None
    burst_p: float | None = None
    gap_p: float | None = None

    @property
    def share(self) -> float:
        """Share of packets that the model loses."""
        bad = self.p / (self.p + self.r) if self.p else 0.0
        return bad * self.bad_loss + (1 - bad) * self.good_loss

    @property
    def freedom(self) -> int:
        """How many numbers were fitted."""
        return 2 + (self.bad_loss < 1) + (self.good_loss > 0) if self.p else 1

    @property
    def model(self) -> str:
        """What it is called."""
        if not self.losses:
            return "none"
        if not self.p:
            return "independent"
        if self.good_loss:
            return "Gilbert-Elliott"
        return "Gilbert" if self.bad_loss < 1 else "simple Gilbert"

    def condition(
        self, spacing_s: float | None = None, for_spacing_s: float | None = None
    ) -> Loss | None:
        """As a condition has it; for packets of another spacing when both are given."""
        if not self.losses:
            return None
        if not self.p:
            return IndependentLoss(model="independent", percent=_percent(self.good_loss))
        p, r = self.p, self.r
        if spacing_s and for_spacing_s:
            p, r = respaced(p, r, for_spacing_s / spacing_s)
        return GilbertElliott(
            model="gilbert_elliott",
            to_bad_percent=_percent(p),
            to_good_percent=_percent(r),
            bad_loss_percent=_percent(self.bad_loss),
            good_loss_percent=_percent(self.good_loss),
        )


def fit_loss(lost: Bools) -> LossFit:
    """The model of a sequence of packets, True where one was lost."""
    count, losses = len(lost), int(lost.sum())
    share = losses / count
    alone = _independent(lost, share)
    if losses < MIN_LOSSES or losses > count - MIN_LOSSES:
        return alone
    sequence = RunLengths(lost)
    simple = _simple_gilbert(lost, sequence)
    chosen = simple if _unlikely(alone, simple) < SIGNIFICANCE else alone
    # Independent from one packet to the next can still be of two minds over many.
    if chosen is simple or _lumpy(lost):
        for free in (1, 2):
            richer = _numeric(sequence, simple, free)
            if _unlikely(chosen, richer) < SIGNIFICANCE:
                chosen = richer
    fitted = max(1, chosen.freedom - 1)
    return replace(
        chosen,
        against_independent_p=_unlikely(alone, simple if chosen is alone else chosen),
        # One of the numbers is spent on how often bursts come, or gaps.
        burst_p=_chi_square(sequence.bursts, _run_lengths(chosen, lost=True), fitted),
        gap_p=_chi_square(sequence.gaps, _run_lengths(chosen, lost=False), fitted),
    )


def respaced(p: float, r: float, ratio: float) -> tuple[float, float]:
    """p and r for packets `ratio` times as far apart; states keep their shares and their durations.

    A chain of two states forgets as (1-p-r)^n over n packets; one that does not linger in its
    states has no duration to keep.
    """
    linger = 1 - p - r
    if linger <= 0:
        return p, r
    change = 1 - linger**ratio
    return change * p / (p + r), change * r / (p + r)


def burst_lengths(lost: Bools) -> dict[int, int]:
    """How many bursts of loss have each length."""
    lengths, kinds = runs(lost)
    values, counts = np.unique(lengths[kinds], return_counts=True)
    return {int(length): int(count) for length, count in zip(values, counts, strict=True)}


class RunLengths:
    """A sequence of packets as its runs of received and lost ones, for likelihoods."""

    def __init__(self, lost: Bools) -> None:
        lengths, kinds = runs(lost)
        self.bursts, self.gaps = lengths[1:-1][kinds[1:-1]], lengths[1:-1][~kinds[1:-1]]
        self._count = len(lengths)
        self._of_kind = [
            (kind, np.flatnonzero(kinds == kind), *np.unique(lengths[kinds == kind], False, True))
            for kind in (False, True)
        ]

    def log_likelihood(self, p: float, r: float, bad: float, good: float) -> float:
        """By the forward algorithm over whole runs at once."""
        step = np.array([[1 - p, p], [r, 1 - r]])
        emit = np.array([good, bad])
        matrices = np.empty((self._count, 2, 2))
        logs = 0.0
        for kind, places, lengths, which in self._of_kind:
            if len(places):
                powers, scale = _powers(step * (emit if kind else 1 - emit), lengths)
                matrices[places] = powers[which]
                logs += float(scale[which].sum())
        total, more = _product(matrices)
        begin = np.array([r, p]) / (p + r)
        return float(np.log(max((begin @ total).sum(), 1e-300))) + more + logs


def _powers(one: Floats, exponents: Integers) -> tuple[Floats, Floats]:
    """one**n for each n, divided by the n-th power of its largest eigenvalue, and that power's log.

    A 2x2 matrix of what is not negative has real eigenvalues.
    """
    (a, b), (c, d) = one.tolist()
    root = math.sqrt(((a - d) / 2) ** 2 + b * c)
    large, small = (a + d) / 2 + root, (a + d) / 2 - root
    if large <= 0:
        return np.zeros((len(exponents), 2, 2)), np.zeros(len(exponents))
    if root < 1e-12:
        powers = _EYE + exponents[:, None, None] * (one / large - _EYE)
    else:
        first = (one - small * _EYE) / (large - small)
        powers = first + np.power(small / large, exponents)[:, None, None] * (_EYE - first)
    return np.maximum(powers, 0.0), np.asarray(exponents * math.log(large), float)


def _product(matrices: Floats) -> tuple[Floats, float]:
    """Product of many 2x2 matrices in their order, halving their number each time, and its log."""
    logs = 0.0
    while len(matrices) > 1:
        if len(matrices) % 2:
            matrices = np.concatenate([matrices, _EYE[None]])
        matrices = matrices[0::2] @ matrices[1::2]
        scale = np.maximum(matrices.max(axis=(1, 2)), 1e-300)
        matrices = matrices / scale[:, None, None]
        logs += float(np.log(scale).sum())
    return matrices[0], logs


def _lumpy(lost: Bools) -> bool:
    """Whether losses in windows of some length vary more than independent ones do (chi-square).

    Asked generously: it only spares the search for models where there is nothing to find.
    """
    share = lost.mean()
    for window in (4, 16, 64, 256):
        count = len(lost) // window
        if count < MIN_LOSSES:
            break
        sums = lost[: count * window].reshape(count, window).sum(axis=1)
        dispersion = ((sums - window * share) ** 2).sum() / (window * share * (1 - share))
        if stats.chi2.sf(dispersion, count - 1) < 0.05:
            return True
    return False


def _independent(lost: Bools, share: float) -> LossFit:
    count, losses = len(lost), int(lost.sum())
    likelihood = float(special.xlogy(losses, share) + special.xlogy(count - losses, 1 - share))
    return LossFit(count, losses, 0.0, 1.0, 1.0, share, likelihood)


def _simple_gilbert(lost: Bools, sequence: RunLengths) -> LossFit:
    """p and r are the shares of changes among the packets after a received and a lost one."""
    last, now = lost[:-1], lost[1:]
    p = int((~last & now).sum()) / max(1, int((~last).sum()))
    r = int((last & ~now).sum()) / max(1, int(last.sum()))
    p, r = np.clip([p, r], _TINY, 1 - _TINY).tolist()
    likelihood = sequence.log_likelihood(p, r, 1.0, 0.0)
    return LossFit(len(lost), int(lost.sum()), p, r, 1.0, 0.0, likelihood)


def _numeric(sequence: RunLengths, simple: LossFit, free: int) -> LossFit:
    """The best Gilbert (`free` 1) or Gilbert–Elliott (2) model from several starting points."""

    def unpacked(point: Floats) -> tuple[float, float, float, float]:
        p, r, bad, good = special.expit([*point, *[-np.inf] * (4 - len(point))]).tolist()
        # The bad state is the one that loses more.
        return p, r, good + (1 - good) * bad, good

    share = simple.losses / simple.packets
    found = []
    for linger in (simple.r, simple.r / 10):
        p = float(np.clip(share / 0.7 * linger, 1e-5, 0.5))
        start = special.logit([p, np.clip(linger, 1e-4, 0.99), 0.7, share / 10][: 2 + free])
        found.append(
            optimize.minimize(
                lambda point: -sequence.log_likelihood(*unpacked(point)),
                start,
                method="L-BFGS-B",
                bounds=[(-16, 16)] * len(start),
                options={"maxiter": 100, "ftol": 1e-10},
            )
        )
    best = min(found, key=lambda one: float(one.fun))
    return LossFit(simple.packets, simple.losses, *unpacked(best.x), -float(best.fun))


def _unlikely(poorer: LossFit, richer: LossFit) -> float:
    """p-value of the likelihood-ratio test.

    Half of the chi-square's where the poorer lies on the boundary of the richer, as it does unless
    independence is tested against the simple Gilbert model (Self and Liang, JASA 82, 1987).
    """
    ratio = max(0.0, 2 * (richer.log_likelihood - poorer.log_likelihood))
    value = float(stats.chi2.sf(ratio, max(1, richer.freedom - poorer.freedom)))
    return value if richer.model == "simple Gilbert" else value / 2


def _run_lengths(fit: LossFit, *, lost: bool, longest: int = 100_000) -> Floats:
    """Chance that a run of losses (or of arrivals) is longer than 0, 1, 2 … packets."""
    p, r = (fit.p, fit.r) if fit.p else (_TINY, 1 - _TINY)
    step = np.array([[1 - p, p], [r, 1 - r]])
    loss = np.array([fit.good_loss, fit.bad_loss])
    inside, outside = (loss, 1 - loss) if lost else (1 - loss, loss)
    # The state of a packet at which a run begins: the one before it was of the other kind.
    begin = (np.array([r, p]) / (p + r) * outside) @ step * inside
    total = begin.sum()
    if total <= 0:
        return np.array([1.0])
    one = step * inside
    exponents = np.arange(longest)
    powers, logs = _powers(one, exponents)
    longer = np.einsum("j,njk->n", begin / total, powers) * np.exp(logs)
    return longer[longer > 1e-12]


def _chi_square(seen: Integers, longer: Floats, fitted: int) -> float | None:
    """p-value of run lengths against the chance of each; a class of them expects 5 or more."""
    if len(seen) < MIN_LOSSES:
        return None
    # Classes of about the same chance: each ends at the first length that makes it large enough.
    enough = max(_EXPECTED / len(seen), 1 / _CLASSES)
    ends, left = [0], 1.0
    while (large := np.flatnonzero(longer <= left - enough)).size and longer[large[0]] >= enough:
        ends.append(int(large[0]))
        left = float(longer[large[0]])
    chances = -np.diff([*longer[ends], 0.0])
    observed = np.histogram(seen, [*(end + 0.5 for end in ends), np.inf])[0]
    freedom = len(chances) - 1 - fitted
    if freedom < 1:
        return None
    statistic = float(((observed - chances * len(seen)) ** 2 / (chances * len(seen))).sum())
    return float(stats.chi2.sf(statistic, freedom))


def _percent(share: float) -> float:
    return float(min(100.0, max(1e-4, round(share * 100, 4)))) if share else 0.0
