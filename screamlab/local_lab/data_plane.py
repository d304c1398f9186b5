"""The lab's two networks. `data_plane` is the one place that says what carries the audio.

The data network lives in a namespace of its own, ``<lab>-wan``: a bridge with a leg per host,
named after the host. Whoever breaks the network, or puts another kernel in the middle, does it
there and nowhere else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from screamlab.local_lab.model import Host, Lab
from screamlab.local_lab.network import Bridge, Cable, Network, Port

MANAGEMENT_DEVICE = "mgmt0"
DATA_DEVICE = "data0"
_WAN_BRIDGE = "lan"


def networks(lab: Lab, hosts: Sequence[Host]) -> Network:
    """Both networks, with these hosts plugged in."""
    return management_plane(lab, hosts) + data_plane(lab, hosts)


def management_plane(lab: Lab, hosts: Sequence[Host]) -> Network:
    """A bridge on the machine, so that the controller reaches every host past any impairment."""
    first = lab.management[1]
    addresses = (f"{first}/{lab.management.prefixlen}",)
    bridge = Bridge(None, lab.bridge, _mac(first), addresses, lab.alias)
    cables = tuple(
        Cable(
            far=Port(
                None,
                lab.leg(host.name),
                _mac(host.management, far=True),
                master=lab.bridge,
                alias=lab.place(host.name).alias,
            ),
            near=Port(
                lab.place(host.name).namespace,
                MANAGEMENT_DEVICE,
                _mac(host.management),
                addresses=(host.management,),
            ),
        )
        for host in hosts
    )
    return Network(_namespaces(lab, hosts), (bridge,), cables)


def data_plane(lab: Lab, hosts: Sequence[Host]) -> Network:
    """A bridge in the ``wan`` namespace; its address is the hosts' default gateway."""
    first = lab.data[1]
    bridge = Bridge(lab.wan, _WAN_BRIDGE, _mac(first), (f"{first}/{lab.data.prefixlen}",))
    cables = tuple(
        Cable(
            far=Port(lab.wan, host.name, _mac(host.data, far=True), master=_WAN_BRIDGE),
            near=Port(
                lab.place(host.name).namespace,
                DATA_DEVICE,
                _mac(host.data),
                addresses=(host.data,),
                gateway=str(first),
            ),
        )
        for host in hosts
    )
    return Network((lab.wan, *_namespaces(lab, hosts)), (bridge,), cables)


def _namespaces(lab: Lab, hosts: Sequence[Host]) -> tuple[str, ...]:
    return tuple(lab.place(host.name).namespace for host in hosts)


def _mac(address: ipaddress.IPv4Address | str, far: bool = False) -> str:
    """A locally administered address that spells the IPv4 address, readable in a capture."""
    packed = ipaddress.IPv4Interface(address).ip.packed
    return ":".join(f"{byte:02x}" for byte in (0x06 if far else 0x02, 0x53, *packed))
