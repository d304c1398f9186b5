"""One device as it is, and whether the lab may touch it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from screamlab.errors import BadInput, InfraError
from screamlab.impair import commands
from screamlab.impair.qdisc import Seen, devices, seen
from screamlab.impair.tc import ALIAS, PREFERENCE, ROOT, Direction, Half, ifb_of

INTERFACES = Path("/sys/class/net")
# What one direction is to hold: nothing when None. A direction that is not named is left alone.
Wanted = Mapping[Direction, Half | None]


@dataclass(frozen=True)
class Device:
    """A device as it is; the ifb's alias is None where there is no ifb of its name."""

    name: str
    egress: Seen
    ingress: Seen
    ifb_alias: str | None = None

    @property
    def has_ifb(self) -> bool:
        """Whether the ifb is there and is the lab's."""
        return self.ifb_alias == ALIAS + self.name

    @property
    def ifb(self) -> str:
        """The name of the device's ifb."""
        return ifb_of(self.name)

    def seen(self, direction: Direction) -> Seen:
        """One direction of it."""
        return self.egress if direction == "egress" else self.ingress


def mtu(name: str) -> int:
    """The largest packet of an interface in bytes; `BadInput` when this host has none so named."""
    try:
        return int((INTERFACES / name / "mtu").read_text())
    except FileNotFoundError as error:
        raise BadInput(f"there is no interface '{name}' on this host") from error


def ask_tc(*words: str) -> str:
    """The JSON that tc answers, with counters."""
    return commands.output("tc", "-s", "-j", *words)


def observe(name: str, ask: Callable[..., str] = ask_tc) -> Device:
    """Look at a device; `BadInput` when this host has none of that name."""
    mtu(name)
    qdiscs = devices(ask("qdisc", "show"))
    own, of_ifb = qdiscs.get(name, []), qdiscs.get(ifb_of(name), [])
    handles = {item["handle"] for item in own}

    def filters(*place: str) -> list[dict[str, object]]:
        found: list[dict[str, object]]
        found = json.loads(ask("filter", "show", "dev", name, *place) or "[]")
        return found

    egress = seen(own, filters("parent", ROOT) if ROOT in handles else [])
    ingress = seen(of_ifb, filters("ingress") if "ffff:" in handles else [])
    alias = INTERFACES / ifb_of(name) / "ifalias"
    return Device(
        name=name,
        egress=egress,
        ingress=replace(ingress, ingress=egress.ingress),
        ifb_alias=alias.read_text().strip() if alias.exists() else None,
    )


def refuse_foreign(device: Device, wanted: Wanted) -> None:
    """`InfraError` when somebody else's qdiscs are where the lab's are to be."""
    root = device.egress.root
    if wanted.get("egress") and root not in (None, "0:", ROOT):
        raise InfraError(f"{device.name} has a root qdisc that is not the lab's: handle {root}")
    if not wanted.get("ingress"):
        return
    if device.ifb_alias is not None and not device.has_ifb:
        raise InfraError(f"{device.ifb} exists and is not the lab's")
    strangers = [item for item in device.ingress.filters if item.preference != PREFERENCE]
    ours = device.has_ifb or device.ingress.filters
    if device.ingress.ingress and (strangers or not ours):
        raise InfraError(f"{device.name} has an ingress qdisc that is not the lab's")
