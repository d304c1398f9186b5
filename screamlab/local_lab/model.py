"""What a local lab consists of, and what everything in it is called."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from screamlab.errors import BadInput

LABS = Path("/var/lib/screamlab/labs")
SUBNETS = 256
_LAB_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
_HOST_NAME = re.compile(r"[a-z][a-z0-9]{0,7}")

# A container shares the machine's kernel; a User-Mode Linux host brings one of its own.
Kind = Literal["container", "uml"]
MIDDLE = "wan"

REALTIME = 0.95
"""What the kernel leaves to real-time processes of each processor's time (sched_rt_runtime_us)."""


@dataclass(frozen=True)
class Host:
    """One virtual host; both addresses are written as ``address/prefix length``.

    `realtime` is the part of each processor's time that its real-time processes may take.
    """

    name: str
    management: str
    data: str
    kind: Kind = "container"
    realtime: float = 0.0

    @property
    def address(self) -> str:
        """The management address, where the host's SSH server answers."""
        return str(ipaddress.IPv4Interface(self.management).ip)


@dataclass(frozen=True)
class Lab:
    """A lab as asked for."""

    name: str
    subnet: int
    hosts: tuple[Host, ...]
    user: str = "labadmin"
    disk_mib: int = 8192
    hidden: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """All files of the lab."""
        return LABS / self.name

    @property
    def middle(self) -> Host | None:
        """The host that carries the data network; None where the machine's kernel does."""
        return next((host for host in self.hosts if host.name == MIDDLE), None)

    @property
    def ends(self) -> tuple[Host, ...]:
        """The hosts that the data network is there for."""
        return tuple(host for host in self.hosts if host.name != MIDDLE)

    @property
    def management(self) -> ipaddress.IPv4Network:
        """Where Ansible comes in (RFC 2544 benchmarking addresses)."""
        return ipaddress.IPv4Network(f"198.18.{self.subnet}.0/24")

    @property
    def data(self) -> ipaddress.IPv4Network:
        """Where the audio goes, and what the lab breaks."""
        return ipaddress.IPv4Network(f"198.19.{self.subnet}.0/24")

    @property
    def bridge(self) -> str:
        """The management network's bridge on the machine; interfaces have 15 characters."""
        return f"sl{self.subnet}"

    @property
    def alias(self) -> str:
        """The mark on the bridge, and the start of that on each host's leg."""
        return f"screamlab:{self.name}"

    def leg(self, host: str) -> str:
        """The interface on the bridge that leads to that host."""
        return f"sl{self.subnet}-{host}"

    @property
    def wan(self) -> str:
        """The namespace that carries the data network, that of the host in the middle."""
        return self.place(MIDDLE).namespace

    @property
    def key(self) -> Path:
        """The controller's private key; its public half is on every host."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, for the controller's ``UserKnownHostsFile``."""
        return self.folder / "known_hosts"

    @property
    def control_path(self) -> Path:
        """Folder of the controller's SSH control sockets."""
        return self.folder / "cp"

    def place(self, host: str) -> Place:
        """Where the parts of the host of that name are."""
        return Place(self.name, host, self.folder / "hosts" / host)


@dataclass(frozen=True)
class Place:
    """Names and paths of one host of one lab."""

    lab: str
    host: str
    folder: Path

    @property
    def namespace(self) -> str:
        """The host's network namespace and its machine name."""
        return f"{self.lab}-{self.host}"

    @property
    def alias(self) -> str:
        """The mark on the host's leg."""
        return f"screamlab:{self.lab}:{self.host}"

    @property
    def unit(self) -> str:
        """The supervisor's unit where the machine runs systemd."""
        return f"screamlab-{self.lab}-{self.host}.service"

    @property
    def cgroup(self) -> str:
        """The host's control group where the machine does not run systemd, at the very top: a
        host competes for the processors as one among what else the machine does.
        """
        return f"screamlab-{self.lab}-{self.host}"

    @property
    def spec(self) -> Path:
        """What the supervisor was started with."""
        return self.folder / "spec.json"

    @property
    def lock(self) -> Path:
        """Held for as long as the supervisor lives; contains its process id."""
        return self.folder / "lock"

    @property
    def host_key(self) -> Path:
        """The SSH server's private key."""
        return self.folder / "ssh_host_ed25519_key"

    @property
    def console(self) -> Path:
        """What the supervisor, the program it boots and the host's console say."""
        return self.folder / "console.log"


