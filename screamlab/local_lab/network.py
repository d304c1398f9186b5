"""Network namespaces, bridges, taps and veth pairs: what must be, and the `ip` lines to it.

Everything is done with iproute2 in batches, one process per namespace, so that a plan can be
read before it is carried out and reads the same in a dry run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from screamlab.errors import InfraError
from screamlab.local_lab.seen import Link, Observed, Seen

# What `ip` calls the bridges and taps that are made here.
_OURS = frozenset({"bridge", "tun"})


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
    """One end of a cable, or a tap. Further addresses on it are nobody's business here."""

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
    """A set of namespaces, bridges, cables and taps that must exist.

    A tap is where a program plugs another kernel in; it stays when that kernel goes.
    """

    namespaces: tuple[str, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    cables: tuple[Cable, ...] = ()
    taps: tuple[Port, ...] = ()

    def __add__(self, other: Network) -> Network:
        return Network(
            tuple(dict.fromkeys(self.namespaces + other.namespaces)),
            self.bridges + other.bridges,
            self.cables + other.cables,
            self.taps + other.taps,
        )

    @property
    def ports(self) -> tuple[Bridge | Port, ...]:
        """Every interface in it."""
        ends = (end for cable in self.cables for end in (cable.far, cable.near))
        return (*self.bridges, *ends, *self.taps)


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
        link = observed.link(bridge.namespace, bridge.name)
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
    for tap in wanted.taps:
        commands += _tap(tap, observed.link(tap.namespace, tap.name))
    for cable in wanted.cables:
        commands += _cable(cable, observed)
    return commands


def _namespace(name: str, stale: bool) -> list[Command]:
    remove = [Command(None, ("netns", "del", name))] if stale else []
    return [*remove, Command(None, ("netns", "add", name))]


def _tap(tap: Port, link: Link | None) -> list[Command]:
    made = []
    if link is None:
        made = [
            Command(tap.namespace, ("tuntap", "add", "dev", tap.name, "mode", "tap")),
            Command(tap.namespace, ("link", "set", tap.name, "address", tap.mac)),
        ]
    return made + _settle(tap, tap.master, link)


def _cable(cable: Cable, observed: Observed) -> list[Command]:
    far, near = cable.far, cable.near
    ends = {port: observed.link(port.namespace, port.name) for port in (far, near)}
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
        if observed.link(cable.near.namespace, cable.near.name)
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


def strays(
    wanted: Network, aliases: Iterable[str], namespaces: Iterable[str], observed: Observed
) -> list[Command]:
    """The commands that remove what nobody wants: the machine's links of these aliases, and the
    bridges and taps in these namespaces. Cables go with the host at their other end.
    """
    marks = set(aliases)
    names = {(port.namespace, port.name) for port in wanted.ports}
    found = [
        *((None, link) for link in _links(observed, None) if link.alias in marks),
        *(
            (name, link)
            for name in namespaces
            for link in _links(observed, name)
            if link.kind in _OURS
        ),
    ]
    return [
        Command(namespace, ("link", "del", link.name))
        for namespace, link in found
        if (namespace, link.name) not in names
    ]


def _links(observed: Observed, namespace: str | None) -> Iterable[Link]:
    return observed.namespaces.get(namespace, Seen()).links.values()


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
