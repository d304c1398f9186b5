"""The faults of a scenario: on which host each is planted, when, and what it is about there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from screamlab.agent.unit import unit_name
from screamlab.errors import BadInput
from screamlab.impair.condition import Impairment
from screamlab.inject.fault import ROUTER, Fault, Place
from screamlab.inject.worker import Spec
from screamlab.inventory import Host
from screamlab.scenario.model import Scenario
from screamlab.scenario.placement import Receiving, Sending
from screamlab.scenario.plan import Endpoint, Phase, Worker


@dataclass(frozen=True)
class Planted:
    """A fault's worker and the host that has it."""

    host: str
    worker: Worker
    environment: dict[str, str]


def plant(
    scenario: Scenario,
    phases: Sequence[Phase],
    run_id: str,
    lab: Sequence[Host],
    ends: Sequence[Sending | Receiving],
    impaired: Sequence[tuple[Host, Impairment]],
    url: str,
) -> list[Planted]:
    """Every fault of the scenario; the first of `lab` is the router's host.

    `BadInput` when a fault is nowhere, or the run is over before it is.
    """
    begins = {phase.name: phase.from_s for phase in phases}
    planted = []
    for fault in scenario.faults:
        host, device, local = _where(fault, lab, ends, impaired)
        place = Place(agent=unit_name(run_id), device=device, router=url, local=local)
        from_s = begins[fault.phase] + fault.at_seconds
        to_s = from_s + fault.for_seconds
        if to_s > phases[-1].to_s:
            raise BadInput(f"fault {fault.name}: it lasts {to_s - phases[-1].to_s:g} s too long")
        worker = Worker(
            name=f"fault-{fault.name}",
            kind="fault",
            from_s=from_s,
            to_s=to_s,
            spec=Spec(fault=fault, place=place).model_dump(mode="json"),
        )
        planted.append(Planted(host, worker, fault.agent_environment))
    return planted


def _where(
    fault: Fault,
    lab: Sequence[Host],
    ends: Iterable[Sending | Receiving],
    impaired: Sequence[tuple[Host, Impairment]],
) -> tuple[str, str, Endpoint | None]:
    """The host that a fault is planted on, the device there, and where its stream is, if any."""
    if fault.of_link:
        target, impairment = impaired[0]
        return target.point.host, impairment.device, None
    if fault.where == ROUTER:
        return lab[0].name, lab[0].data.device, None
    end = next((end for end in ends if end.stream.name == fault.where), None)
    if end is None:
        raise BadInput(f"fault {fault.name}: there is no sender or receiver called '{fault.where}'")
    device = next(host.data.device for host in lab if host.name == end.host)
    return end.host, device, end.stream.local
