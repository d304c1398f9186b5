"""What hosts watch, as their plans say it."""

from __future__ import annotations

from screamlab.scenario.plan import Plan


def units(plan: Plan) -> dict[str, str | None]:
    """The unit of every process that a host watches; None of one that is found otherwise."""
    return {
        f"process/{process['name']}": process.get("unit")
        for worker in plan.workers
        for process in worker.spec.get("processes", ())
    }
