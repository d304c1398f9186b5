"""Whether hosts can carry what a plan gives them, by the measured cost of each kind of client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.scenario.plan import Plan, Worker

COSTS = resources.files("screamlab.scenario").joinpath("costs.yml")


class Cost(BaseModel):
    """Of one client: per cent of one core, and MiB; what begins with `base` once for its worker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_percent: float = Field(ge=0)
    mib: float = Field(ge=0)
    base_cpu_percent: float = Field(default=0.0, ge=0)
    base_mib: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class Demand:
    """What the clients of one worker want together."""

    kind: str
    clients: int
    cpu_percent: float
    mib: float

    def __str__(self) -> str:
        return f"{self.clients} {self.kind} take {self.cpu_percent:.0f} % and {self.mib:.0f} MiB"


@cache
def costs() -> dict[str, Cost]:
    """The measured costs, by kind of worker."""
    table = TypeAdapter(dict[str, Cost])
    return table.validate_python(yaml.safe_load(COSTS.read_text(encoding="utf-8")))


def demands(plan: Plan) -> list[Demand]:
    """What a plan asks of its host; workers without a known cost ask for nothing."""
    return [_demand(worker) for worker in plan.workers if worker.kind in costs()]


def refuse_overload(plans: Mapping[str, Plan], hosts: Sequence[Host]) -> None:
    """`BadInput` with the numbers when a machine cannot carry its hosts' clients.

    Hosts on one machine share what it has; a host that tells no capacity is not judged.
    """
    machines: dict[str, list[Host]] = defaultdict(list)
    for host in hosts:
        if host.capacity is not None and host.name in plans:
            machines[host.capacity.machine or host.name].append(host)
    for alike in machines.values():
        capacity = alike[0].capacity
        assert capacity is not None
        wanted = [demand for host in alike for demand in demands(plans[host.name])]
        cpu_percent = sum(demand.cpu_percent for demand in wanted)
        mib = sum(demand.mib for demand in wanted)
        if cpu_percent > 100 * capacity.cores or mib > capacity.mib:
            names = ", ".join(host.name for host in alike if demands(plans[host.name]))
            raise BadInput(
                f"{names} cannot carry these clients: they take {cpu_percent:.0f} % of a core and "
                f"{mib:.0f} MiB, there are {100 * capacity.cores:.0f} % and {capacity.mib:.0f} "
                f"MiB; most by {_largest(wanted, capacity.cores, capacity.mib)}"
            )


def _demand(worker: Worker) -> Demand:
    cost = costs()[worker.kind]
    clients = most_at_once(worker)
    return Demand(
        kind=worker.kind,
        clients=clients,
        cpu_percent=cost.base_cpu_percent + clients * cost.cpu_percent,
        mib=cost.base_mib + clients * cost.mib,
    )


def most_at_once(worker: Worker) -> int:
    """How many of a worker's clients are up at the same time."""
    items = worker.spec.get("streams") or worker.spec.get("devices") or ()
    begins = {item["from_s"] for item in items}
    return max((sum(i["from_s"] <= t < i["to_s"] for i in items) for t in begins), default=0)


def _largest(wanted: Iterable[Demand], cores: float, mib: float) -> Demand:
    """Who wants the most of whichever is scarcer for it."""
    return max(wanted, key=lambda d: max(d.cpu_percent / (100 * cores), d.mib / mib))
