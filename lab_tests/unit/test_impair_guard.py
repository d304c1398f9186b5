"""The controller is not cut off: which connections are its own, and which a selector touches."""

from __future__ import annotations

import pytest

from screamlab.impair.condition import Selector
from screamlab.impair.guard import Connection, parse_ssh_connection, parse_tcp, selects
from screamlab.paths import CHECKOUT

SSH = Connection("198.18.71.1", 53948, "198.18.71.9", 22)


def test_established_connections_are_read() -> None:
    text = (CHECKOUT / "lab_tests/data/tc/proc_net_tcp.txt").read_text()
    assert parse_tcp(text) == [SSH]


def test_what_ssh_says_is_read() -> None:
    assert parse_ssh_connection("198.18.71.1 53948 198.18.71.9 22") == SSH
    assert parse_ssh_connection("") is None


@pytest.mark.parametrize(
    ("peers", "ports", "protocol", "touched"),
    [
        ("198.18.71.0/24", (), "tcp", True),
        ("198.18.71.0/24", (), "any", True),
        ("198.18.71.0/24", (22,), "tcp", True),
        ("198.18.71.9", (), "any", True),
        ("198.18.71.0/24", (), "udp", False),
        ("198.18.71.0/24", (4010,), "tcp", False),
        ("198.19.0.0/24", (), "any", False),
    ],
)
def test_a_selector_touches_a_connection_or_not(
    peers: str, ports: tuple[int, ...], protocol: str, touched: bool
) -> None:
    selector = Selector(peers=(peers,), ports=ports, protocol=protocol)
    assert selects(selector, SSH) is touched


def test_without_a_selector_every_ipv4_connection_is_touched() -> None:
    assert selects(None, SSH)
    assert not selects(None, Connection("2001:db8::1", 53948, "2001:db8::2", 22))
