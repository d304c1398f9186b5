"""The faults of a scenario as workers of the hosts that they are planted on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from screamlab.errors import BadInput
from screamlab.inject.worker import Spec
from screamlab.inventory import Host, host_from_vars
from screamlab.paths import SCENARIOS
from screamlab.run.folder import means
from screamlab.scenario.compile import compile_scenario
from screamlab.scenario.model import load_scenario
from screamlab.scenario.plan import Plan

AT = {"phase": "hold", "at_seconds": 5, "for_seconds": 2}


def host(name: str, group: str, number: int) -> Host:
    data = {
        "device": "data0",
        "address": f"198.19.0.{10 + number}/24",
        "pool": f"198.19.0.{32 * number}/27" if number else None,
    }
    point = {"host": "wan", "device": f"leg-{name}", "facing": "host"}
    variables = {"screamlab_data": data, "screamlab_impairment_point": point}
    return host_from_vars(name, [group], variables)


WAN = host_from_vars(
    "wan", ["points"], {"screamlab_data": {"device": "lan", "address": "198.19.0.1/24"}}
)
HOSTS = [
    host("router1", "routers", 0),
    host("client1", "clients", 1),
    host("client2", "clients", 2),
    WAN,
]


def plans(scale: str = "quick", **fault: Any) -> dict[str, Plan]:
    setting = f"faults={json.dumps([{'name': 'f', **AT, **fault}])}"
    scenario = load_scenario(SCENARIOS / "canary.yml", scale, [setting])
    return compile_scenario(scenario, HOSTS, run_id="r", seed=1).plans


def the_fault(found: dict[str, Plan]) -> tuple[str, Plan, Spec]:
    ((name, plan, worker),) = [
        (name, plan, worker)
        for name, plan in found.items()
        for worker in plan.workers
        if worker.kind == "fault"
    ]
    assert (worker.to_s - worker.from_s, worker.name) == (2, "fault-f")
    return name, plan, Spec.model_validate(worker.spec)


def test_a_fault_of_the_router_is_on_its_host() -> None:
    found = plans(kind="signal", signal="STOP", unit="screamrouter.service")
    name, plan, spec = the_fault(found)
    assert (name, spec.place.router) == ("router1", "https://198.19.0.10:8443")
    hold = next(phase for phase in plan.phases if phase.name == "hold")
    assert plan.workers[-1].from_s == hold.from_s + 5
    assert means(found) == {}


def test_a_fault_of_a_stream_is_where_the_stream_is() -> None:
    name, plan, spec = the_fault(plans(kind="drop", where="out-01"))
    (receivers,) = [w for w in plan.workers if w.kind == "native_receiver"]
    local = {s["name"]: s["local"] for s in receivers.spec["streams"]}["out-01"]
    assert spec.place.local is not None and spec.place.local.model_dump() == local
    assert (name, spec.place.agent) == (plan.host, "screamlab-r.service")


def test_a_fault_of_a_link_is_where_the_link_is_broken() -> None:
    name, _, spec = the_fault(plans("network", kind="tamper", delay_ms=100))
    assert (name, spec.place.device) == ("wan", "leg-client1")


def test_a_clock_needs_an_agent_that_is_started_for_it() -> None:
    found = plans(kind="clock", step_ms=400, where="out-01")
    name, plan, _ = the_fault(found)
    assert "LD_PRELOAD" in plan.environment
    assert means(found) == {name: ["libraries"]}
    assert not any(other.environment for other in found.values() if other.host != name)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "drop", "where": "out-09"}, "no sender or receiver called 'out-09'"),
        ({"kind": "disk", "phase": "drain", "at_seconds": 99}, "s too long"),
        ({"kind": "residue"}, "no link is broken"),
        ({"kind": "take", "resource": "money", "per_second": 1}, "faults.0.resource"),
        ({"kind": "nothing"}, "faults.0.kind"),
        ({"kind": "disk", "size": 1}, "faults.0.size: .*known here: name, phase"),
        ({"kind": "disk", "phase": "never"}, "no phase 'never'"),
    ],
)
def test_a_fault_that_cannot_be_planted_is_refused(fault: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        plans(**fault)
