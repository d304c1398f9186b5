"""What a run with a planted fault came to, held against what it must come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from screamlab.canary.model import Canary, Detection
from screamlab.judge.model import CheckResult, Outcome, Verdict

FIRED = ("fail", "invalid", "unknown")
"""What is more than an expected failure, and no pass."""

# Times are those of two processes on hosts whose clocks agree, and samples are a second apart.
_EARLY_S = 1.0


class Seen(BaseModel):
    """A result by which a fault was detected, and how long after it was planted."""

    model_config = ConfigDict(frozen=True)

    check: str
    subject: str
    after_s: float | None = None


class Found(BaseModel):
    """What became of a canary; `wrong` says in sentences what is not as demanded."""

    model_config = ConfigDict(frozen=True)

    name: str
    run_id: str
    router: str | None = None
    verdict: Outcome | None = None
    seen: tuple[Seen, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything is as demanded."""
        return not self.wrong


def compare(canary: Canary, verdict: Verdict, planted_s: float | None) -> Found:
    """Hold a verdict against what a canary demands; `planted_s` is on the plan's clock."""
    fired = [result for result in verdict.checks if result.status in FIRED]
    wrong = []
    if canary.fault and planted_s is None:
        wrong.append("the fault was never planted")
    if verdict.verdict != canary.verdict:
        wrong.append(f"{verdict.verdict}, not {canary.verdict}: {verdict.reason}")
    seen: list[Seen] = []
    for detection in canary.detected:
        by = [result for result in fired if _detects(detection, result, planted_s)]
        seen += [_seen(result, planted_s) for result in by]
        if not by:
            wrong.append(_missed(detection, fired, planted_s))
    allowed = (*canary.detected, *canary.follows)
    wrong += [
        f"{result.id} on {result.subject} is {result.status}: {result.reason}"
        for result in fired
        if not any(one.is_about(result.id, result.subject) for one in allowed)
    ]
    return Found(
        name=canary.name,
        run_id=verdict.run_id,
        router=verdict.router.version,
        verdict=verdict.verdict,
        seen=tuple(seen),
        wrong=tuple(wrong),
    )


def _detects(wanted: Detection, result: CheckResult, planted_s: float | None) -> bool:
    if not wanted.is_about(result.id, result.subject) or result.status != wanted.status:
        return False
    if wanted.within_seconds is None:
        return True
    after_s = _after(result, planted_s)
    return after_s is not None and -_EARLY_S <= after_s <= wanted.within_seconds


def _missed(wanted: Detection, fired: Sequence[CheckResult], planted_s: float | None) -> str:
    what = f"{wanted.check} on {wanted.subject} is not {wanted.status}"
    for result in fired:
        if wanted.is_about(result.id, result.subject):
            after_s = _after(result, planted_s)
            when = "at no known time" if after_s is None else f"{after_s:.1f} s after the fault"
            return f"{what} in time, but {result.status} {when}: {result.reason}"
    return what


def _seen(result: CheckResult, planted_s: float | None) -> Seen:
    return Seen(check=result.id, subject=result.subject, after_s=_after(result, planted_s))


def _after(result: CheckResult, planted_s: float | None) -> float | None:
    if result.at_s is None or planted_s is None:
        return None
    # Without a minus before nothing.
    return round(result.at_s - planted_s, 1) + 0.0
