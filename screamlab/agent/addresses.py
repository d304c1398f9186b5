"""The stream addresses a run adds to a host's data interface, and takes away again."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from pyroute2 import IPRoute

from screamlab.errors import InfraError


def add(device: str, addresses: Iterable[str]) -> list[str]:
    """Put CIDR `addresses` on `device`; the ones that were not there before are returned."""
    with IPRoute() as route:
        index, present = _state(route, device)
        missing = [address for address in addresses if address not in present]
        for address in missing:
            interface = ipaddress.IPv4Interface(address)
            route.addr(
                "add",
                index=index,
                address=str(interface.ip),
                prefixlen=interface.network.prefixlen,
            )
    return missing


def remove(device: str, addresses: Iterable[str]) -> None:
    """Take CIDR `addresses` off `device`, those that are there; an absent device is no error."""
    with IPRoute() as route:
        if not route.link_lookup(ifname=device):
            return
        index, present = _state(route, device)
        for address in present.intersection(addresses):
            interface = ipaddress.IPv4Interface(address)
            route.addr(
                "del",
                index=index,
                address=str(interface.ip),
                prefixlen=interface.network.prefixlen,
            )


def _state(route: IPRoute, device: str) -> tuple[int, set[str]]:
    found = route.link_lookup(ifname=device)
    if not found:
        raise InfraError(f"there is no interface '{device}' on this host")
    messages = route.get_addr(index=found[0])
    return found[0], {f"{m.get_attr('IFA_ADDRESS')}/{m['prefixlen']}" for m in messages}
