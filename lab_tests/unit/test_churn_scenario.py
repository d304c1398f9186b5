"""Cycles drawn over their phase and spread over hosts: what is planned, and what is refused."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from screamlab.errors import BadInput
from screamlab.inventory import DataPlane, Host, ImpairmentPoint, Ssh
from screamlab.load.churn.model import ConfigChurn, RtpChurn, SipChurn, WebrtcChurn
from screamlab.router.topology import parse_topology
from screamlab.scenario.churn import CONNECT_S, LEAVE_S, Churning, churning, draw_cycles
from screamlab.scenario.model import ChurnGroup, Scenario
from screamlab.scenario.placement import Placement, Sending
from screamlab.scenario.plan import Endpoint, Phase, SenderStream

PHASE = Phase(name="churn", kind="churn", from_s=30.0, to_s=70.0)
KINDS = ("sip", "rtp", "webrtc", "config")


def group(kind: str, **changes: Any) -> ChurnGroup:
    wanted = {"name": kind, "kind": kind, "phase": "churn", "cycles": 16, "overlap": 3}
    hears = {"hears": "talk"} if kind == "webrtc" else {}
    return ChurnGroup.model_validate({**wanted, **hears, **changes})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_cycles_fill_the_phase_within_their_overlap(kind: str, seed: int) -> None:
    wanted = group(kind, hold_seconds=[0.5, 2.5])
    cycles = draw_cycles(wanted, PHASE, random.Random(seed))
    assert [cycle.number for cycle in cycles] == list(range(1, 17))
    assert [cycle.from_s for cycle in cycles] == sorted(cycle.from_s for cycle in cycles)
    assert {cycle.lane for cycle in cycles} == {1, 2, 3}
    for lane in (1, 2, 3):
        own = [cycle for cycle in cycles if cycle.lane == lane]
        assert own[0].from_s >= PHASE.from_s
        assert own[-1].to_s + LEAVE_S[kind] <= PHASE.to_s + 0.01
        for one, following in pairwise(own):
            assert one.to_s + LEAVE_S[kind] <= following.from_s + 0.01
    holds = sorted(cycle.to_s - cycle.from_s - CONNECT_S[kind] for cycle in cycles)
    assert holds[0] >= 0.499 and holds[-1] <= 2.501
    assert sum(holds) / len(holds) == pytest.approx(1.5, abs=0.1)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    drawn = [draw_cycles(group("rtp"), PHASE, random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_fewer_cycles_than_may_overlap_have_a_lane_each() -> None:
    cycles = draw_cycles(group("sip", cycles=2, overlap=9), PHASE, random.Random(1))
    assert {cycle.lane for cycle in cycles} == {1, 2}
    assert draw_cycles(group("sip", cycles=0), PHASE, random.Random(1)) == []


def test_a_rate_that_cannot_be_kept_is_refused_with_the_numbers() -> None:
    wanted = group("rtp", cycles=60, hold_seconds=[1.0, 3.0], overlap=4)
    with pytest.raises(BadInput) as refused:
        draw_cycles(wanted, PHASE, random.Random(1))
    assert str(refused.value) == (
        "churn 'rtp': 60 cycles that hold 1 to 3 s and take 1.3 s to come and go need "
        "198 s; 4 at a time have 160 s in phase 'churn' of 40 s"
    )


def host(number: int) -> Host:
    data = DataPlane(
        device="data0", address=f"198.19.9.{number}/24", pool=f"198.19.9.{number * 16}/28"
    )
    point = ImpairmentPoint(host=f"h{number}", device="data0")
    return Host(name=f"h{number}", groups=(), data=data, point=point, ssh=Ssh(address="192.0.2.9"))


ROUTER, CLIENTS = host(1), [host(2), host(3)]


def compiled(*groups: ChurnGroup, seed: int = 1) -> tuple[Churning, Placement]:
    scenario = Scenario.model_construct(churn=groups)
    placement = Placement(CLIENTS)
    streams = [
        SenderStream(
            name=f"talk-{number:02d}",
            protocol="rtp",
            signal=number - 1,
            local=placement.own_address(CLIENTS[0], 2),
            remote=Endpoint(address=ROUTER.data.ip, port=40000),
            from_s=0.0,
            to_s=90.0,
        )
        for number in (1, 2)
    ]
    senders = [Sending(CLIENTS[0].name, "native", stream) for stream in streams]
    draw = random.Random(seed)
    return churning(scenario, [PHASE], ROUTER, placement, senders, draw, "secret"), placement


def specs(found: Churning, kind: str) -> list[Any]:
    models = {"rtp": RtpChurn, "config": ConfigChurn, "webrtc": WebrtcChurn, "sip": SipChurn}
    return [
        models[kind].model_validate(worker.spec)
        for workers in found.workers.values()
        for worker in workers
        if worker.kind == f"churn_{kind}"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_lanes_go_to_the_hosts_in_turn_with_all_their_cycles(kind: str) -> None:
    found, _ = compiled(group(kind))
    assert {name: len(workers) for name, workers in found.workers.items()} == {"h2": 1, "h3": 1}
    numbers = [[lane.number for lane in spec.lanes] for spec in specs(found, kind)]
    assert numbers == [[1, 3], [2]]
    carried = [cycle for spec in specs(found, kind) for cycle in spec.cycles]
    assert sorted(cycle.number for cycle in carried) == list(range(1, 17))
    for spec in specs(found, kind):
        assert {cycle.lane for cycle in spec.cycles} == {lane.number for lane in spec.lanes}
    for workers in found.workers.values():
        (worker,) = workers
        assert worker.name == f"churn-{kind}"
        assert worker.from_s >= PHASE.from_s and worker.to_s > PHASE.to_s - 5


def test_the_router_is_configured_for_what_comes_and_goes() -> None:
    found, placement = compiled(*(group(kind) for kind in KINDS))
    known = [{"name": f"talk-{number:02d}", "address": f"10.0.0.{number}"} for number in (1, 2)]
    placed = [sink for sink in found.sinks if "port" in sink]
    routes = [route for route in found.routes if route["sink"] != "churn-webrtc-sink"]
    parse_topology({"sources": [*known, *found.sources], "sinks": placed, "routes": routes})
    assert [source["name"] for source in found.sources] == [
        "churn-rtp-01", "churn-rtp-03", "churn-rtp-02",
    ]  # fmt: skip
    assert [sink for sink in found.sinks if "port" not in sink] == [
        {"name": "churn-webrtc-sink", "protocol": "webrtc", "codec": "opus"}
    ]
    (asked,) = [route for route in found.routes if route["sink"] == "churn-webrtc-sink"]
    assert asked["source"] == "talk-01"
    addresses = [source["address"] for source in found.sources]
    addresses += [lane.address for spec in specs(found, "webrtc") for lane in spec.lanes]
    used = [cidr.split("/")[0] for pool in placement.used.values() for cidr in pool]
    assert len(set(addresses)) == 6 and set(addresses) < set(used)


def test_every_device_has_credentials_that_the_registrar_is_told() -> None:
    found, _ = compiled(group("sip"))
    lanes = [lane for spec in specs(found, "sip") for lane in spec.lanes]
    told = {account["user"]: account["password"] for account in found.accounts}
    assert told == {lane.user: lane.password for lane in lanes}
    assert len(set(told.values())) == 3 and min(map(len, told.values())) >= 16


def test_routes_are_changed_where_sound_flows_and_where_none_does() -> None:
    found, _ = compiled(group("config"))
    lanes = [lane for spec in specs(found, "config") for lane in spec.lanes]
    assert {lane.live for lane in lanes} == {"talk-01", "talk-02"}
    assert {lane.source.rpartition(".")[0] for lane in lanes} == {"192.0.2"}
    assert not found.sources and not found.sinks and not found.routes


def test_a_pool_that_is_too_small_is_refused() -> None:
    with pytest.raises(BadInput, match="its pool"):
        compiled(group("rtp", cycles=60, overlap=60))


def test_without_churn_there_is_nothing() -> None:
    assert compiled()[0] == Churning() == compiled(group("rtp", cycles=0))[0]
