"""Whether breaking a device would cut off the one who asks for it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from screamlab.errors import InfraError
from screamlab.impair import commands
from screamlab.impair.condition import Selector
from screamlab.impair.device import INTERFACES

_SSH_PORT = 22


@dataclass(frozen=True)
class Connection:
    """A TCP connection of this host, with the addresses and ports of both ends."""

    peer: str
    peer_port: int
    own: str
    own_port: int

    def __str__(self) -> str:
        return f"{self.peer} port {self.peer_port} to {self.own} port {self.own_port}"


def refuse_cut_off(device: str, selector: Selector | None, controller: str | None = None) -> None:
    """`InfraError` when `device` carries a connection of the controller's that is selected.

    The controller's connections are those this process hangs on (SSH_CONNECTION of an ancestor,
    which survives sudo), all to port 22 of this host, and all from the address `controller`.
    """
    for connection in connections(controller):
        if selects(selector, connection) and device in carriers(connection.peer):
            why = "the selector matches it" if selector else "without a selector it breaks too"
            raise InfraError(f"{device} carries the controller's connection, {connection}: {why}")


def selects(selector: Selector | None, connection: Connection) -> bool:
    """Whether packets of a connection are touched; IPv6 never is."""
    if ":" in connection.peer:
        return False
    if selector is None:
        return True
    ends = [ipaddress.IPv4Address(address) for address in (connection.peer, connection.own)]
    networks = [ipaddress.IPv4Network(peer) for peer in selector.peers]
    ports = {connection.peer_port, connection.own_port}
    return (
        selector.protocol in ("tcp", "any")
        and any(end in network for end in ends for network in networks)
        and (not selector.ports or not ports.isdisjoint(selector.ports))
    )


def connections(controller: str | None) -> set[Connection]:
    """The controller's connections, as far as they can be told."""
    found = {c for line in _ssh_connections() if (c := parse_ssh_connection(line))}
    ports = {_SSH_PORT, *(connection.own_port for connection in found)}
    for connection in parse_tcp(Path("/proc/net/tcp").read_text()):
        if connection.own_port in ports or connection.peer == controller:
            found.add(connection)
    return found


def parse_ssh_connection(text: str) -> Connection | None:
    """Read SSH_CONNECTION (ssh(1)): peer, its port, own address, own port."""
    words = text.split()
    if len(words) != 4:
        return None
    return Connection(words[0], int(words[1]), words[2], int(words[3]))


def parse_tcp(text: str) -> list[Connection]:
    """The established connections in ``/proc/net/tcp`` (proc(5)); loopback is left out."""
    found = []
    for line in text.splitlines()[1:]:
        own, peer, state = line.split()[1:4]
        (own_ip, own_port), (peer_ip, peer_port) = _end(own), _end(peer)
        if state == "01" and not ipaddress.IPv4Address(peer_ip).is_loopback:
            found.append(Connection(peer_ip, peer_port, own_ip, own_port))
    return found


def carriers(peer: str) -> set[str]:
    """The devices that packets to `peer` leave by: the route's, and all that lie below it."""
    found = re.search(r"\bdev (\S+)", commands.output("ip", "-o", "route", "get", peer))
    return _with_lower([found[1]]) if found else set()


def _with_lower(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            links = (INTERFACES / name).glob("lower_*")
            waiting += [link.name.removeprefix("lower_") for link in links]
    return found


def _end(text: str) -> tuple[str, int]:
    address, port = text.split(":")
    # Four bytes in the host's order, which is the wrong way round on all our hosts.
    return str(ipaddress.IPv4Address(bytes.fromhex(address)[::-1])), int(port, 16)


def _ssh_connections() -> Iterable[str]:
    """SSH_CONNECTION of this process and of all it descends from."""
    yield os.environ.get("SSH_CONNECTION", "")
    pid = os.getppid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        yield _variables(environment).get("SSH_CONNECTION", "")
        pid = int(re.findall(r"^PPid:\s*(\d+)", status, re.M)[0])


def _variables(environment: bytes) -> Mapping[str, str]:
    pairs = (item.partition("=") for item in environment.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs}
