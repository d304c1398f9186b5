"""Labs that cannot be are refused in one sentence; what a supervisor reads is what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from screamlab.errors import BadInput
from screamlab.local_lab.data_plane import socket_name, tap_name
from screamlab.local_lab.model import Host, HostSpec, parse_lab

HOST = {"name": "client1", "management": "198.18.3.11/24", "data": "198.19.3.11/24"}
WAN = {"name": "wan", "management": "198.18.3.2/24", "data": "198.19.3.1/24", "kind": "uml"}
LAB: dict[str, Any] = {
    "name": "lab",
    "subnet": 3,
    "hosts": [HOST],
    "user": "labadmin",
    "disk_mib": 512,
    "hidden": ["/root"],
}


def test_a_lab_names_its_parts() -> None:
    lab = parse_lab(LAB)
    assert lab.hosts == (Host("client1", "198.18.3.11/24", "198.19.3.11/24"),)
    assert lab.hosts[0].address == "198.18.3.11"
    assert (lab.bridge, lab.wan) == ("sl3", "lab-wan")
    assert lab.place("client1").namespace == "lab-client1"


def test_the_host_in_the_middle_is_none_of_the_ends() -> None:
    lab = parse_lab({**LAB, "hosts": [HOST, WAN]})
    assert lab.middle == Host("wan", "198.18.3.2/24", "198.19.3.1/24", "uml")
    assert [host.name for host in lab.ends] == ["client1"]
    assert lab.place("wan").namespace == lab.wan
    assert parse_lab(LAB).middle is None


def test_the_longest_names_fit_an_interface() -> None:
    host = {"name": "client99", "management": "198.18.255.9/24", "data": "198.19.255.9/24"}
    lab = parse_lab({**LAB, "subnet": 255, "hosts": [host]})
    names = (lab.leg("client99"), socket_name("client99"), tap_name("client99"))
    assert max(len(name) for name in names) <= 15


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "muchtoolongforus0"}, "lab name 'muchtoolongforus0'"),
        ({"name": "../x"}, "lab name '../x'"),
        ({"subnet": 256}, "subnet 256"),
        ({"hosts": [{**HOST, "name": "wan"}]}, "host wan: kind container"),
        ({"hosts": [{**HOST, "kind": "uml"}]}, "host client1: kind uml"),
        ({"hosts": [{**WAN, "data": "198.19.3.2/24"}]}, "is not the gateway 198.19.3.1"),
        ({"hosts": [{**WAN, "management": "198.18.3.1/24"}]}, "belongs to the lab itself"),
        ({"hosts": [{**HOST, "name": "Client1"}]}, "host name 'Client1'"),
        ({"hosts": [HOST, HOST]}, "client1 is there twice"),
        ({"hosts": [HOST, {**HOST, "name": "client2"}]}, "198.18.3.11/24 is given to two hosts"),
        ({"hosts": [{**HOST, "data": "198.19.4.11/24"}]}, "not in the lab's 198.19.3.0/24"),
        ({"hosts": [{**HOST, "data": "198.19.3.1/24"}]}, "belongs to the lab itself"),
        ({"hosts": [{**HOST, "management": "somewhere"}]}, "management address 'somewhere'"),
        ({"hosts": [{**HOST, "realtime": 0.96}]}, "0.95 together, and not 0.96"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_lab({**LAB, **change})
    assert named in str(refused.value)


def test_a_spec_survives_its_file() -> None:
    lab = parse_lab(LAB)
    spec = HostSpec(lab, lab.hosts[0], "0" * 32, "ssh-ed25519 AAAA user\n", "ssh-ed25519 BBBB\n")
    assert HostSpec.from_json(spec.to_json()) == spec
