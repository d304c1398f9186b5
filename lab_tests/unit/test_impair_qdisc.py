"""What tc says of a real kernel (6.1, iproute2 6.1) is read, and recognised as what was asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from screamlab.errors import InfraError
from screamlab.impair.condition import Condition, GilbertElliott, IndependentLoss, Selector
from screamlab.impair.device import Device, refuse_foreign
from screamlab.impair.plan import change, plan
from screamlab.impair.qdisc import Seen, devices, same_netem, same_tbf, seen
from screamlab.impair.tc import Half, Loss, Tbf
from screamlab.impair.translate import half, matches
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests" / "data" / "tc"
SELECTOR = Selector(peers=("198.19.0.0/24",), ports=(40000,))
GE = GilbertElliott(model="gilbert_elliott", to_bad_percent=1, to_good_percent=25)
TO_HOST = Condition(
    delay_ms=40.125,
    jitter_ms=5,
    loss=GE,
    duplicate_percent=1,
    corrupt_percent=0.5,
    rate_kbit=8000,
    limit_packets=6200,
)
FROM_HOST = Condition(delay_ms=20, loss=IndependentLoss(model="independent", percent=2))


def captured(name: str, device: str = "client1") -> Device:
    qdiscs = devices((DATA / f"{name}.json").read_text())

    def filters(direction: str) -> list[dict[str, Any]]:
        impaired = name in ("impaired", "four-state")
        file = DATA / f"filters-{direction if impaired else 'foreign'}.json"
        if name == "plain" or (name == "foreign" and direction == "egress"):
            return []
        return list(json.loads(file.read_text()))

    egress = seen(qdiscs[device], filters("egress"))
    ifb = qdiscs.get(f"ifb-{device}")
    ingress = replace(seen(ifb or [], filters("ingress")), ingress=egress.ingress)
    return Device(device, egress, ingress, f"screamlab:{device}" if ifb else None)


def egress(condition: Condition = TO_HOST) -> Half:
    return half(condition, matches(SELECTOR, "host", "egress"), step_s=0.1)


def ingress(condition: Condition = FROM_HOST) -> Half:
    return half(condition, matches(SELECTOR, "host", "ingress"))


def table_names() -> dict[str, str]:
    return {"egress": str(egress().netem.table)}


def lines(device: Device, wanted: dict[Any, Half | None]) -> list[str]:
    return [str(command) for command in plan(device, wanted, table_names())]


def test_counters_are_read() -> None:
    assert captured("impaired").egress.counters.packets == 131
    counters = captured("impaired").egress.counters
    assert (counters.drops, counters.overlimits, counters.backlog_packets) == (72, 516, 0)
    assert counters.bytes > 131 * 900


def test_every_parameter_is_read() -> None:
    netem = captured("four-state").egress.netem
    assert netem
    assert netem.loss == Loss("state", (0.01, 0.2, 0.3, 0.4, 0.05))
    assert (netem.reorder, netem.reorder_correlation, netem.gap) == (0.25, 0.5, 5)
    assert netem.slot == (0.005, 0.01, 3, 4000)
    assert (netem.corrupt, netem.rate) == (0.0, 0.0)


def test_the_limit_of_a_queue_is_worked_out() -> None:
    tbf = captured("impaired").egress.tbf
    assert tbf == Tbf(1_000_000, 2000, 100_000)


def test_what_was_asked_for_and_is_there_needs_nothing() -> None:
    assert lines(captured("impaired"), {"egress": egress(), "ingress": ingress()}) == []


def test_a_new_device_gets_everything_and_the_filters_last() -> None:
    new = captured("plain", "d0")
    selector = ("ip_proto udp dst_ip 198.19.0.0/24 src_port 40000", "dst_port 40000")
    found = lines(new, {"ingress": ingress()})
    assert found == [
        "ip link add ifb-d0 type ifb",
        "ip link set ifb-d0 alias screamlab:d0 up",
        "tc qdisc add dev ifb-d0 root handle 5ca2: netem limit 1400 delay 20000us "
        "loss random 2% rate 100000000000bit",
        "tc qdisc add dev d0 ingress",
        f"tc filter add dev d0 ingress protocol ip pref 23713 flower {selector[0]} "
        "action mirred egress redirect dev ifb-d0",
        f"tc filter add dev d0 ingress protocol ip pref 23713 flower "
        f"{selector[0].replace('src_port', 'dst_port')} action mirred egress redirect dev ifb-d0",
    ]
    verbs = [line.split("tc ")[1].split()[:2] for line in lines(new, {"egress": egress()})]
    assert verbs == [["qdisc", "add"]] * 3 + [["filter", "add"]] * 2


def test_numbers_are_changed_in_place() -> None:
    slower = egress(TO_HOST.model_copy(update={"rate_kbit": 4000.0}))
    assert lines(captured("impaired"), {"egress": slower}) == [
        "tc qdisc change dev client1 parent 5ca2:1 handle 5ca3: tbf "
        "rate 4000000bit burst 1564b limit 50000b"
    ]
    farther = egress(TO_HOST.model_copy(update={"delay_ms": 50.0}))
    (line,) = lines(captured("impaired"), {"egress": farther})
    assert line.startswith("tc qdisc change dev client1 parent 5ca1:3 handle 5ca2: netem ")
    assert "distribution" not in line  # it is there


def test_another_distribution_is_seen_although_the_kernel_does_not_tell_it() -> None:
    other = egress(TO_HOST.model_copy(update={"distribution": "pareto"}))
    (line,) = lines(captured("impaired"), {"egress": other})
    assert f"distribution {other.netem.table}" in line


def test_filters_follow_the_selector() -> None:
    both = Selector(peers=("198.19.0.0/24",), ports=(40000, 4010))
    wanted = replace(egress(), matches=matches(both, "host", "egress"))
    found = lines(captured("impaired"), {"egress": wanted})
    assert [line.split(" flower ")[1] for line in found] == [
        "ip_proto udp src_ip 198.19.0.0/24 src_port 4010 classid 5ca1:3",
        "ip_proto udp src_ip 198.19.0.0/24 dst_port 4010 classid 5ca1:3",
    ]
    fewer = replace(egress(), matches=matches(both, "host", "egress")[:1])
    assert lines(captured("impaired"), {"egress": fewer}) == [
        "tc filter del dev client1 parent 5ca1: protocol ip pref 23713 handle 2 flower"
    ]


def test_a_removal_takes_the_lab_s_own_and_the_named_direction_only() -> None:
    device = captured("impaired")
    assert lines(device, {"egress": None}) == ["tc qdisc del dev client1 root handle 5ca1:"]
    assert lines(device, {"ingress": None}) == [
        "tc qdisc del dev client1 ingress",
        "ip link del ifb-client1",
    ]
    other = captured("foreign", "other")
    assert lines(other, {"egress": None, "ingress": None}) == []


def test_foreign_qdiscs_are_refused() -> None:
    other = captured("foreign", "other")
    with pytest.raises(InfraError, match="root qdisc that is not the lab's: handle 7:"):
        refuse_foreign(other, {"egress": egress()})
    with pytest.raises(InfraError, match="ingress qdisc that is not the lab's"):
        refuse_foreign(other, {"ingress": ingress()})
    refuse_foreign(other, {"egress": None, "ingress": None})
    for name, device in (("plain", "sender"), ("plain", "d0"), ("impaired", "client1")):
        refuse_foreign(captured(name, device), {"egress": egress(), "ingress": ingress()})


def test_an_ifb_of_somebody_else_is_refused() -> None:
    device = Device("d0", Seen(root="0:"), Seen(), ifb_alias="")
    with pytest.raises(InfraError, match="ifb-d0 exists and is not the lab's"):
        refuse_foreign(device, {"ingress": ingress()})


def test_a_step_changes_only_what_differs() -> None:
    before = half(Condition(delay_ms=20, rate_kbit=1000), ())
    slower = half(Condition(delay_ms=20, rate_kbit=800), ())
    assert change("d0", "ingress", before, before) == []
    assert [str(c) for c in change("d0", "ingress", before, slower)] == [
        "tc qdisc change dev ifb-d0 parent 5ca2:1 handle 5ca3: tbf "
        "rate 800000bit burst 1564b limit 10000b"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"delay_ms": 41.0},
        {"jitter_ms": 5.2},
        {"duplicate_percent": 1.1},
        {"corrupt_percent": 0.0},
        {"keep_order": False},
        {"limit_packets": 6201},
        {"loss": None},
        {"loss": GE.model_copy(update={"to_bad_percent": 1.1})},
    ],
)
def test_what_differs_is_told_from_what_was_rounded(changed: dict[str, Any]) -> None:
    there = captured("impaired").egress
    assert there.netem and there.tbf
    assert same_netem(egress().netem, there.netem)
    assert not same_netem(egress(TO_HOST.model_copy(update=changed)).netem, there.netem)
    assert not same_tbf(None, there.tbf)
