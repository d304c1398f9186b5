"""Worker of the agent: plants one fault, and undoes it.

Spec: `{"fault": …, "place": …}`. Events, of subject ``fault/<name>``: ``fault.begin{of}`` just
before it is planted, and ``fault.end`` once it is undone.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field

from screamlab.agent.context import WorkerContext
from screamlab.impair.condition import Strict
from screamlab.inject.disk import Disk
from screamlab.inject.fault import Fault, Place
from screamlab.inject.hog import Hog
from screamlab.inject.link import Residue, Tamper
from screamlab.inject.packets import Drop, Repeat
from screamlab.inject.preload import Clock, Take
from screamlab.inject.route import Route
from screamlab.inject.signals import Signal
from screamlab.scenario.plan import Plan

_Kinds = Signal | Drop | Repeat | Route | Take | Clock | Tamper | Residue | Disk | Hog
AnyFault = Annotated[_Kinds, Field(discriminator="kind")]

KINDS: dict[str, type[Fault]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(_Kinds)
}


class Spec(Strict):
    """What the worker is told."""

    fault: AnyFault
    place: Place


def run(spec: dict[str, Any], context: WorkerContext) -> None:
    """Plant the fault for the worker's window."""
    told = Spec.model_validate(spec)
    fault, place, subject = told.fault, told.place, f"fault/{told.fault.name}"
    if not context.sleep_until(context.from_s):
        return
    context.spool.event("fault.begin", subject, of=fault.kind)
    try:
        fault.plant(place, context)
    finally:
        fault.undo(place)
        context.spool.event("fault.end", subject)


def release(plan: Plan) -> None:
    """Undo what a plan planted, however its agent ended."""
    for told in _specs(plan):
        told.fault.undo(told.place)


def faults(plan: Plan) -> list[Fault]:
    """What a plan plants."""
    return [told.fault for told in _specs(plan)]


def _specs(plan: Plan) -> list[Spec]:
    return [Spec.model_validate(w.spec) for w in plan.workers if w.kind == "fault"]
