"""Compiling what breaks the network: where it is broken, for whom, and how it is proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.inventory import Host, host_from_vars
from screamlab.paths import PROFILES
from screamlab.run.clocks import start_clock
from screamlab.run.impair import Request, plan_impairment
from screamlab.scenario.compile import Compiled, compile_scenario
from screamlab.scenario.model import load_scenario
from screamlab.scenario.plan import Worker

SCENARIO = """\
name: broken
title: two links broken in turn
scales: [quick]
phases:
  - {name: null-path, kind: null_path, seconds: 5}
  - {name: before, kind: hold, seconds: 10}
  - {name: one, kind: impaired, seconds: 10}
  - {name: between, kind: recover, seconds: 5}
  - {name: two, kind: impaired, seconds: 10}
  - {name: after, kind: hold, seconds: 10}
senders:
  - {name: rtp, protocol: rtp, client: native, count: 2}
receivers:
  - {name: out, protocol: rtp, client: native, hears: rtp, count: 2}
impairments:
  - {name: clients, profile: satellite, phase: one, links: clients}
  - {name: router, profile: transatlantic, phase: two, links: router}
checks:
  - {id: lab.agents}
"""


def host(name: str, group: str, number: int, *, middle: bool = False) -> Host:
    data = {
        "device": "data0",
        "address": f"198.19.0.{10 + number}/24",
        "pool": f"198.19.0.{32 * number}/27" if number else None,
    }
    variables: dict[str, object] = {"screamlab_data": data}
    if middle:
        point = {"host": "wan", "device": name, "facing": "host"}
        variables["screamlab_impairment_point"] = point
    return host_from_vars(name, [group], variables)


def lab(*, middle: bool = False) -> list[Host]:
    wan = {"screamlab_data": {"device": "lan", "address": "198.19.0.1/24"}}
    return [
        host("router1", "routers", 0, middle=middle),
        *(host(f"client{n}", "clients", n, middle=middle) for n in (1, 2)),
        *([host_from_vars("wan", ["impairment_points"], wan)] if middle else []),
    ]


def compiled(tmp_path: Path, hosts: list[Host], text: str = SCENARIO) -> Compiled:
    file = tmp_path / "broken.yml"
    file.write_text(text)
    return compile_scenario(load_scenario(file, "quick"), hosts, run_id="r", seed=1)


def workers(made: Compiled, kind: str) -> dict[str, list[Worker]]:
    return {
        host: [worker for worker in plan.workers if worker.kind == kind]
        for host, plan in made.plans.items()
    }


def test_hosts_break_their_own_links_where_they_are_their_own_points(tmp_path: Path) -> None:
    made = compiled(tmp_path, lab())
    broken = {host: plan.impairments for host, plan in made.plans.items()}
    assert [item.target for item in broken["client1"]] == ["client1"]
    assert {(i.device, i.facing) for items in broken.values() for i in items} == {
        ("data0", "network")
    }
    assert (broken["router1"][0].from_s, broken["router1"][0].to_s) == (30.0, 40.0)
    assert broken["client2"][0].profile == "satellite"


def test_a_host_in_the_middle_breaks_all_links_and_gets_a_plan(tmp_path: Path) -> None:
    made = compiled(tmp_path, lab(middle=True))
    assert set(made.plans) == {"router1", "client1", "client2", "wan"}
    assert {i.target: i.device for i in made.plans["wan"].impairments} == {
        "client1": "client1",
        "client2": "client2",
        "router1": "router1",
    }
    assert {w.name for w in made.plans["wan"].workers} == {
        "sampler",
        "crash-watch",
        "impairment-client1",
        "impairment-client2",
        "impairment-router1",
    }
    assert made.plans["client1"].impairments == ()


def test_only_what_goes_between_lab_hosts_is_selected(tmp_path: Path) -> None:
    item = compiled(tmp_path, lab()).plans["client1"].impairments[0]
    assert item.selector.peers == ("198.19.0.10/32", "198.19.0.12/32", "198.19.0.64/27")
    assert item.selector.protocol == "udp"


def test_probes_go_each_way_over_every_broken_link_to_a_whole_one(tmp_path: Path) -> None:
    made = compiled(tmp_path, lab())
    sent = {
        stream["name"]: (host, stream["target"])
        for host, found in workers(made, "probe_sender").items()
        for worker in found
        for stream in worker.spec["streams"]
    }
    assert sent == {
        "client1-from-host": ("client1", "client1"),
        "client1-to-host": ("router1", "client1"),
        "client2-from-host": ("client2", "client2"),
        "client2-to-host": ("router1", "client2"),
        "router1-from-host": ("router1", "router1"),
        "router1-to-host": ("client1", "router1"),
    }
    received = [
        (stream["remote"]["address"], stream["remote"]["port"])
        for found in workers(made, "probe_receiver").values()
        for worker in found
        for stream in worker.spec["streams"]
    ]
    assert len(set(received)) == len(sent)


def test_a_lab_without_a_whole_link_is_refused(tmp_path: Path) -> None:
    both = SCENARIO.replace("phase: two, links: router", "phase: one, links: router")
    both = both.replace("{name: two, kind: impaired", "{name: two, kind: recover")
    with pytest.raises(BadInput, match="every link is impaired while that of client1 is"):
        compiled(tmp_path, lab(), both)


def test_a_point_that_is_no_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="client1: screamlab_impairment_point: .* 'wan'"):
        compiled(tmp_path, lab(middle=True)[:-1])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("profile: satellite", "profile: mars", r"broken.yml:16: impairments.0.profile: .*'mars'"),
        ("phase: one", "phase: before", "broken.yml:16: .*no phase 'before' of kind impaired"),
        ("phase: two", "phase: one", r"broken.yml:9: phases.4: no impairment names .*'two'"),
        ("phase: two, links: router", "phase: one, links: clients", "impaired already in phase"),
        ("links: router", "links: moon", "broken.yml:17: impairments.1.links"),
    ],
)
def test_mistakes_name_their_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        compiled(tmp_path, lab(), SCENARIO.replace(old, new))


def test_an_impairment_by_hand_has_a_plan_for_the_points_alone(tmp_path: Path) -> None:
    request = Request("satellite", ["clients"], 60.0, "by-hand")
    record = plan_impairment(request, lab(middle=True), tmp_path)
    assert set(record["hosts"]) == {"wan"}
    assert record["impaired"]
    assert record["duration_s"] > 60
    assert start_clock(tmp_path / "by-hand", 15.0, {})["zero"] is not None
    with pytest.raises(BadInput, match="'client9' is neither a host nor a group"):
        plan_impairment(Request("satellite", ["client9"], 60.0, "x"), lab(), tmp_path)
    with pytest.raises(BadInput, match="no profile 'mars'"):
        plan_impairment(Request("mars", ["client1"], 60.0, "x"), lab(), tmp_path)
    with pytest.raises(BadInput, match="time to last"):
        plan_impairment(Request("satellite", ["client1"], 0.0, "x"), lab(), tmp_path)


def test_every_profile_is_one_that_the_profiles_scenario_tries() -> None:
    tried = {
        item.profile
        for item in load_scenario(
            PROFILES.parent / "scenarios" / "profiles.yml", "quick"
        ).impairments
    }
    assert {file.stem for file in PROFILES.glob("*.yml")} - tried <= {"cell-trace"}
