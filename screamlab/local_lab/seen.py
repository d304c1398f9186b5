"""What links, addresses and network namespaces there are, as `ip` says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from screamlab.errors import InfraError

NETNS = Path("/run/netns")


@dataclass(frozen=True)
class Link:
    """An interface as the kernel reports it; addresses are IPv4 only."""

    name: str
    mac: str
    up: bool
    kind: str | None = None
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

    def link(self, namespace: str | None, name: str) -> Link | None:
        """The interface of that name, if it is there."""
        return self.namespaces.get(namespace, Seen()).links.get(name)

    def is_up(self, namespace: str, name: str) -> bool:
        """Whether that interface is there and up."""
        link = self.link(namespace, name)
        return link is not None and link.up


def parse_links(text: str) -> dict[str, Link]:
    """Read the output of ``ip -json -details address show``."""
    return {
        raw["ifname"]: Link(
            name=raw["ifname"],
            mac=raw.get("address", ""),
            up="UP" in raw["flags"],
            kind=raw.get("linkinfo", {}).get("info_kind"),
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


def _ip(namespace: str | None, *words: str) -> str:
    where = ["-n", namespace] if namespace else []
    command = ["ip", *where, "-json", "-details", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
