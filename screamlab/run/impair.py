"""A run that only breaks the network: one profile on the links of some hosts, for some time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screamlab.errors import BadInput
from screamlab.impair.condition import Schedule
from screamlab.impair.profile import find_profile, load_profile
from screamlab.inventory import Host
from screamlab.paths import PROFILES
from screamlab.run.folder import make_folder
from screamlab.scenario.impairing import impair, points, workers_of_point
from screamlab.scenario.model import Hosts
from screamlab.scenario.plan import Phase, Plan

# The agent is given this long after the impairment to show that the network is whole.
TAIL_S = 5.0


@dataclass(frozen=True)
class Request:
    """A profile by name or path, the hosts or groups whose links it is for, and for how long."""

    profile: str
    targets: Sequence[str]
    seconds: float
    run_id: str | None = None


def new_run_id(request: Request) -> str:
    """A name that sorts by time and says what was broken."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-impair-{Path(request.profile).stem}"


def plan_impairment(request: Request, hosts: Sequence[Host], runs: Path) -> dict[str, Any]:
    """Make the run folder of an impairment by hand; returns the content of its ``run.json``.

    `BadInput` for an unknown profile, host or group, or a time that is none.
    """
    if request.seconds <= 0:
        raise BadInput(f"an impairment needs a time to last, not {request.seconds:g} s")
    schedule = load_profile(find_profile(request.profile, PROFILES)).schedule()
    plans = _plans(request, schedule, hosts, request.run_id or new_run_id(request))
    return make_folder(runs, plans, hosts, {"profile": request.profile})


def _plans(
    request: Request, schedule: Schedule, hosts: Sequence[Host], run_id: str
) -> dict[str, Plan]:
    parts = {Hosts().router, Hosts().clients}
    lab = [host for host in hosts if parts.intersection(host.groups)]
    targets = _targets(request.targets, lab)
    impaired = [
        (host, impair(host, lab, request.profile, schedule, 0.0, request.seconds))
        for host in targets
    ]
    phase = Phase(name="impaired", kind="impaired", from_s=0.0, to_s=request.seconds)
    return {
        point.name: Plan(
            run_id=run_id,
            host=point.name,
            scenario="impair",
            scale="quick",
            seed=0,
            duration_s=request.seconds + TAIL_S,
            phases=(phase,),
            workers=tuple(workers_of_point(point.name, impaired)),
        )
        for point in points(impaired, hosts)
    }


def _targets(names: Sequence[str], lab: Sequence[Host]) -> list[Host]:
    """The hosts of these names and groups, each once."""
    found = []
    for name in names:
        meant = [host for host in lab if name == host.name or name in host.groups]
        if not meant:
            known = ", ".join(host.name for host in lab)
            raise BadInput(f"'{name}' is neither a host nor a group of the lab; hosts: {known}")
        found += [host for host in meant if host not in found]
    return found
