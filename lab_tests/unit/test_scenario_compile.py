"""Compiling: who sends, who hears, from where and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.inventory import Host, host_from_vars
from screamlab.paths import SCENARIOS
from screamlab.scenario.compile import Compiled, compile_scenario
from screamlab.scenario.model import load_scenario
from screamlab.scenario.plan import NULL_PREFIX, Plan, ReceiverStream, SenderStream, read_plan


def host(name: str, group: str, number: int) -> Host:
    data = {
        "device": "data0",
        "address": f"198.19.0.{10 + number}/24",
        "pool": f"198.19.0.{32 * number}/27" if number else None,
    }
    return host_from_vars(name, [group], {"screamlab_data": data})


HOSTS = [host("router1", "routers", 0), *(host(f"client{n}", "clients", n) for n in range(1, 4))]


def compiled(scale: str = "quick", hosts: list[Host] = HOSTS, seed: int = 1) -> Compiled:
    scenario = load_scenario(SCENARIOS / "tc-stress-001.yml", scale)
    return compile_scenario(scenario, hosts, run_id="r", seed=seed)


def senders(plan: Plan) -> list[SenderStream]:
    """The streams of senders, and those of SIP devices that call."""
    specs = [
        *(s for w in plan.workers if w.kind.endswith("_sender") for s in w.spec["streams"]),
        *(
            d["media"]
            for w in plan.workers
            if w.kind.endswith("_devices")
            for d in w.spec["devices"]
        ),
    ]
    return [SenderStream.model_validate(spec) for spec in specs if spec]


def receivers(plan: Plan) -> list[ReceiverStream]:
    return [
        ReceiverStream.model_validate(stream)
        for worker in plan.workers
        if worker.kind.endswith("_receiver")
        for stream in worker.spec["streams"]
    ]


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_every_loaded_stream_has_its_own_address_ssrc_and_signal(scale: str) -> None:
    streams = [
        stream
        for plan in compiled(scale).plans.values()
        for stream in senders(plan)
        if not stream.name.startswith(NULL_PREFIX)
    ]
    assert len({stream.local.address for stream in streams}) == len(streams)
    assert len({stream.signal for stream in streams}) == len(streams)
    ssrcs = [stream.ssrc for stream in streams if stream.protocol == "rtp"]
    assert len(set(ssrcs)) == len(ssrcs)
    assert None not in ssrcs


def test_a_host_sends_only_from_addresses_its_plan_adds() -> None:
    for plan in compiled().plans.values():
        added = {address.split("/")[0] for address in plan.addresses}
        asking = {stream.local.address for stream in receivers(plan) if not stream.local.port}
        assert {stream.local.address for stream in senders(plan)} | asking == added


def test_listeners_hear_senders_of_other_hosts_and_end_before_them() -> None:
    plans = compiled().plans
    home = {s.name: (host, s) for host, plan in plans.items() for s in senders(plan)}
    for host_name, plan in plans.items():
        for receiver in receivers(plan):
            for heard in receiver.hears:
                sender_host, sender = home[heard.sender]
                assert sender_host != host_name
                assert heard.signal == sender.signal
                assert receiver.to_s < sender.to_s
                # A device registers before it calls.
                assert receiver.from_s <= sender.from_s


def test_the_null_path_takes_every_sender_past_the_router() -> None:
    plans = compiled().plans
    everyone = [s for plan in plans.values() for s in senders(plan)]
    direct = {s.name.removeprefix(NULL_PREFIX): s for s in everyone if "/" in s.name}
    loaded = {s.name: s for s in everyone if "/" not in s.name and not s.name.startswith("sip-")}
    assert direct.keys() == loaded.keys()
    listening = {(r.local.address, r.local.port) for p in plans.values() for r in receivers(p)}
    assert {(s.remote.address, s.remote.port) for s in direct.values()} <= listening
    assert max(s.to_s for s in direct.values()) <= min(s.from_s for s in loaded.values())


def test_topology_names_every_stream_once() -> None:
    topology = compiled().topology
    sources = {item["name"] for item in topology["sources"]}
    sinks = {item["name"] for item in topology["sinks"]}
    assert len(sources) == len(topology["sources"])
    assert len(sinks) == len(topology["sinks"])
    assert {route["source"] for route in topology["routes"]} <= sources
    assert {route["sink"] for route in topology["routes"]} == sinks


def test_same_seed_same_plans_other_seed_other_order() -> None:
    assert compiled(seed=1) == compiled(seed=1)
    assert compiled(seed=1) != compiled(seed=2)


def test_no_two_hosts_are_looked_at_together() -> None:
    looking = {"sampler", "router_stats"}
    begins = [w.from_s for p in compiled().plans.values() for w in p.workers if w.kind in looking]
    assert sorted(begins) == [0.0, 0.125, 0.25, 0.5, 0.75]


def test_too_small_an_inventory_is_refused_with_the_numbers() -> None:
    with pytest.raises(BadInput, match="exactly one host, it has 0"):
        compiled(hosts=HOSTS[1:])
    with pytest.raises(BadInput, match="no host in group 'clients'"):
        compiled(hosts=HOSTS[:1])
    bare = host_from_vars(
        "client9",
        ["clients"],
        {"screamlab_data": {"device": "d", "address": "198.19.0.9/24", "pool": "198.19.0.40/31"}},
    )
    with pytest.raises(BadInput, match=r"7 streams on 1 client hosts .* client9 .* has 2 addr"):
        compiled(hosts=[HOSTS[0], bare])


def test_host_variables_are_checked() -> None:
    with pytest.raises(BadInput, match="host h: .*screamlab_data is missing"):
        host_from_vars("h", [], {})
    with pytest.raises(BadInput, match="host h: screamlab_data.address"):
        host_from_vars("h", [], {"screamlab_data": {"device": "d", "address": "x"}})


def test_plans_survive_their_file(tmp_path: Path) -> None:
    plan = compiled().plans["client1"]
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    assert read_plan(file) == plan
    file.write_text(plan.model_dump_json()[:-40])
    with pytest.raises(BadInput, match="plan.json: plan: "):
        read_plan(file)
