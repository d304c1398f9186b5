"""Network namespaces, bridges and veth pairs: what must be, what is, and the `ip` lines between.

Everything is done with iproute2 in batches, one process per namespace, so that a plan can be
read before it is carried out and reads the same in a dry run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from screamlab.errors import InfraError

NETNS = Path("/run/netns")


@dataclass(frozen=True)
class Bridge:
    """A bridge; `namespace` None is the machine's own. Exactly these IPv4 addresses stay on it."""

    namespace: str | None
    name: str
    mac: str
    addresses: tuple[str, ...] = ()
    alias: str | None = None


@dataclass(frozen=True)
class Port:
    """One end of a cable. Further addresses on it are nobody's business here."""

    namespace: str | None
    name: str
    mac: str
    master: str | None = None
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class Cable:
    """A veth pair; both ends are made, and remade, together."""

    far: Port
    near: Port


@dataclass(frozen=True)
class Network:
    """A set of namespaces, bridges and cables that must exist."""

    namespaces: tuple[str, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    cables: tuple[Cable, ...] = ()

    def __add__(self, other: Network) -> Network:
        namespaces = dict.fromkeys(self.namespaces + other.namespaces)
        return Network(tuple(namespaces), self.bridges + other.bridges, self.cables + other.cables)


@dataclass(frozen=True)
class Link:
    """An interface as the kernel reports it; addresses are IPv4 only."""

    name: str
    mac: str
    up: bool
    master: str | None = None
    alias: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What is in one namespace."""

    links: dict[str, Link] = field(default_factory=dict)
    gateway: str | None = None


@dataclass(frozen=True)
class Observed:
    """The namespaces that were looked at; `stale` names have a file but no namespace behind it."""

    namespaces: dict[str | None, Seen]
    stale: frozenset[str] = frozenset()

    def link(self, port: Port | Bridge) -> Link | None:
        """The interface of that name, if it is there."""
        return self.namespaces.get(port.namespace, Seen()).links.get(port.name)

    def is_up(self, namespace: str, name: str) -> bool:
        """Whether that interface is there and up."""
        link = self.namespaces.get(namespace, Seen()).links.get(name)
        return link is not None and link.up


@dataclass(frozen=True)
class Command:
    """One `ip` command in one namespace."""

    namespace: str | None
    words: tuple[str, ...]

    def __str__(self) -> str:
        where = f"-n {self.namespace} " if self.namespace else ""
        return f"ip {where}{' '.join(self.words)}"


def plan(wanted: Network, observed: Observed) -> list[Command]:
    """The commands that bring about what is wanted; none when it is there."""
    commands = [
        command
        for name in wanted.namespaces
        if name not in observed.namespaces
        for command in _namespace(name, stale=name in observed.stale)
    ]
    commands += [
        Command(name, ("link", "set", "lo", "up"))
        for name in wanted.namespaces
        if not observed.is_up(name, "lo")
    ]
    for bridge in wanted.bridges:
        link = observed.link(bridge)
        if link is None:
            words = ("link", "add", bridge.name, "address", bridge.mac, "type", "bridge")
            commands.append(
                Command(bridge.namespace, (*words, "forward_delay", "0", "mcast_snooping", "0"))
            )
        commands += _settle(bridge, None, link)
        commands += [
            Command(bridge.namespace, ("address", "del", address, "dev", bridge.name))
            for address in (link.addresses if link else ())
            if address not in bridge.addresses
        ]
    for cable in wanted.cables:
        commands += _cable(cable, observed)
    return commands


def _namespace(name: str, stale: bool) -> list[Command]:
    remove = [Command(None, ("netns", "del", name))] if stale else []
    return [*remove, Command(None, ("netns", "add", name))]


def _cable(cable: Cable, observed: Observed) -> list[Command]:
    far, near = cable.far, cable.near
    ends = {port: observed.link(port) for port in (far, near)}
    commands = []
    if None in ends.values():
        # A veth takes its peer along, so at most one of the two can be left over.
        commands += [
            Command(port.namespace, ("link", "del", port.name))
            for port, link in ends.items()
            if link is not None
        ]
        peer = ("peer", "name", near.name, "address", near.mac, "netns", str(near.namespace))
        commands.append(
            Command(
                far.namespace,
                ("link", "add", far.name, "address", far.mac, "type", "veth", *peer),
            )
        )
        ends = {far: None, near: None}
    for port, link in ends.items():
        commands += _settle(port, port.master, link)
    gateway = observed.namespaces.get(near.namespace, Seen()).gateway
    if near.gateway and (gateway != near.gateway or ends[near] is None):
        route = ("route", "replace", "default", "via", near.gateway, "dev", near.name)
        commands.append(Command(near.namespace, route))
    return commands


def _settle(port: Port | Bridge, master: str | None, link: Link | None) -> list[Command]:
    words: list[str] = []
    if master and (link is None or link.master != master):
        words += ["master", master]
    if port.alias and (link is None or link.alias != port.alias):
        words += ["alias", port.alias]
    if link is None and (isinstance(port, Bridge) or master):
        # Bridges and their ports speak no IPv6 of their own.
        words += ["addrgenmode", "none"]
    if link is not None and link.mac != port.mac:
        words += ["address", port.mac]
    if link is None or not link.up:
        words += ["up"]
    commands = [Command(port.namespace, ("link", "set", port.name, *words))] if words else []
    present = link.addresses if link else ()
    return commands + [
        Command(port.namespace, ("address", "add", address, "dev", port.name))
        for address in port.addresses
        if address not in present
    ]


def unplug(wanted: Network, observed: Observed) -> list[Command]:
    """The commands that pull every cable that is there, to plug it in afresh."""
    return [
        Command(cable.near.namespace, ("link", "del", cable.near.name))
        for cable in wanted.cables
        if observed.link(cable.near)
    ]


def removal(aliases: Iterable[str], namespaces: Iterable[str], observed: Observed) -> list[Command]:
    """The commands that remove the machine's links of these aliases, and the namespaces."""
    marks = set(aliases)
    links = observed.namespaces[None].links.values()
    gone = [Command(None, ("link", "del", link.name)) for link in links if link.alias in marks]
    return gone + [
        Command(None, ("netns", "del", name))
        for name in namespaces
        if name in observed.namespaces or name in observed.stale
    ]


def strays(wanted: Network, aliases: Iterable[str], observed: Observed) -> list[Command]:
    """The commands that remove the machine's links of these aliases that nobody wants."""
    marks = set(aliases)
    ports: list[Bridge | Port] = [*wanted.bridges, *(cable.far for cable in wanted.cables)]
    names = {port.name for port in ports if port.namespace is None}
    return [
        Command(None, ("link", "del", link.name))
        for link in observed.namespaces[None].links.values()
        if link.alias in marks and link.name not in names
    ]


def parse_links(text: str) -> dict[str, Link]:
    """Read the output of ``ip -json -details address show``."""
    return {
        raw["ifname"]: Link(
            name=raw["ifname"],
            mac=raw.get("address", ""),
            up="UP" in raw["flags"],
            master=raw.get("master"),
            alias=raw.get("ifalias"),
            addresses=tuple(
                f"{address['local']}/{address['prefixlen']}"
                for address in raw["addr_info"]
                if address.get("family") == "inet"
            ),
        )
        for raw in json.loads(text or "[]")
        if raw
    }


def parse_gateway(text: str) -> str | None:
    """Read the default gateway from ``ip -json route show default``."""
    routes = [route for route in json.loads(text or "[]") if route.get("dst") == "default"]
    return routes[0].get("gateway") if routes else None


def parse_namespaces(mountinfo: str) -> frozenset[str]:
    """The named network namespaces in ``/proc/self/mountinfo`` (proc(5))."""
    points = [Path(line.split()[4]) for line in mountinfo.splitlines() if " - nsfs " in line]
    return frozenset(point.name for point in points if point.parent == NETNS)


def observe(namespaces: Iterable[str]) -> Observed:
    """Look at the machine's own namespace and at those of these that exist."""
    named = set(namespaces)
    alive = named & parse_namespaces(Path("/proc/self/mountinfo").read_text())
    stale = {name for name in named - alive if (NETNS / name).exists()}
    seen: dict[str | None, Seen] = {None: Seen(parse_links(_ip(None, "address", "show")))}
    for name in alive:
        links = parse_links(_ip(name, "address", "show"))
        seen[name] = Seen(links, parse_gateway(_ip(name, "route", "show", "default")))
    return Observed(seen, frozenset(stale))


def apply(commands: Sequence[Command]) -> None:
    """Carry the commands out in order; `InfraError` names the one that failed."""
    for namespace, group in groupby(commands, key=lambda command: command.namespace):
        lines = list(group)
        batch = "".join(" ".join(command.words) + "\n" for command in lines)
        where = ["-n", namespace] if namespace else []
        done = subprocess.run(
            ["ip", *where, "-batch", "-"], input=batch, capture_output=True, text=True
        )
        if done.returncode:
            said = " ".join(done.stderr.split())
            raise InfraError(f"{lines[0]} (first of {len(lines)}): {said}")


def _ip(namespace: str | None, *words: str) -> str:
    where = ["-n", namespace] if namespace else []
    command = ["ip", *where, "-json", "-details", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
