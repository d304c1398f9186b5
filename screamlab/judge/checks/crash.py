"""Crashes of the router and of the lab's own processes, and how the router stops."""

from __future__ import annotations

from pydantic import Field

from screamlab.evidence.subjects import AGENT, ROUTER
from screamlab.judge import crashes
from screamlab.judge.crashes import Group
from screamlab.judge.model import CheckResult
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.view import Run
from screamlab.judge.windows import length_s


class Crash(Params):
    """The samples are looks for cores, by a watch whose canary was found."""

    min_samples: int = Field(default=1, ge=1)


@check("router.crash", Crash)
def router_crash(run: Run, params: Crash) -> list[CheckResult]:
    """The router does not crash."""
    grade = Grader("router.crash", params.min_samples)
    host = run.router_host
    if host is None:
        return [grade.unknown(ROUTER, "no host watches the router")]
    found = crashes.groups(crashes.router_crashes(run))
    if not found:
        return [_clean(run, grade, ROUTER, host, ROUTER)]
    restarts, down_s = len(run.events("process.restarted", ROUTER)), length_s(crashes.down(run))
    more = f"; it was restarted {restarts} ×, and gone for {down_s:.1f} s in all"
    return [_told(run, grade, ROUTER, group, more) for group in found]


@check("lab.crash", Crash)
def lab_crash(run: Run, params: Crash) -> list[CheckResult]:
    """No process of the lab's own crashes: agents, their workers, and the clients."""
    grade = Grader("lab.crash", params.min_samples, bad="invalid")
    results = []
    for host in run.plans:
        found = crashes.groups(c for c in crashes.lab_crashes(run) if c.host == host)
        results += [_told(run, grade, host, group, f"; it was {group.first.command}")
                    for group in found] or [_clean(run, grade, host, host, AGENT)]  # fmt: skip
    return results or [grade.unknown("hosts", "no host has a plan")]


def _clean(run: Run, grade: Grader, subject: str, host: str, watched: str) -> CheckResult:
    looks = crashes.looks(run, host, watched)
    if reason := crashes.blind(run, host, watched):
        return grade.unknown(subject, reason, looks)
    reason = f"no core in {looks} looks, where a canary's was found"
    return grade.at_most(subject, 0, 0, "crashes", looks, reason)


def _told(run: Run, grade: Grader, subject: str, group: Group, more: str) -> CheckResult:
    first, count = group.first, len(group.crashes)
    times = f"{count} times, first " if count > 1 else ""
    evidence = first.error or f"evidence: {', '.join(first.files)}"
    reason = f"{group.title}, {times}at {run.when(first.at_s)}{more}; {evidence}"
    # A crash needs no second sample.
    samples = max(crashes.looks(run, first.host, first.subject), count, grade.min_samples)
    name = f"{subject}/{group.first.signal}/{group.function}"
    return grade.at_most(name, count, 0, "crashes", samples, reason, first.at_s)


class Stop(Params):
    """How long the router may take to end after SIGINT."""

    max_seconds: float = Field(default=20.0, gt=0)
    min_samples: int = Field(default=1, ge=1)


@check("router.stop", Stop)
def stop(run: Run, params: Stop) -> list[CheckResult]:
    """Asked to end, the router shuts its engine down and ends by itself."""
    grade = Grader("router.stop", params.min_samples)
    stops = run.events("router.stopped")
    if not stops:
        return [grade.unknown("router", "nobody told how it stopped")]
    told = stops[-1].fields
    outcome, seconds = told.get("outcome"), float(told.get("seconds") or 0.0)
    if outcome == "absent":
        return [grade.unknown("router", "it did not run any more when it was to stop")]
    files = (
        ", ".join(told.get("files") or ()) or f"none, {told.get('reason') or 'it came too soon'}"
    )
    reason = {
        "ended": f"it ended {seconds:.1f} s after SIGINT",
        "killed": f"it had not ended {seconds:.1f} s after SIGINT and was killed; "
        f"stacks of its threads before that: {files}",
    }.get(str(outcome), f"it ended {seconds:.1f} s after SIGINT with {told.get('reason')}")
    if outcome != "ended":
        return [grade.at_most("router", 1, 0, "unclean stops", len(stops), reason)]
    return [grade.at_most("router", seconds, params.max_seconds, "s", len(stops), reason)]
