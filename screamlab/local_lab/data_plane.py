"""The lab's two networks. `data_plane` is the one place that says what carries the audio.

The data network lives in a namespace of its own, ``<lab>-wan``, with a leg per host, named after
the host. Either a bridge joins the legs there, or the host `wan` does: each leg then ends at a tap
of that host, which has a bridge of its own inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from enum import IntEnum

from screamlab.local_lab.model import Host, Lab
from screamlab.local_lab.network import Bridge, Cable, Network, Port
from screamlab.local_lab.seen import Observed

MANAGEMENT_DEVICE = "mgmt0"
DATA_DEVICE = "data0"
WAN_BRIDGE = "lan"


class End(IntEnum):
    """Where on a host's link an interface is: the first byte of its hardware address."""

    HOST = 0x02
    LEG = 0x06
    TAP = 0x0A
    SOCKET = 0x0E
    MIDDLE = 0x12


def networks(lab: Lab, hosts: Sequence[Host]) -> Network:
    """Both networks, with these hosts plugged in."""
    return management_plane(lab, hosts) + data_plane(lab, hosts, lab.middle is not None)


def plugs(lab: Lab, host: Host, observed: Observed) -> Network:
    """The same for one host, on the data network as it is: the middle comes and goes without it."""
    through = any(observed.link(lab.wan, socket_name(end.name)) for end in lab.ends)
    return management_plane(lab, [host]) + data_plane(lab, [host], through)


def management_plane(lab: Lab, hosts: Sequence[Host]) -> Network:
    """A bridge on the machine, so that the controller reaches every host past any impairment."""
    first = lab.management[1]
    addresses = (f"{first}/{lab.management.prefixlen}",)
    plane = Network(
        _namespaces(lab, hosts),
        (Bridge(None, lab.bridge, mac(first), addresses, lab.alias),),
    )
    for host in hosts:
        leg = Port(
            None,
            lab.leg(host.name),
            mac(host.management, End.LEG),
            master=lab.bridge,
            alias=lab.place(host.name).alias,
        )
        namespace = lab.place(host.name).namespace
        if host.kind == "uml":
            near = Port(
                namespace,
                MANAGEMENT_DEVICE,
                mac(host.management, End.MIDDLE),
                master=socket_name(MANAGEMENT_DEVICE),
            )
            plane += _socket(lab, MANAGEMENT_DEVICE, host.management)
        else:
            near = Port(
                namespace, MANAGEMENT_DEVICE, mac(host.management), addresses=(host.management,)
            )
        plane += Network(cables=(Cable(leg, near),))
    return plane


def data_plane(lab: Lab, hosts: Sequence[Host], through: bool) -> Network:
    """The legs of these hosts on one bridge or, if `through`, each on a tap of the host `wan`.

    The hosts' default gateway is the bridge, or the host.
    """
    first = lab.data[1]
    plane = Network((lab.wan, *_namespaces(lab, hosts)))
    if through:
        for end in lab.ends:
            plane += _socket(lab, end.name, end.data)
    else:
        addresses = (f"{first}/{lab.data.prefixlen}",)
        plane += Network(bridges=(Bridge(lab.wan, WAN_BRIDGE, mac(first), addresses),))
    cables = tuple(
        Cable(
            far=Port(
                lab.wan,
                host.name,
                mac(host.data, End.LEG),
                master=socket_name(host.name) if through else WAN_BRIDGE,
            ),
            near=Port(
                lab.place(host.name).namespace,
                DATA_DEVICE,
                mac(host.data),
                addresses=(host.data,),
                gateway=str(first),
            ),
        )
        for host in hosts
        if host in lab.ends
    )
    return plane + Network(cables=cables)


def socket_name(device: str) -> str:
    """The bridge between the cable and the tap of that device of the host `wan`."""
    return f"br-{device}"


def tap_name(device: str) -> str:
    """The tap behind that device of the host `wan`."""
    return f"tap-{device}"


def mac(address: ipaddress.IPv4Address | str, end: End = End.HOST) -> str:
    """A locally administered address that spells the IPv4 address, readable in a capture."""
    packed = ipaddress.IPv4Interface(address).ip.packed
    return ":".join(f"{byte:02x}" for byte in (end, 0x53, *packed))


def _socket(lab: Lab, device: str, address: str) -> Network:
    """Where a cable meets the host `wan`: it stays when either side goes."""
    bridge = Bridge(lab.wan, socket_name(device), mac(address, End.SOCKET))
    tap = Port(lab.wan, tap_name(device), mac(address, End.TAP), master=bridge.name)
    return Network((lab.wan,), bridges=(bridge,), taps=(tap,))


def _namespaces(lab: Lab, hosts: Sequence[Host]) -> tuple[str, ...]:
    return tuple(lab.place(host.name).namespace for host in hosts)
