"""Whether the hosts carried out their plans: agents, workers, reboots, and the lab's services."""

from __future__ import annotations

from pydantic import Field

from screamlab.judge.checks.lab import AFTER_S
from screamlab.judge.faults import Fault
from screamlab.judge.model import CheckResult
from screamlab.judge.reboots import holes
from screamlab.judge.registry import Grader, Params, check
from screamlab.judge.view import Run
from screamlab.judge.windows import Window

REGISTRAR = "sip/registrar"


class Agents(Params):
    """How far from its planned end an agent may end, and how often it may rejoin after a reboot.

    A worker has 30 s to let go of a router that hangs.
    """

    max_late_s: float = Field(default=35.0, ge=0)
    max_early_s: float = Field(default=2.0, ge=0)
    max_rejoins: int = Field(default=0, ge=0)
    min_samples: int = Field(default=1, ge=1)


def agent_faults(run: Run, params: Agents) -> list[Fault]:
    """From the death of a worker on, nothing of its host can be trusted; nor while it reboots."""
    dead = [
        Fault(
            event.host,
            Window(event.at_s - 1.0, max(run.duration_s, event.at_s + AFTER_S)),
            f"worker {event.subject} failed at {run.when(event.at_s)}",
        )
        for event in run.events("worker.failed")
    ]
    rebooted = [
        Fault(host, hole, f"{host} rebooted at {run.when(hole.from_s)}")
        for host in run.plans
        for hole in holes(run, host)
    ]
    return dead + rebooted


@check("lab.agents", Agents, faults=agent_faults)
def agents(run: Run, params: Agents) -> list[CheckResult]:
    """Every agent started, kept its workers alive and ended on time."""
    return [_agent(run, params, host) for host in run.plans] or [
        Grader("lab.agents", 1).unknown("hosts", "no host has a plan")
    ]


class Registrar(Params):
    """How often the lab's own registrar may have stopped answering."""

    max_outages: int = Field(default=0, ge=0)


@check("lab.registrar", Registrar)
def registrar(run: Run, params: Registrar) -> list[CheckResult]:
    """The registrar that the lab puts before the router answers all the time."""
    grade = Grader("lab.registrar", params.min_samples, bad="invalid")
    answers = run.series(REGISTRAR, "contacts", run.router_host)
    outages = run.events("registrar.error", REGISTRAR)
    if not outages:
        reason = f"it answered {len(answers)} times, and was asked no more often"
        return [grade.at_most(REGISTRAR, 0, params.max_outages, "outages", len(answers), reason)]
    first, count = outages[0], len(outages)
    reason = f"{first.fields['error']}, at {run.when(first.at_s)}; {count} outages in all"
    samples, limit = max(len(answers), params.min_samples), params.max_outages
    return [grade.at_most(REGISTRAR, count, limit, "outages", samples, reason, first.at_s)]


def _agent(run: Run, params: Agents, host: str) -> CheckResult:
    grade = Grader("lab.agents", params.min_samples, bad="invalid")
    starts, ends, failed = (
        [event for event in run.events(kind) if event.host == host]
        for kind in ("agent.start", "agent.end", "worker.failed")
    )
    if not starts or not ends:
        return grade.unknown(host, f"the agent never {'ended' if starts else 'started'}")
    if failed:
        error = failed[0].fields.get("error", "no reason given")
        reason = f"worker {failed[0].subject} failed at {run.when(failed[0].at_s)}: {error}"
        at_s = failed[0].at_s
        return grade.at_most(host, len(failed), 0, "workers", len(starts), reason, at_s)
    lost = [event for event in run.events("spool.lost") if event.host == host]
    if lost:
        lines = sum(int(event.fields.get("lines", 1)) for event in lost)
        reason = f"lost {lines} lines of evidence, first told at {run.when(lost[0].at_s)}"
        return grade.at_most(host, lines, 0, "lines", len(starts), reason, lost[0].at_s)
    rebooted = holes(run, host)
    if len(rebooted) > params.max_rejoins:
        reason = f"rebooted {len(rebooted)} times, first at {run.when(rebooted[0].from_s)}"
        most, at_s = params.max_rejoins, rebooted[0].from_s
        return grade.at_most(host, len(rebooted), most, "rejoins", len(starts), reason, at_s)
    late_s = ends[-1].at_s - run.plans[host].duration_s
    limit = params.max_late_s if late_s >= 0 else params.max_early_s
    reason = f"ended {abs(late_s):.1f} s {'after' if late_s >= 0 else 'before'} its time"
    for hole in rebooted:
        reason += f"; away for {hole.length_s:.0f} s after a reboot at {run.when(hole.from_s)}"
    return grade.at_most(host, abs(late_s), limit, "s", len(ends), reason)
