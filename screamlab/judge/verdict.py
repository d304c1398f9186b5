"""From results to a verdict: INFRA before FAIL before INVALID before PASS.

A crash of the router is a FAIL whatever became of the hosts, and is told before all else.
"""

from __future__ import annotations

from collections.abc import Sequence

from screamlab.judge.model import CheckResult, Outcome, Verdict
from screamlab.judge.view import Run

CRASH = "router.crash"


def infra_reason(run: Run) -> str | None:
    """Why nothing can be said of the router, if hosts or provisioning failed; else None."""
    told = run.infra
    if told is not None:
        return told
    if not run.plans:
        return "the run folder holds no plan"
    if run.meta.get("zero") is None:
        return "the run was planned and never started"
    for host, reason in run.bundle.missing_reasons.items():
        return f"{host} is not in the evidence: {reason}"
    started = {event.host for event in run.events("agent.start")}
    ended = {event.host for event in run.events("agent.end")}
    for host in run.plans:
        if host not in started:
            return f"the agent on {host} never started"
        if host not in ended:
            return f"the agent on {host} never ended"
    return _unclean(run)


def _unclean(run: Run) -> str | None:
    """Which host broke the network and has not shown, after the run, that it is whole again."""
    shown = run.meta.get("clean", {})
    for host, plan in run.plans.items():
        left = shown.get(host, ["nobody has looked"])
        if plan.impairments and left:
            return f"{host} is not shown clean after its impairments: {'; '.join(left)}"
    return None


def outcome(results: Sequence[CheckResult], infra: str | None) -> tuple[Outcome, str]:
    """The verdict and the sentence that goes with it."""
    failed = [result for result in results if result.status == "fail"]
    failed.sort(key=lambda result: result.id != CRASH)
    if infra is not None and not (failed and failed[0].id == CRASH):
        return "INFRA", infra
    if failed:
        return "FAIL", _sentence(failed)
    unsure = [r for status in ("invalid", "unknown") for r in results if r.status == status]
    if unsure:
        return "INVALID", _sentence(unsure)
    if not results:
        return "INVALID", "no check was asked for, so there is nothing to judge by"
    return "PASS", _all_well(results)


def give_verdict(run: Run, results: Sequence[CheckResult]) -> Verdict:
    """The verdict on a run whose checks have answered."""
    verdict, reason = outcome(results, infra_reason(run))
    return Verdict(
        run_id=str(run.meta.get("run_id", "")),
        scenario=str(run.meta.get("scenario", "")),
        scale=str(run.meta.get("scale", "")),
        verdict=verdict,
        reason=reason,
        router=run.router,
        checks=tuple(results),
    )


def _sentence(results: Sequence[CheckResult]) -> str:
    first, more = results[0], len(results) - 1
    others = f" (and {more} more)" if more else ""
    return f"{first.id} on {first.subject}: {first.reason}{others}"


def _all_well(results: Sequence[CheckResult]) -> str:
    passed = sum(result.status in ("pass", "xpass") for result in results)
    parts = [f"{passed} of {len(results)} results as they must be"]
    expected = [result for result in results if result.status == "xfail"]
    if expected:
        first = expected[0]
        parts.append(f"{len(expected)} expected failures, first {first.id} on {first.subject}")
    news = [result for result in results if result.status == "xpass"]
    if news:
        parts.append(
            f"{len(news)} unexpectedly passed, first {news[0].id} on {news[0].subject}: "
            "look at known_issues.yml"
        )
    return "; ".join(parts)
