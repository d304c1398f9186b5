"""What `ip` says about a lab that is up, and the commands that mend one that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from screamlab.local_lab import network
from screamlab.local_lab.data_plane import data_plane, management_plane, networks, plugs
from screamlab.local_lab.model import Host, Lab
from screamlab.local_lab.seen import (
    Link,
    Observed,
    Seen,
    parse_gateway,
    parse_links,
    parse_namespaces,
)
from screamlab.paths import CHECKOUT

DATA = CHECKOUT / "lab_tests" / "data" / "local_lab"
ROUTER = Host("router1", "198.18.21.10/24", "198.19.21.10/24")
CLIENT = Host("client1", "198.18.21.11/24", "198.19.21.11/24")
LAB = Lab("b", 21, (ROUTER, CLIENT))
WANTED = networks(LAB, LAB.hosts)
THROUGH = Lab("b", 21, (ROUTER, CLIENT, Host("wan", "198.18.21.2/24", "198.19.21.1/24", "uml")))


def seen(name: str) -> Seen:
    route = parse_gateway((DATA / "client1-route.json").read_text())
    return Seen(parse_links((DATA / f"{name}.json").read_text()), route)


@pytest.fixture
def up() -> Observed:
    """A lab that is up, as captured."""
    return Observed(
        {
            None: seen("machine"),
            "b-wan": seen("wan"),
            "b-router1": seen("router1"),
            "b-client1": seen("client1"),
        }
    )


@pytest.fixture
def through() -> Observed:
    """A lab with a host in the middle that is up, as captured."""
    return Observed(
        {
            None: seen("machine-through"),
            "b-wan": seen("wan-through"),
            "b-router1": seen("router1"),
            "b-client1": seen("client1"),
        }
    )


def without(observed: Observed, namespace: str | None, *names: str) -> Observed:
    old = observed.namespaces[namespace]
    links = {name: link for name, link in old.links.items() if name not in names}
    return Observed({**observed.namespaces, namespace: replace(old, links=links)})


def changed(observed: Observed, namespace: str | None, link: Link) -> Observed:
    old = observed.namespaces[namespace]
    return Observed(
        {**observed.namespaces, namespace: replace(old, links={**old.links, link.name: link})}
    )


def lines(observed: Observed) -> list[str]:
    return [str(command) for command in network.plan(WANTED, observed)]


def test_links_are_read_with_master_alias_and_addresses() -> None:
    links = seen("machine").links
    assert links["sl21"] == Link(
        "sl21", "02:53:c6:12:15:01", True, "bridge", None, "screamlab:b", ("198.18.21.1/24",)
    )
    assert links["sl21-client1"].master == "sl21"
    assert links["sl21-client1"].addresses == ()


def test_gateway_is_read() -> None:
    assert seen("client1").gateway == "198.19.21.1"
    assert parse_gateway("[ ]") is None


def test_namespaces_are_read_and_the_folder_itself_is_none() -> None:
    mountinfo = (DATA / "mountinfo").read_text()
    expected = {"b-wan", "b-router1", *(f"b-client{number}" for number in range(1, 5))}
    assert parse_namespaces(mountinfo) == expected


def test_a_lab_that_is_up_needs_nothing(up: Observed) -> None:
    assert lines(up) == []


def test_further_addresses_of_a_host_are_left_alone(up: Observed) -> None:
    data0 = up.namespaces["b-client1"].links["data0"]
    more = replace(data0, addresses=(*data0.addresses, "198.19.21.33/24"))
    assert lines(changed(up, "b-client1", more)) == []


def test_a_pulled_cable_is_made_anew_at_both_ends_with_its_route(up: Observed) -> None:
    pulled = without(without(up, "b-wan", "client1"), "b-client1", "data0")
    assert lines(pulled) == [
        "ip -n b-wan link add client1 address 06:53:c6:13:15:0b type veth "
        "peer name data0 address 02:53:c6:13:15:0b netns b-client1",
        "ip -n b-wan link set client1 master lan addrgenmode none up",
        "ip -n b-client1 link set data0 up",
        "ip -n b-client1 address add 198.19.21.11/24 dev data0",
        "ip -n b-client1 route replace default via 198.19.21.1 dev data0",
    ]


def test_a_left_over_end_is_removed_first(up: Observed) -> None:
    assert lines(without(up, "b-client1", "data0"))[0] == "ip -n b-wan link del client1"


def test_a_foreign_address_leaves_the_bridge(up: Observed) -> None:
    bridge = up.namespaces[None].links["sl21"]
    moved = changed(up, None, replace(bridge, addresses=("198.18.9.1/24",)))
    assert lines(moved) == [
        "ip address add 198.18.21.1/24 dev sl21",
        "ip address del 198.18.9.1/24 dev sl21",
    ]


def test_a_leg_that_left_its_bridge_goes_back_up(up: Observed) -> None:
    leg = up.namespaces[None].links["sl21-router1"]
    assert lines(changed(up, None, replace(leg, master=None, up=False))) == [
        "ip link set sl21-router1 master sl21 up"
    ]


def test_a_stale_namespace_is_replaced() -> None:
    first = network.plan(
        network.Network(("b-wan",)), Observed({None: Seen()}, frozenset({"b-wan"}))
    )
    assert [str(command) for command in first] == [
        "ip netns del b-wan",
        "ip netns add b-wan",
        "ip -n b-wan link set lo up",
    ]


def test_removal_takes_own_links_only(up: Observed) -> None:
    foreign = changed(up, None, replace(up.namespaces[None].links["sl21"], alias=None))
    aliases = [LAB.alias, LAB.place("client1").alias]
    gone = network.removal(aliases, ["b-client1", "b-none"], foreign)
    assert [str(command) for command in gone] == [
        "ip link del sl21-client1",
        "ip netns del b-client1",
    ]


def test_links_of_an_earlier_subnet_are_strays(up: Observed) -> None:
    moved = networks(replace(LAB, subnet=22), [])
    assert [str(command) for command in network.strays(moved, [LAB.alias], [], up)] == [
        "ip link del sl21"
    ]
    aliases = [LAB.alias, LAB.place("client1").alias]
    assert network.strays(WANTED, aliases, [LAB.wan], up) == []


def test_unplugging_pulls_the_hosts_ends(up: Observed) -> None:
    wanted = networks(LAB, [CLIENT])
    assert [str(command) for command in network.unplug(wanted, up)] == [
        "ip -n b-client1 link del mgmt0",
        "ip -n b-client1 link del data0",
    ]


def test_the_planes_share_no_link() -> None:
    management, data = management_plane(LAB, LAB.hosts), data_plane(LAB, LAB.hosts, False)
    far = [cable.far for plane in (management, data) for cable in plane.cables]
    assert {port.namespace for port in far} == {None, "b-wan"}
    macs = [port.mac for cable in WANTED.cables for port in (cable.far, cable.near)]
    assert len(macs) == len(set(macs)) == 8


def test_a_middle_that_comes_takes_the_legs_from_the_bridge(up: Observed) -> None:
    wanted = networks(THROUGH, THROUGH.ends)
    strays = network.strays(wanted, [], [LAB.wan], up)
    assert [str(command) for command in strays] == ["ip -n b-wan link del lan"]
    planned = [str(command) for command in network.plan(wanted, up)]
    for line in (
        "ip -n b-wan link add br-client1 address 0e:53:c6:13:15:0b type bridge "
        "forward_delay 0 mcast_snooping 0",
        "ip -n b-wan tuntap add dev tap-client1 mode tap",
        "ip -n b-wan link set tap-client1 address 0a:53:c6:13:15:0b",
        "ip -n b-wan link set tap-client1 master br-client1 addrgenmode none up",
        "ip -n b-wan link set client1 master br-client1",
    ):
        assert line in planned
    assert not [line for line in planned if "b-client1" in line]


def test_a_middle_that_goes_gives_the_legs_back(through: Observed) -> None:
    strays = network.strays(WANTED, [], [LAB.wan], through)
    assert {str(command) for command in strays} == {
        f"ip -n b-wan link del {kind}-{device}"
        for kind in ("br", "tap")
        for device in ("mgmt0", "router1", "client1")
    }
    assert "ip -n b-wan link set client1 master lan" in lines(through)


def test_a_lab_with_a_middle_that_is_up_needs_nothing(through: Observed) -> None:
    assert network.plan(networks(THROUGH, THROUGH.hosts), through) == []
    assert network.strays(networks(THROUGH, THROUGH.hosts), [], [LAB.wan], through) == []


def test_a_host_plugs_into_what_is_there(up: Observed, through: Observed) -> None:
    """It was not told whether there is a middle, see `lab.spec`."""
    masters = {}
    for name, observed in {"plain": up, "through": through}.items():
        (far,) = [cable.far for cable in plugs(LAB, CLIENT, observed).cables if cable.near.gateway]
        masters[name] = far.master
    assert masters == {"plain": "lan", "through": "br-client1"}
