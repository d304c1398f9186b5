"""Which client host carries which stream, on which address and port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from screamlab.errors import BadInput
from screamlab.inventory import Host
from screamlab.scenario.clients import Client
from screamlab.scenario.plan import Endpoint, ReceiverStream, SenderStream

FIRST_RECEIVER_PORT = 41000


@dataclass(frozen=True)
class Sending:
    """A sender and the host and client that play it."""

    host: str
    client: Client
    stream: SenderStream
    announced: bool = False


@dataclass(frozen=True)
class Receiving:
    """A receiver and the host and client that play it."""

    host: str
    client: Client
    stream: ReceiverStream


class Placement:
    """Hands out client hosts in turn, sender addresses from their pools, and receiver ports."""

    def __init__(self, clients: Sequence[Host]) -> None:
        self.clients = list(clients)
        self._pools = {host.name: host.data.pool_addresses() for host in clients}
        self._ports = {host.name: FIRST_RECEIVER_PORT for host in clients}
        self.used: dict[str, list[str]] = {host.name: [] for host in clients}

    def in_turn(self, turn: int) -> Host:
        """The client host whose turn it is."""
        return self.clients[turn % len(self.clients)]

    def opposite(self, name: str, turn: int) -> Host:
        """A client host other than `name`, in turn, where there is another."""
        others = [host for host in self.clients if host.name != name] or self.clients
        return others[turn % len(others)]

    def own_address(self, host: Host, wanted: int) -> Endpoint:
        """An address of the host's pool that no other stream has, any port."""
        pool, used = self._pools[host.name], self.used[host.name]
        if len(used) >= len(pool):
            raise BadInput(
                f"{wanted} streams on {len(self.clients)} client hosts are more than {host.name} "
                f"can carry: its pool {host.data.pool or '(none)'} has {len(pool)} addresses"
            )
        used.append(pool[len(used)])
        return Endpoint(address=used[-1].split("/")[0], port=0)

    def receiver_port(self, host: Host) -> Endpoint:
        """The host's own address and a free even port; RTCP has the odd one above (RFC 3550 11)."""
        port = self._ports[host.name]
        self._ports[host.name] += 2
        return Endpoint(address=host.data.ip, port=port)
