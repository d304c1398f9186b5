"""When things happen: the phases of a scenario one after the other, in seconds after zero."""

from __future__ import annotations

from collections.abc import Sequence

from screamlab.scenario.model import Scenario
from screamlab.scenario.plan import Phase


def timeline(scenario: Scenario) -> tuple[Phase, ...]:
    """The phases in the order of the file."""
    phases, at_s = [], 0.0
    for spec in scenario.phases:
        phases.append(Phase(name=spec.name, kind=spec.kind, from_s=at_s, to_s=at_s + spec.seconds))
        at_s += spec.seconds
    return tuple(phases)


def load_window(phases: Sequence[Phase]) -> tuple[float, float, float]:
    """When the ramp begins, when every stream is up, when the last hold ends."""
    holds = [phase for phase in phases if phase.kind == "hold"]
    ramps = [phase for phase in phases if phase.kind == "ramp"]
    return (ramps or holds)[0].from_s, holds[0].from_s, holds[-1].to_s