@dataclass(frozen=True)
class HostSpec:
    """Everything a supervisor needs; a host that runs with another spec is out of date."""

    lab: Lab
    host: Host
    machine_id: str
    user_public_key: str
    host_public_key: str

    @property
    def place(self) -> Place:
        """Names and paths of this host."""
        return self.lab.place(self.host.name)

    def to_json(self) -> str:
        """The spec as the supervisor reads it."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> HostSpec:
        """Undo `to_json`."""
        raw = json.loads(text)
        return cls(
            lab=_lab(raw["lab"]),
            host=Host(**raw["host"]),
            machine_id=raw["machine_id"],
            user_public_key=raw["user_public_key"],
            host_public_key=raw["host_public_key"],
        )


def parse_lab(asked: Mapping[str, Any]) -> Lab:
    """Build a lab from a module's options; `BadInput` says which of them cannot be."""
    lab = _lab(asked)
    if not _LAB_NAME.fullmatch(lab.name):
        raise BadInput(f"lab name {lab.name!r}: 1 to 16 of a-z and 0-9 are needed, a letter first")
    if not 0 <= lab.subnet < SUBNETS:
        raise BadInput(f"lab {lab.name}: subnet {lab.subnet} is not within 0 to {SUBNETS - 1}")
    names = [host.name for host in lab.hosts]
    for host in lab.hosts:
        if not _HOST_NAME.fullmatch(host.name):
            raise BadInput(
                f"host name {host.name!r}: 1 to 8 of a-z and 0-9 are needed, a letter first"
            )
        if names.count(host.name) > 1:
            raise BadInput(f"host {host.name} is there twice")
        if (host.kind == "uml") != (host.name == MIDDLE):
            raise BadInput(
                f"host {host.name}: kind {host.kind}: the host in the middle of the data network "
                f"is named {MIDDLE} and is of kind uml, and no other is"
            )
        _check_address(host.name, "management", host.management, lab.management)
        gateway = lab.data[1] if host.name == MIDDLE else None
        _check_address(host.name, "data", host.data, lab.data, gateway)
    realtime = sum(host.realtime for host in lab.hosts)
    if realtime > REALTIME or any(host.realtime < 0 for host in lab.hosts):
        raise BadInput(f"realtime: hosts have {REALTIME:g} together, and not {realtime:g}")
    for plane in ("management", "data"):
        addresses = [getattr(host, plane) for host in lab.hosts]
        if twice := {address for address in addresses if addresses.count(address) > 1}:
            raise BadInput(f"{plane} address {', '.join(sorted(twice))} is given to two hosts")
    return lab


def _lab(raw: Mapping[str, Any]) -> Lab:
    return Lab(
        name=raw["name"],
        subnet=raw["subnet"],
        hosts=tuple(Host(**host) for host in raw["hosts"]),
        user=raw["user"],
        disk_mib=raw["disk_mib"],
        hidden=tuple(raw["hidden"]),
    )


def _check_address(
    host: str,
    plane: str,
    text: str,
    network: ipaddress.IPv4Network,
    must_be: ipaddress.IPv4Address | None = None,
) -> None:
    try:
        interface = ipaddress.IPv4Interface(text)
    except ValueError as error:
        raise BadInput(f"host {host}: {plane} address {text!r}: {error}") from error
    if interface.network != network:
        raise BadInput(f"host {host}: {plane} address {text} is not in the lab's {network}")
    if must_be is not None:
        if interface.ip != must_be:
            raise BadInput(f"host {host}: {plane} address {text} is not the gateway {must_be}")
    elif interface.ip in (network[0], network[1], network[-1]):
        raise BadInput(f"host {host}: {plane} address {text} belongs to the lab itself")
