"""The churn of a run: what was planned, what was carried out, and the quiet before and after."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from screamlab.judge.view import Run
from screamlab.judge.windows import Window, Windows, intersect, merge
from screamlab.load.churn.model import Cycle

WORKERS = "churn_"
NO_CHURN = "no churn is planned"


@dataclass(frozen=True)
class Group:
    """A churn group, the hosts that carry it, and all its cycles by number."""

    name: str
    kind: str
    hosts: frozenset[str]
    cycles: dict[int, Cycle]

    @property
    def subject(self) -> str:
        return f"churn/{self.name}"


@dataclass(frozen=True)
class Done:
    """A cycle as it went; times are None for what did not come about."""

    cycle: Cycle
    at_s: float
    late_ms: float
    error: str
    connect_ms: float | None
    disconnect_ms: float | None

    @property
    def span(self) -> Window:
        return Window(self.at_s, max(self.at_s, self.cycle.to_s))


@dataclass(frozen=True)
class Times:
    """When clients came and went, and the holds before the first and after the last of it."""

    before: Windows
    churn: Windows
    after: Windows


@lru_cache(maxsize=4)
def groups(run: Run) -> tuple[Group, ...]:
    """Every churn group in the plans, by name."""
    hosts: dict[tuple[str, str], set[str]] = defaultdict(set)
    cycles: dict[tuple[str, str], dict[int, Cycle]] = defaultdict(dict)
    for host, plan in run.plans.items():
        for worker in plan.workers:
            if worker.kind.startswith(WORKERS):
                key = (str(worker.spec["group"]), worker.kind.removeprefix(WORKERS))
                hosts[key].add(host)
                for item in worker.spec["cycles"]:
                    cycle = Cycle.model_validate(item)
                    cycles[key][cycle.number] = cycle
    return tuple(
        Group(name, kind, frozenset(hosts[name, kind]), cycles[name, kind])
        for name, kind in sorted(hosts)
    )


def done(run: Run, group: Group) -> list[Done]:
    """The cycles of a group that were begun, by the time they were."""
    found = []
    for event in run.events("churn.cycle", group.subject):
        told = event.fields
        cycle = group.cycles.get(int(told["number"]))
        if cycle is not None:
            error = "" if told.get("ok") else str(told.get("error") or "no reason given")
            times = (told.get("connect_ms"), told.get("disconnect_ms"))
            found.append(Done(cycle, event.at_s, float(told.get("late_ms", 0.0)), error, *times))
    return found


def times(run: Run) -> Times:
    """The phases of churn, and the holds around them."""
    churn, holds = run.phase("churn"), run.phase("hold")
    if not churn:
        return Times((), (), ())
    first = (Window(float("-inf"), churn[0].from_s),)
    last = (Window(churn[-1].to_s, float("inf")),)
    return Times(intersect(holds, first), churn, intersect(holds, last))


def settled(windows: Windows, settle_s: float) -> Windows:
    """The windows without their first `settle_s`."""
    return merge(Window(window.from_s + settle_s, window.to_s) for window in windows)
